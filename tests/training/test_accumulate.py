"""Gradients of a step in parts are those of the whole: for every reduction, with ignored pixels, classes' weights and heads."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.data.loading import Batch
from fullconv.errors import SpecError
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.spec import Recipe
from fullconv.training import module as module_module
from fullconv.training.accumulate import micro_batches, valid_of_step
from fullconv.training.interrupt import Interrupted
from fullconv.training.log import MetricsFile
from fullconv.training.run import train

Tiny = Callable[..., Recipe]
OPTIMIZER = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0, "schedule": "poly"}


def unlike(recipe: Recipe) -> Recipe:
    """The recipe with batch norm at rest, which sees parts alone."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"freeze_batch_norm": True})})


def trained(recipe: Recipe, out: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    result = train(unlike(recipe), out, console=Console(quiet=True))
    rows = MetricsFile(out / "metrics.csv", ("semantic",)).rows()
    assert [stage["images"] for stage in result.stages] == [4 * recipe.train.stages[0].steps]  # type: ignore[operator]  # a resolved recipe's
    return load_checkpoint(result.model).model.state_dict(), [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("reduction", ["mean", "sum", "image_mean"])
def test_a_step_in_parts_is_the_step(reduction: str, tiny: Tiny, tmp_path: Path) -> None:
    """In float64, so that nothing but the sums' order differs; crops reach over the images, so valid pixels differ widely."""
    rate = 0.05 / (4 * 3000 if reduction == "sum" else 1)
    common = {
        "stages": [{"stride": 16, "steps": 3}],
        "reduction": reduction,
        "class_weights": "balanced",
        "gradient_clip": None if reduction == "sum" else 1.0,
        "precision": "64-true",
        "optimizer": OPTIMIZER | {"learning_rate": rate},
    }
    data = {"augment": {"rotate": 60, "scale": [0.3, 1.2], "crop": [64, 72]}}
    model = {"dropout": 0}
    whole = trained(tiny(model=model, data=data, train=common | {"batch_size": 4}), tmp_path / "whole")
    parts = trained(tiny(model=model, data=data, train=common | {"batch_size": 1, "accumulate": 4}), tmp_path / "parts")
    assert parts[1] == pytest.approx(whole[1], rel=1e-6)
    for name, tensor in whole[0].items():
        torch.testing.assert_close(parts[0][name], tensor, rtol=1e-6, atol=1e-6)


def test_parts_know_the_valid_pixels_of_the_whole() -> None:
    labels = torch.zeros(5, 2, 3, dtype=torch.int64)
    labels[0, 0] = 255
    labels[4] = 9
    batch: Batch = {"inputs": {"rgb": torch.arange(5.0)}, "targets": {"a": labels, "b": labels + 1}, "names": list("vwxyz")}
    parts = list(micro_batches([batch], 2, {"a": 9, "b": 255}))
    assert [part["names"] for part in parts] == [["v", "w", "x"], ["y", "z"]]
    assert torch.equal(torch.cat([part["targets"]["b"] for part in parts]), labels + 1)
    for part in parts:
        counts = {head: int(count) for head, count in valid_of_step(part).items()}
        assert counts == {"a": 30 - 3 - 6, "b": 30}
    assert list(micro_batches([batch], 1, {"a": 9, "b": 255})) == [batch]
    assert valid_of_step(batch) == {}


def test_dropout_differs_between_the_parts_and_a_resumed_step_draws_the_same(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    real = torch.manual_seed
    monkeypatch.setattr(module_module.torch, "manual_seed", lambda seed: seeds.append(seed) or real(seed))
    changes = {"stages": [{"stride": 16, "steps": 2}], "batch_size": 2, "accumulate": 2}
    train(tiny(train=changes), tmp_path / "out", console=Console(quiet=True))
    drawn = [seed for seed in seeds if seed > 1000]
    assert len(drawn) == len(set(drawn)) == 4
    key = np.random.SeedSequence(0, spawn_key=(0, 0)).generate_state(1, np.uint64)[0]
    assert drawn[0] == int(key >> np.uint64(1))  # the first part's is that of a whole step


def test_a_stop_between_two_parts_goes_on_with_the_whole_step(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    """Lightning reads an item ahead, so the next step's images are waited for while parts of this one are computed."""
    changes = {"stages": [{"stride": 16, "steps": 3}], "batch_size": 1, "accumulate": 2, "optimizer": OPTIMIZER, "average": 0.5}
    recipe = tiny(data={"workers": 0}, train=changes)
    whole = load_file(train(recipe, tmp_path / "whole", console=quiet).model)
    calls = itertools.count()
    with pytest.raises(Interrupted, match="after step 1 of 3 of stage 16s, while waiting for images"):
        train(recipe, tmp_path / "out", console=quiet, stop_when=lambda: next(calls) >= 3)
    found = load_file(train(recipe, tmp_path / "out", resume=True, console=quiet).model)
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_the_average_moves_once_a_step(tiny: Tiny, tmp_path: Path) -> None:
    common = {"stages": [{"stride": 16, "steps": 2}], "precision": "64-true", "optimizer": OPTIMIZER, "average": 0.5}
    whole, _ = trained(tiny(model={"dropout": 0}, train=common | {"batch_size": 4}), tmp_path / "whole")
    parts, _ = trained(tiny(model={"dropout": 0}, train=common | {"batch_size": 1, "accumulate": 4}), tmp_path / "parts")
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-6, atol=1e-6)


def test_fewer_images_than_parts_of_processes_stop_before_anything_starts(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    recipe = tiny(train={"batch_size": 1, "accumulate": 2, "devices": 2, "strategy": "ddp"})
    with pytest.raises(
        SpecError, match=r"batch_size 1 with train.accumulate 2 .* too few for 2 processes with 2 parts each; take"
    ):
        train(recipe, tmp_path / "out", console=quiet)
    assert not (tmp_path / "out").exists()
