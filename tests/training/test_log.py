import io
from pathlib import Path

import pytest
from rich.console import Console

from fullconv.errors import FullconvError
from fullconv.training.log import MetricsFile
from fullconv.training.progress import StageProgress


def test_rows_come_back_with_what_was_given(tmp_path: Path) -> None:
    log = MetricsFile(tmp_path / "metrics.csv", ("semantic", "geometric"))
    assert log.rows() == []
    log.append("32s", 1, {"loss": 0.5, "learning_rate": 1e-10})
    log.append("32s", 1, {"geometric_mean_iu": 0.25})
    assert log.rows() == [
        {"stage": "32s", "step": 1, "loss": 0.5, "learning_rate": 1e-10},
        {"stage": "32s", "step": 1, "geometric_mean_iu": 0.25},
    ]


def test_what_a_killed_stage_wrote_after_its_last_save_is_dropped(tmp_path: Path) -> None:
    log = MetricsFile(tmp_path / "metrics.csv", ("semantic",))
    for stage, step in (("32s", 1), ("32s", 9), ("16s", 2), ("16s", 3)):
        log.append(stage, step, {"loss": 1.0})
    log.cut("16s", 2)
    assert [(row["stage"], row["step"]) for row in log.rows()] == [("32s", 1), ("32s", 9), ("16s", 2)]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    log = MetricsFile(tmp_path / "no-folder" / "metrics.csv", ("semantic",))
    with pytest.raises(FullconvError, match=r"cannot write .*metrics.csv: No such file"):
        log.append("32s", 1, {})


def progress_text(terminal: bool, waited: float = 0.0) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with StageProgress(console, "32s", steps=10) as progress:
        progress.begin(0.3)
        progress.step(4, 0.4, loss=1.5, learning_rate=1e-10, speed=12.5, waited=0.05)
        progress.validate(1, 7)
        progress.progress.refresh()
        progress.validate(7, 7)
        progress.step(10, 1.0, loss=0.75, learning_rate=1e-12, speed=14.0, waited=waited)
        progress.progress.refresh()
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_a_terminal_sees_a_bar() -> None:
    text = progress_text(terminal=True)
    for part in ("FCN-32s", "4/10", "loss 1.5 · learning rate 1e-10 · 12.5 images/s", "validation", "1/7", "10/10"):
        assert part in text


def test_a_file_sees_lines() -> None:
    text = progress_text(terminal=False)
    assert text == "FCN-32s 10/10 · loss 0.75 · learning rate 1e-12 · 14.0 images/s · 0:00 left\n"


def test_waiting_for_images_is_told_where_it_is_much() -> None:
    told = "14.0 images/s (60 % of the time waiting for images; 35.0/s without)"
    assert told in progress_text(terminal=False, waited=0.6)
    assert told in progress_text(terminal=True, waited=0.6)


def test_a_stage_that_ends_by_the_clock_shows_seconds_and_steps() -> None:
    console = Console(file=io.StringIO(), width=120)
    with StageProgress(console, "8s", None, seconds=90) as progress:
        progress.begin(0.0)
        progress.step(70, 1.0, loss=0.5, learning_rate=1e-3, speed=14.0, waited=0.0)
    assert console.file.getvalue().startswith("FCN-8s step 70 · loss 0.5")  # type: ignore[attr-defined]  # a StringIO


def test_a_file_of_an_older_version_gets_the_columns_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("stage,step,loss,rate\n32s,3,1.5,0.1\n")
    log = MetricsFile(path, ("semantic",))
    log.cut("32s", 3)
    log.append("32s", 4, {"loss": 1.0, "waiting": 0.5})
    assert log.rows() == [
        {"stage": "32s", "step": 3, "loss": 1.5, "learning_rate": 0.1},
        {"stage": "32s", "step": 4, "loss": 1.0, "waiting": 0.5},
    ]


def test_an_empty_file_gets_its_header(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.touch()
    log = MetricsFile(path, ("semantic",))
    log.append("32s", 3, {"loss": 1.5})
    assert log.rows() == [{"stage": "32s", "step": 3, "loss": 1.5}]


@pytest.mark.parametrize("content", [b"stage,step,loss\n32s,3,1\n8s", b"stage,step\n32s,x\n", b"\xff\xfe\x00", b"a,b\n1,2\n"])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    with pytest.raises(FullconvError, match=r"metrics.csv is damaged \(.*\); delete it: only the curves lose what is in it"):
        MetricsFile(path, ("semantic",)).rows()
