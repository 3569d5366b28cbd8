"""Cross-validation: every image is measured on once by a model that did not train on it, and what is done is not done again."""

import csv
import importlib
import json
import statistics
from pathlib import Path

import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.data.folder.folder import open_folder
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import TrainingError
from fullconv.spec.recipe import load_recipe, to_yaml
from fullconv.training import train

SHORT = [
    *("--model.name", "fcn32s-minivgg", "--model.weights", "null", "--train.precision", "32-true", "--train.batch_size", "2"),
    *("--data.workers", "0", "--train.stages", "[{stride: 32, steps: 1}]", "--data.augment.crop", "[32, 32]"),
]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    scenes = Scenes("train", 6, (32, 40))
    for number in range(6):
        sample = scenes[number]
        for place, picture in (
            ("images", Image.fromarray(sample.picture)),
            ("masks", scenes.labels["semantic"].to_image(sample.targets["semantic"].numpy())),
        ):
            path = tmp_path / "photos" / place / f"film{number // 2}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    assert main(["init", "photos"]) == 0
    return tmp_path


def splits_of(path: Path) -> dict[str, str]:
    with path.open(newline="") as handle:
        return {row["name"]: row["split"] for row in csv.DictReader(handle)}


def test_folds_are_trained_measured_and_gone_on_with(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["crossval", "photos.yaml", *SHORT, "--folds", "2", "--data.folder.group", "{stem[:5]}", "--out", "cv"]
    assert main(command) == 0
    out, said = capsys.readouterr()
    assert "mean ± sd" in out
    assert said.count("what the masks mean") == 1
    found = json.loads((photos / "cv/crossval.json").read_text())
    sides = [splits_of(photos / f"cv/fold-{fold}/splits.csv") for fold in range(2)]
    assert sorted(sum(split == "val" for split in side.values()) for side in sides) == [2, 4]
    for film in range(3):
        assert [{side[f"film{film}_{film * 2 + k}"] for k in (0, 1)} for side in sides].count({"val"}) == 1
    reports = [json.loads((photos / f"cv/fold-{n}/result.json").read_text())["stages"][-1]["heads"]["semantic"] for n in range(2)]
    accuracies = [report["pixel_accuracy"] for report in reports]
    told = found["heads"]["semantic"]["pixel accuracy"]
    assert told["folds"] == accuracies
    assert told["mean"] == pytest.approx(sum(accuracies) / 2)
    assert told["sd"] == pytest.approx(statistics.stdev(accuracies))
    assert {f"IU {name}" for name in reports[0]["iu"]} <= set(found["heads"]["semantic"])

    assert main(command) == 1
    assert "cv holds folds already; go on with `fullconv crossval cv --resume`" in capsys.readouterr().err
    before = (photos / "cv/fold-0/model.safetensors").stat().st_mtime_ns
    (photos / "cv/fold-1/result.json").unlink()
    for file in (photos / "cv/fold-1").glob("**/*.safetensors"):
        file.unlink()
    (photos / "cv/crossval.json").unlink()
    assert main(["crossval", "cv", "--resume"]) == 0
    assert (photos / "cv/fold-0/model.safetensors").stat().st_mtime_ns == before
    again = json.loads((photos / "cv/crossval.json").read_text())
    assert again["heads"] == found["heads"]


def test_splits_that_cannot_be_folded_are_refused_before_anything_is_written(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crossval", "photos.yaml", *SHORT, "--folds", "7", "--out", "cv"]) == 1
    assert "6 images or groups cannot fall into data.folder.folds 7" in capsys.readouterr().err
    assert not (photos / "cv" / "recipe.yaml").exists()
    assert main(["crossval", "scenes-demo", "--out", "cv"]) == 1
    assert (
        main(["crossval", "photos.yaml", "--data.folder.images", "images/{split}", "--data.folder.masks", "masks/{split}"]) == 1
    )
    assert "folds 5 is of drawn splits, and images 'images/{split}' has splits of its own" in capsys.readouterr().err


def test_a_run_goes_on_only_with_its_images_and_its_splits_can_be_kept(photos: Path) -> None:
    overrides = {"model.name": "fcn32s-minivgg", "model.weights": None, "train.precision": "32-true", "train.batch_size": 2}
    overrides |= {"data.workers": 0, "train.stages": [{"stride": 32, "steps": 1}], "data.augment.crop": [32, 32]}
    nested: dict[str, dict[str, object]] = {}
    for key, value in overrides.items():
        top, rest = key.split(".", 1)
        place = nested.setdefault(top, {})
        *parents, last = rest.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})  # type: ignore[assignment]
        place[last] = value
    recipe = load_recipe("photos.yaml", nested)
    train(recipe, photos / "run")
    before = splits_of(photos / "run/splits.csv")
    assert sorted(before.values()) == ["train"] * 5 + ["val"]
    for number in range(40):
        for place in ("images", "masks"):
            source = photos / "photos" / place / "film0_0.png"
            source.with_name(f"new_{number}.png").write_bytes(source.read_bytes())
    with pytest.raises(
        TrainingError, match=r"not those that the run began with: 40 new \(new_0\).*--data.folder.splits .*splits.csv"
    ):
        train(recipe, photos / "run", resume=True)
    folder = recipe.data.folder.model_copy(update={"splits": photos / "run/splits.csv"})
    kept = recipe.model_copy(update={"data": recipe.data.model_copy(update={"folder": folder})})
    after = {split: [pair.name for pair in open_folder(kept.data, split).pairs] for split in ("train", "val")}
    assert {name for name, split in before.items() if split == "val"} <= set(after["val"])
    assert {name for name, split in before.items() if split == "train"} <= set(after["train"])
    assert (len(after["train"]) + len(after["val"]), 7 <= len(after["val"]) <= 11) == (46, True)


def test_a_model_is_measured_on_its_own_runs_validation_images(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = load_recipe("photos.yaml")
    open_ground_truth = importlib.import_module("fullconv.cli.ground_truth").open_ground_truth
    Path("run").mkdir()
    Path("run/recipe.yaml").write_text(to_yaml(recipe))
    names = sorted(path.stem for path in (photos / "photos/images").iterdir())
    drawn = {name: "val" if name in names[:4] else "train" for name in names}
    Path("run/splits.csv").write_text("name,split\n" + "".join(f"{name},{split}\n" for name, split in drawn.items()))
    samples = open_ground_truth("run/recipe.yaml", None, None, None, "semantic", [], refined=True)
    assert [samples[place].name for place in range(len(samples))] == names[:4]
    Path("other.yaml").write_text(to_yaml(recipe))
    assert len(open_ground_truth("other.yaml", None, None, None, "semantic", [], refined=True)) == 1
