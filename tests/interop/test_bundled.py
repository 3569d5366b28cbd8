"""The package of a bundled model is made of a trained one: the same labels, a card, and the name by which it is used."""

import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv

FOLDER = Path(__file__).parents[2] / "models" / "voc-subset"


@pytest.fixture(scope="module")
def make() -> Callable[..., int]:
    return runpy.run_path(str(FOLDER / "make.py"))["main"]


def test_a_package_is_made_of_a_trained_model(make: Callable[..., int], checkpoint: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    # one colour: at random ones, these random weights hesitate between labels in more pixels than may change
    Image.fromarray(np.full((48, 64, 3), (200, 90, 30), np.uint8)).save(photo)
    assert make([str(checkpoint), "--license", "mit", "--images", str(photo)], tmp_path) == 0
    file = tmp_path / "src" / "fullconv_voc_subset" / "model.safetensors"
    before, after = (fullconv.load(path, "cpu").predict(photo).labels for path in (checkpoint, file))
    assert np.mean(before != after) <= 0.001
    card = (tmp_path / "README.md").read_text()
    assert "fullconv predict voc-subset photo.jpg" in card
    assert "license: mit" in card
    assert "float16" in card
    assert "![predictions](README-picture.png)" in card


def test_a_model_that_cannot_be_read_is_one_line(
    make: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make([str(tmp_path / "none.safetensors"), "--images", "a.png"], tmp_path) == 1
    assert capsys.readouterr().err.startswith("error: no checkpoint ")


def test_pip_is_told_the_name_and_where_the_file_is() -> None:
    stated = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    (package,) = stated["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert stated["project"]["entry-points"]["fullconv.models"] == {"voc-subset": Path(package).name}
    assert (FOLDER / package / "__init__.py").is_file()
    assert stated["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        f"{package}/model.safetensors": f"{Path(package).name}/model.safetensors"
    }
