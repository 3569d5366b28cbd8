"""What is read of run folders: made ones, damaged ones, an old one, one that goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError
from fullconv.lock import alone_in
from fullconv.training.run_tables import Comparison, run_table, sorted_runs
from fullconv.training.runs import find_runs, read_run
from made_runs import make_run, stage


def test_a_finished_run(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "a"))
    assert (run.status, run.problem, run.net, run.data) == ("finished", "", "fcn32s-minivgg", "scenes")
    assert (run.steps, run.planned, run.minutes) == (30, 30, 1.5)
    assert (run.score(), run.best()) == (0.4, 0.5)
    assert run.score("mean_iu", "geometric") is None
    assert run.started is not None
    assert abs(run.started.timestamp() - (tmp_path / "a" / "recipe.yaml").stat().st_mtime) < 1


def test_a_run_that_was_stopped_and_one_that_goes_on(tmp_path: Path) -> None:
    path = make_run(tmp_path / "a", {"train": {"stages": [{"stride": 32, "steps": 90}], "batch_size": 2}}, finished=False)
    with alone_in(path):
        assert read_run(path).status == "running"
    run = read_run(path)
    assert (run.status, run.steps, run.planned) == ("stopped", 30, 90)
    assert run.minutes == pytest.approx(30 * 2 / 4.0 / 60)  # 30 steps of two images, four a second
    assert (run.score(), run.best()) == (0.4, 0.5)


def test_a_run_whose_first_stage_alone_is_done(tmp_path: Path) -> None:
    path = make_run(tmp_path / "a")
    (path / "result.json").write_text(json.dumps({"finished": False, "stages": [stage(20, 0.3)]}))
    run = read_run(path)
    assert (run.status, run.steps, run.score()) == ("stopped", 20, 0.3)


def test_a_run_of_an_older_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_run(tmp_path / "a")
    for name in ("recipe.yaml", "metrics.csv", "result.json"):
        (path / name).write_text((path / name).read_text().replace("learning_rate", "rate"))
    assert read_run(path).status == "finished"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("result.json", '{"stages": [{}', "result.json is damaged"),
        ("result.json", '{"stages": [{"stage": "32s"}]}', "result.json is damaged"),
        ("metrics.csv", "stage,step\n32s,x\n", "metrics.csv is damaged"),
        ("recipe.yaml", "model: [", "recipe.yaml is not YAML"),
        ("recipe.yaml", "model: {name: fcn32s-minivgg, future: 1}\ntrain: {stages: [32]}", "no key is called model.future"),
        ("recipe.yaml", "- 1", "recipe.yaml holds list"),
        ("recipe.yaml", "", "recipe.yaml holds NoneType"),
    ],
)
def test_a_damaged_run_is_a_record_that_says_so(tmp_path: Path, name: str, content: str, problem: str) -> None:
    make_run(tmp_path / "good")
    (make_run(tmp_path / "bad") / name).write_text(content)
    bad, good = find_runs([tmp_path])
    assert (good.status, bad.status) == ("finished", "damaged")
    assert problem in bad.problem
    assert bad.to_dict()["status"] == "damaged"
    if "fcn32s" in content or not name.startswith("recipe"):
        assert bad.net == "fcn32s-minivgg"


def test_runs_are_found_below_folders_once_and_only_runs(tmp_path: Path) -> None:
    for name in ("a", "deep/er/b", "sweep/trial-000", ".hidden/c"):
        make_run(tmp_path / name)
    make_run(tmp_path / "a" / "inside")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "recipe.yaml").write_text("a recipe of one's own is no run")
    found = [run.path.relative_to(tmp_path).as_posix() for run in find_runs([tmp_path, tmp_path / "a"])]
    assert found == ["a", "deep/er/b", "sweep/trial-000"]
    with pytest.raises(DataError, match=r"no folder .*nowhere; give folders that hold runs, or runs themselves"):
        find_runs([tmp_path / "nowhere"])


def test_the_order_of_runs(tmp_path: Path) -> None:
    for name, score in (("b", 0.3), ("a", 0.7), ("c", 0.5)):
        make_run(tmp_path / name, scores=(score,))
    runs = find_runs([tmp_path])
    assert [run.path.name for run in sorted_runs(runs, "mean_iu")] == ["a", "c", "b"]
    assert [run.path.name for run in sorted_runs(runs, "name")] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"--sort mean_iou: runs have no such column; did you mean mean_iu\?"):
        sorted_runs(runs, "mean_iou")


def test_only_keys_that_differ_are_told(tmp_path: Path) -> None:
    first = make_run(tmp_path / "a")
    second = make_run(
        tmp_path / "b", {"model": {"dropout": 0.25}, "data": {"augment": {"crop": [32, 48]}}}, scores=(0.1, 0.2, 0.9)
    )
    found = Comparison([read_run(first), read_run(second)])
    assert found.differences() == [
        ("name", "a", "b"),
        ("model.dropout", "none", "0.25"),
        ("data.augment.crop", "none", "[32, 48]"),
    ]
    assert {row[0]: row[1:] for row in found.metric_rows()}["mean IU"] == ("40.0", "90.0")
    assert found.class_rows() == [("floor", "50.0", "100.0"), ("wall", "30.0", "80.0")]
    assert found.warnings() == []


def test_intervals_come_from_a_report_of_the_same_images(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    report = stage(30, 0.45)["heads"]["semantic"] | {"intervals": {"mean_iu": [0.41, 0.49]}}
    for path, images in ((first, 4), (second, 5)):
        (path / "report").mkdir()
        (path / "report" / "report.json").write_text(json.dumps(report | {"images": images}))
    found = Comparison([read_run(first), read_run(second)])
    assert {row[0]: row[1:] for row in found.metric_rows()}["mean IU"] == ("45.0 (41.0 to 49.0)", "40.0")


def test_metrics_on_other_images_are_no_measure(tmp_path: Path) -> None:
    first, second, third = (make_run(tmp_path / name) for name in "abc")
    content = json.loads((second / "result.json").read_text())
    content["stages"][0]["heads"]["semantic"] |= {"images": 9, "iu": {"sky": 0.5}}
    (second / "result.json").write_text(json.dumps(content))
    (third / "result.json").unlink()
    assert Comparison([read_run(path) for path in (first, second, third)]).warnings() == [
        "c has no finished stage",
        "measured on different images, so the metrics cannot be compared: a: scenes val, 4 images; b: scenes val, 9 images",
        "the classes differ, so means are over different classes",
    ]


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / name)) for name in ("x/run", "y/run")]
    assert Comparison(runs).names == ["x/run", "y/run"]


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    good, bad = make_run(tmp_path / "good"), make_run(tmp_path / "bad")
    (bad / "recipe.yaml").write_text("model: [")
    with pytest.raises(DataError, match="give at least two runs, each once"):
        Comparison([read_run(good), read_run(good)])
    with pytest.raises(DataError, match=r"bad cannot be compared: .*is not YAML"):
        Comparison([read_run(good), read_run(bad)])


def test_the_page_and_the_curves(tmp_path: Path) -> None:
    runs = [
        read_run(make_run(tmp_path / "a")),
        read_run(make_run(tmp_path / "_b$x", scores=(0.9, 0.1))),
    ]  # no label of matplotlib's own
    Comparison(runs).write(tmp_path / "compare.html")
    page = (tmp_path / "compare.html").read_text()
    assert "compare.png" in page
    assert "_b$x" in page
    with Image.open(tmp_path / "compare.png") as curves:
        drawn = np.asarray(curves.convert("RGB")).reshape(-1, 3)
    for color in ((31, 119, 180), (255, 127, 14)):  # a line each, in matplotlib's first two colours
        assert (drawn == color).all(1).sum() > 30


def test_minutes_of_a_stopped_run_count_the_parts_of_its_steps(tmp_path: Path) -> None:
    train = {"stages": [{"stride": 32, "steps": 90}], "batch_size": 2, "accumulate": 4}
    assert read_run(make_run(tmp_path / "a", {"train": train}, finished=False)).minutes == pytest.approx(30 * 8 / 4 / 60)


def test_a_run_that_patience_ended_says_so(tmp_path: Path) -> None:
    path = make_run(tmp_path / "a", {"train": {"stages": [{"stride": 32, "steps": 90}], "batch_size": 2}})
    result = json.loads((path / "result.json").read_text())
    result["stages"][0]["ended"] = "patience"
    (path / "result.json").write_text(json.dumps(result))
    assert list(run_table([read_run(path)]).columns[-1].cells) == ["finished, ended by patience"]
