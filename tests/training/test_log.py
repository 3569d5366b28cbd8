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


def progress_text(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with StageProgress(console, "32s", steps=10) as progress:
        progress.begin(3)
        progress.step(4, loss=1.5, learning_rate=1e-10, speed=12.5)
        progress.validate(1, 7)
        progress.progress.refresh()
        progress.validate(7, 7)
        progress.step(10, loss=0.75, learning_rate=1e-12, speed=14.0)
        progress.progress.refresh()
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_a_terminal_sees_a_bar() -> None:
    text = progress_text(terminal=True)
    for part in ("FCN-32s", "4/10", "loss 1.5 · learning rate 1e-10 · 12.5 images/s", "validation", "1/7", "10/10"):
        assert part in text


def test_a_file_sees_lines() -> None:
    text = progress_text(terminal=False)
    assert text == "FCN-32s 10/10 · loss 0.75 · learning rate 1e-12 · 14.0 images/s · 0:00 left\n"


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
