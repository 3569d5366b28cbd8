"""Training on a card: the same twice, the same when it is stopped and resumed, as the CPU's, and in memory that ends."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

pytest.importorskip("lightning", reason="training needs lightning, which is not installed here")

from fullconv.errors import TrainingError
from fullconv.spec import Recipe
from fullconv.spec.recipe import read_recipe
from fullconv.training.interrupt import Interrupted
from fullconv.training.log import MetricsFile
from fullconv.training.run import RunResult, train

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

Weights = dict[str, torch.Tensor]


def small(**changes: Any) -> Recipe:
    """Return a recipe of two stages with augmentation, dropout, momentum, batch norm and averaged weights."""
    settings: dict[str, Any] = {
        "stages": [{"stride": 32, "steps": 24}, {"stride": 16, "steps": 6, "learning_rate": 1e-3}],
        "batch_size": 4,
        "average": 0.9,
        "loggers": [],
        "optimizer": {"learning_rate": 1e-2, "schedule": "poly"},
        "accelerator": "cuda",
        "devices": 1,
        "keep": "last",
    }
    data = {"size": [48, 64], "count": 8, "val_count": 4, "augment": {"flip": True, "crop": [40, 40]}, "workers": 2}
    model = {"name": "fcn16s-minivgg", "dropout": 0.3}
    return read_recipe({"name": "small", "model": model, "data": data, "train": settings | changes}, "small")


def run(recipe: Recipe, out: Path, resume: bool = False, stop_when: Callable[[], bool] = lambda: False) -> RunResult:
    return train(recipe, out, resume=resume, console=Console(file=io.StringIO()), examined=True, stop_when=stop_when)


def distance(a: Path, b: Path) -> float:
    """Return the distance of the weights of two runs as a share of their size."""
    left, right = (load_file(out / "model.safetensors") for out in (a, b))
    one, other = (torch.cat([part[name].float().flatten() for name in left]) for part in (left, right))
    return float((one - other).norm() / one.norm())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_run_is_the_same_twice_and_when_it_is_resumed(precision: str, tmp_path: Path) -> None:
    recipe = small(precision=precision)
    run(recipe, tmp_path / "one")
    run(recipe, tmp_path / "two")
    assert distance(tmp_path / "one", tmp_path / "two") <= 1e-5
    asked = itertools.count()
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "three", stop_when=lambda: next(asked) > 17)
    run(recipe, tmp_path / "three", resume=True)
    assert distance(tmp_path / "one", tmp_path / "three") <= 1e-5


def test_losses_in_float32_are_those_of_the_cpu(tmp_path: Path) -> None:
    losses = []
    for accelerator in ("cuda", "cpu"):
        recipe = small(accelerator=accelerator, precision="32-true", stages=[{"stride": 16, "steps": 5}])
        no_dropout = recipe.model_copy(update={"model": recipe.model.model_copy(update={"dropout": 0.0})})
        run(no_dropout, tmp_path / accelerator)
        rows = MetricsFile(tmp_path / accelerator / "metrics.csv", ("semantic",)).rows()
        losses.append([row["loss"] for row in rows if row.get("loss")])
    assert len(losses[0]) == 5
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)


def test_what_is_left_to_the_card_is_chosen(tmp_path: Path) -> None:
    result = run(small(batch_size="auto", precision="auto", accumulate=2, stages=[{"stride": 16, "steps": 2}]), tmp_path / "out")
    (record,) = result.stages
    assert record["precision"] == "bf16-mixed"
    assert record["images"] == 2 * 2 * 8  # all eight images fit


def test_a_loss_that_is_not_finite_ends_the_run_before_anything_is_saved(tmp_path: Path) -> None:
    wild = small(optimizer={"learning_rate": 1e30}, precision="32-true")
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+ of 24 \(learning rate .*, images train-\d+"):
        run(wild, tmp_path / "out")
    assert not list(tmp_path.rglob("resume.ckpt"))


def test_memory_that_ends_is_said_with_what_to_do(tmp_path: Path) -> None:
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2 * 2**20) / whole)
    try:
        with pytest.raises(TrainingError, match=r"does not hold 4 images; train.batch_size: 2 with train.accumulate: 2 makes"):
            run(small(precision="32-true"), tmp_path / "out")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
