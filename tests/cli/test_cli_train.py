"""``fullconv train`` from a shell: overrides in every form and place, Ctrl-C in a real process, going on afterwards."""

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fullconv.cli import main
from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe, to_yaml

RECIPE = "scenes-fcn8s-at-once-minivgg"
TINY = (
    *("--data.count", "8", "--data.val_count=2", "--data.size", "[32, 48]"),
    *("--train.batch_size=2", "--train.steps", "60", "--train.accelerator", "cpu"),
)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Recipe, Path, bool]]:
    """What training was asked for."""
    calls = []

    def train(recipe: Recipe, out: Path, resume: bool = False) -> Any:
        calls.append((recipe, out, resume))
        return type("Result", (), {"out": out, "seconds": 1.0, "stages": [], "model": out / "model.safetensors"})

    monkeypatch.setattr("fullconv.training.train", train)
    return calls


PARTS = (("--train.seed", "7"), ("--data.size=[40, 50]",), ("--out", "there"), ("--resume",), ("--json",))


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_overrides_and_options_in_any_order(
    order: tuple[int, ...], trained: list[tuple[Recipe, Path, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", RECIPE, *(token for part in order for token in PARTS[part])]) == 0
    ((recipe, out, resume),) = trained
    assert (recipe.train.seed, recipe.data.size, out, resume) == (7, (40, 50), Path("there"), True)
    assert json.loads(capsys.readouterr().out) == {"out": "there", "seconds": 1.0, "stages": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out", "there", "--resume", RECIPE, "--train.seed=7"],
        ["--resume", "--out=there", RECIPE, "--train.seed", "7"],
        [RECIPE, "--out=there", "--train.seed=7", "--resume"],
    ],
)
def test_options_before_the_recipe(arguments: list[str], trained: list[tuple[Recipe, Path, bool]]) -> None:
    assert main(["train", *arguments]) == 0
    assert [(recipe.train.seed, out, resume) for recipe, out, resume in trained] == [(7, Path("there"), True)]


def test_the_run_folder_has_the_recipes_name(trained: list[tuple[Recipe, Path, bool]]) -> None:
    assert main(["train", RECIPE]) == 0
    assert [(out, resume) for _, out, resume in trained] == [(Path("runs") / RECIPE, False)]


@pytest.mark.parametrize("arguments", [["--resume", "{run}"], ["{run}", "--resume"], ["{run}", "--resume", "--train.seed", "7"]])
def test_a_run_goes_on_by_its_folder_alone(
    arguments: list[str], trained: list[tuple[Recipe, Path, bool]], tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(to_yaml(load_recipe(RECIPE, {"train": {"seed": 7}, "name": "mine"})))
    assert main(["train", *(argument.format(run=tmp_path) for argument in arguments)]) == 0
    assert [(recipe.name, recipe.train.seed, out, resume) for recipe, out, resume in trained] == [("mine", 7, tmp_path, True)]


def test_the_pictures_of_all_heads_are_named(
    trained: list[tuple[Recipe, Path, bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("predictions-semantic.png", "predictions-geometric.png", "curves.png"):
        (tmp_path / name).touch()
    assert main(["train", RECIPE, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err.replace("\n", "")
    assert (
        f"look at {tmp_path}/predictions-geometric.png and {tmp_path}/predictions-semantic.png and {tmp_path}/curves.png" in said
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--train.seed", "1", RECIPE],
            "error: --train.seed stands before the recipe; write fullconv train RECIPE --train.seed …",
        ),
        ([RECIPE, "extra"], "error: 'extra' is no override; write --KEY VALUE, such as --train.seed 1"),
        ([RECIPE, "-x", "3"], "error: '-x' is no override; write --KEY VALUE, such as --train.seed 1"),
        ([RECIPE, "--train.seed", "--json"], "error: --train.seed has no value; write --train.seed VALUE"),
        ([RECIPE, "--train.seed", "-1"], "train.seed: input should be greater than or equal to 0; got -1"),
        ([RECIPE, "--train.seed=-1"], "train.seed: input should be greater than or equal to 0; got -1"),
        (
            [RECIPE, "--train.optimizer.learning_rate", "-0.5"],
            "train.optimizer.learning_rate: input should be greater than 0; got -0.5",
        ),
        ([RECIPE, "--model.name", "fcn8s-minivg"], "no backbone is called 'minivg'; nearest: minivgg"),
        ([RECIPE, "--data.name", "voc2012", "--data.root", "{tmp}"], "error: no VOC2012 at {tmp}: looked for VOC2012/ImageSets"),
        ([RECIPE, "--resume"], "error: {tmp}/run holds no run to go on with; leave out --resume to start one"),
        (["{tmp}/broken.yaml"], "broken.yaml is not YAML: "),
        (["{tmp}"], "error: {tmp} is a folder and holds no recipe.yaml, so it is no run; `fullconv init {tmp}` writes"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.yaml").write_text("model: [")
    small = ["--data.count", "2", "--data.val_count", "1"] if RECIPE in arguments else []
    arguments = [argument.format(tmp=tmp_path) for argument in (*arguments, *small)]
    code = main(["train", "--out", f"{tmp_path}/run", *arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert message.format(tmp=tmp_path) in err
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err


def test_a_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["train", RECIPE, *TINY, "--out", f"{tmp_path}/file/run"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: cannot write {tmp_path}/file/run: Not a directory")
    assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "x"


def test_ctrl_c_saves_and_resume_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "fullconv", "train", RECIPE, *TINY, "--out", str(out), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        limit = time.monotonic() + 60
        metrics = out / "metrics.csv"
        while not metrics.exists() or metrics.read_text().count("\n") < 3:
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "")
    how = f"; go on with: fullconv train {out} --resume"
    last = told.rstrip("\n").rpartition("\n")[2]
    assert last.startswith("stopped after step ")
    assert " of 60 of stage 8s" in last
    assert last.endswith(how)
    assert "Traceback" not in told
    # the very words that it said
    assert main([*how.rpartition("fullconv ")[2].split(), "--json"]) == 0
    printed, _ = capsys.readouterr()
    assert printed.count("\n") == 1
    found = json.loads(printed)
    assert [(stage["stage"], stage["steps"]) for stage in found["stages"]] == [("8s", 60)]
    assert {"model.safetensors", "recipe.yaml", "curves.png", "predictions.png"} <= {path.name for path in out.iterdir()}
