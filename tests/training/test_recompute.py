"""Gradient checkpointing: the same maps, gradients and statistics, with less in memory."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.errors import SpecError
from fullconv.nn.build import build_model
from fullconv.spec import Recipe
from fullconv.training.recompute import Recomputed
from fullconv.training.run import train


@pytest.mark.parametrize("name", ["fcn8s-minivgg", "fcn8s-resnet18"])
def test_gradients_and_statistics_are_the_same(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 3).double().train()
    other, images = copy.deepcopy(model), torch.randn(2, 3, 64, 96, dtype=torch.float64)
    kept: list[list[int]] = []
    for net, compute in ((model, model.trunks["rgb"]), (other, Recomputed(other.trunks["rgb"]))):
        sizes: list[int] = []

        def noted(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
            total = sum(maps.square().mean() for maps in compute(images))
        kept.append(sizes)
        total.backward()  # type: ignore[union-attr]  # there are maps
        assert net.training
    for (part, truth), found in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (truth.grad is None) == (found.grad is None)
        if truth.grad is not None:
            torch.testing.assert_close(found.grad, truth.grad, rtol=1e-9, atol=1e-12, msg=part)
    for truth, found in zip(model.buffers(), other.buffers(), strict=True):
        assert torch.equal(found, truth)
    assert [norm.momentum for norm in other.modules() if isinstance(norm, torch.nn.BatchNorm2d)].count(0.0) == 0
    assert sum(kept[1]) < sum(kept[0]) / 2


def test_a_recipe_trains_compiled_or_with_checkpoints_to_the_same_model(
    tiny: Callable[..., Recipe], quiet: Console, tmp_path: Path
) -> None:
    found = []
    for key in (None, "compile", "gradient_checkpointing"):
        recipe = tiny(train={"stages": [{"stride": 16, "steps": 2}], **({key: True} if key else {})})
        with torch.compiler.set_stance("force_eager"):  # what compiles takes half a minute
            result = train(recipe, tmp_path / str(key), console=quiet, examined=True)
        found.append(load_file(result.model))
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for name, tensor in found[0].items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_both_at_once_are_refused(tiny: Callable[..., Recipe]) -> None:
    with pytest.raises(SpecError, match="compile and gradient_checkpointing exclude each other; give one of them"):
        tiny(train={"compile": True, "gradient_checkpointing": True})
