"""``fullconv evaluate``: one model, several side by side, a folder, and one clear line for every mistake."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from fullconv.cli import main
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
from fullconv.spec import ModelSpec

SCENES = ("--data", "scenes", "--count", "3")


@pytest.fixture(scope="module")
def second(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same net with other random scores."""
    found = load_checkpoint(checkpoint)
    torch.manual_seed(1)
    for parameter in found.model.score_parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp("second") / "model.safetensors"
    save_checkpoint(path, found.model, found.labels)
    return path


def run(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def test_one_model_prints_intervals(checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    assert run(checkpoint, *SCENES, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 3
    assert run(checkpoint, *SCENES) == 0
    low, high = (f"{100 * end:.1f}" for end in found["intervals"]["mean_iu"])
    assert f"mean IU {100 * found['mean_iu']:.1f} ({low} to {high})" in capsys.readouterr().out


def test_the_seed_moves_intervals_only(checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    found = []
    for seed in (0, 0, 1):
        run(checkpoint, "--data", "scenes", "--count", "12", "--json", "--seed", seed)
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert found[0]["mean_iu"] == found[2]["mean_iu"]
    assert found[0]["intervals"] != found[2]["intervals"]


def test_several_stand_side_by_side_by_what_tells_their_paths_apart(
    checkpoint: Path, second: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(checkpoint, second, *SCENES, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["models"]) == [checkpoint.parent.name, second.parent.name]
    single = []
    for path in (checkpoint, second):
        run(path, *SCENES, "--json")
        single.append(json.loads(capsys.readouterr().out)["mean_iu"])
    assert [model["mean_iu"] for model in found["models"].values()] == single
    assert run(checkpoint, second, *SCENES) == 0
    printed = capsys.readouterr().out
    assert checkpoint.parent.name in printed
    assert f"{100 * (single[1] - single[0]):+.1f} (" in printed


def test_out_writes_a_report(checkpoint: Path, second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "report"
    assert run(checkpoint, second, *SCENES, "--out", out, "--json") == 0
    printed, told = capsys.readouterr()
    assert json.loads(printed) == json.loads((out / "report.json").read_text())
    assert told == f"report in {out / 'report.html'}\n"
    assert (out / "pictures" / "worst-2-3.png").is_file()


def fails(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 1) -> str:
    assert run(*arguments) == code
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


def test_mistakes(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("x")
    assert "a file; the report is a folder" in fails(capsys, checkpoint, *SCENES, "--out", tmp_path / "file")
    assert "one model is given twice" in fails(capsys, checkpoint, checkpoint, *SCENES)
    assert "no checkpoint" in fails(capsys, checkpoint, tmp_path / "none.safetensors", *SCENES)
    assert "Must be >= 0" in fails(capsys, checkpoint, *SCENES, "--seed", "-1", code=2)
    assert (tmp_path / "file").read_text() == "x"


def test_models_of_other_classes_are_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = tmp_path / "pets.safetensors"
    model = build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False), {"semantic": 2})
    save_checkpoint(other, model, {"semantic": LabelSet(("cat", "dog"), voc_colors(2))})
    told = fails(capsys, checkpoint, other, *SCENES)
    assert "pets predicts the classes cat, dog (2), but model predicts " in told
    assert "only models of the same classes can stand side by side" in told


def test_names_when_no_part_of_the_paths_tells_all_apart(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    paths = [tmp_path / one / two / "model.safetensors" for one, two in (("a", "x"), ("a", "y"), ("b", "x"))]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkpoint, path)
    assert run(*paths, "--data", "scenes", "--count", "1", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["models"]) == [str(path) for path in paths]


def test_a_recipe_says_how_many_images(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recipe = tmp_path / "own.yaml"
    recipe.write_text(
        "model: {name: fcn8s-minivgg}\ndata: {name: scenes, size: [48, 64], val_count: 4}\ntrain: {stages: [8], steps: 1}\n"
    )
    assert run(checkpoint, "--data", recipe, "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 4
    assert run(checkpoint, "--data", recipe, "--count", 2, "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2
