"""Runs that take about a second: eight scenes of 32x48 pixels, ten steps."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from fullconv.spec import Recipe
from fullconv.spec.recipe import read_recipe

TINY: dict[str, Any] = {
    "name": "tiny",
    "model": {"name": "fcn16s-minivgg"},
    "data": {
        "size": [32, 48],
        "count": 8,
        "val_count": 5,
        "augment": {"flip": True, "scale": [0.8, 1.2], "color": 0.3, "crop": [32, 32]},
    },
    "train": {
        "stages": [{"stride": 32, "steps": 6}, {"stride": 16, "steps": 4, "learning_rate": 1e-3}],
        "batch_size": 2,
        "keep": "last",
        "loggers": [],
        "optimizer": {"learning_rate": 1e-2},
        "accelerator": "cpu",
        "devices": 1,
    },
}


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Recipe]:
    """The tiny recipe with changes, such as ``tiny(train={"seed": 1})``."""

    def build(**changes: dict[str, Any]) -> Recipe:
        return read_recipe(
            {"name": "tiny"} | {key: TINY[key] | changes.get(key, {}) for key in ("model", "data", "train")}, "tiny"
        )

    return build


@pytest.fixture
def quiet() -> Console:
    """A console whose text nobody sees; ``quiet.file.getvalue()`` tells it."""
    return Console(file=io.StringIO(), width=200)
