"""Sets and batches so small that something might divide by nothing: each trains, or is refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from fullconv.errors import DataError, SpecError
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.spec import Recipe
from fullconv.spec.recipe import read_recipe
from fullconv.training import RunResult, train


def recipe(root: Path, images: int, values: dict[str, int], data: dict[str, Any], batch: int, more: dict[str, Any]) -> Recipe:
    """Two steps on a folder of noise of 20×24 px whose masks hold ``values``, one by split."""
    draw = np.random.default_rng(0)
    for split, count in (("train", images), ("val", 2)):
        for part, top, shape in (("images", 256, (20, 24, 3)), ("masks", values[split], (20, 24))):
            (root / part / split).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(draw.integers(0, top, shape, dtype=np.uint8)).save(root / part / split / f"{number}.png")
    labels = {f"class {value}": value for value in range(max(values.values()))}
    given = {"name": "folder", "root": str(root), "labels": labels, **data}
    steps = {"stages": [{"stride": 8, "steps": 2}], "batch_size": batch, "accelerator": "cpu", "devices": 1, **more}
    return read_recipe({"name": "tiny", "model": {"name": "fcn8s-minivgg"}, "data": given, "train": steps}, "tiny")


def trained(root: Path, *given: Any) -> RunResult:
    result = train(recipe(root / "set", *given), root / "out", console=Console(quiet=True))
    state = load_checkpoint(result.model).model.state_dict()
    assert all(torch.isfinite(value).all() for value in state.values())
    assert result.stages[0]["steps"] == 2
    return result


@pytest.mark.parametrize(
    ("images", "classes", "crop", "batch"),
    [
        (3, 2, None, 2),  # the second batch has the last image and the first of the next epoch
        (3, 2, None, 1),  # batch norm over one image
        (1, 2, None, 4),  # fewer images than a batch
        (3, 2, [64, 64], 2),  # images smaller than the crop
        (3, 2, [1, 1], 1),  # batch norm over one image of one pixel
        (2, 255, None, 1),
    ],
)
def test_it_trains(images: int, classes: int, crop: list[int] | None, batch: int, tmp_path: Path) -> None:
    found = trained(tmp_path, images, {"train": classes, "val": classes}, {"augment": {"crop": crop}}, batch, {})
    assert 0 <= found.score() <= 1


def test_a_single_class_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"only class 0 has pixels in train.*a net needs two classes"):
        trained(tmp_path, 3, {"train": 1, "val": 1}, {}, 2, {})


def test_a_class_that_training_images_lack(tmp_path: Path) -> None:
    found = trained(tmp_path, 3, {"train": 2, "val": 3}, {}, 2, {"class_weights": "balanced"})
    assert found.stages[0]["heads"]["semantic"]["iu"]["class 2"] == 0


def test_more_classes_than_a_mask_of_eight_bits_holds(tmp_path: Path) -> None:
    labels = {f"class {value}": value for value in range(300)}
    with pytest.raises(SpecError, match="labels must name 1 to 255 classes; got 300"):
        trained(tmp_path, 3, {"train": 2, "val": 2}, {"labels": labels}, 2, {})
