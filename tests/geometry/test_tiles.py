"""Exact tiles: what a window computes is what the whole image computes, and a window that is laid wrongly is not."""

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from fullconv.errors import GeometryError
from fullconv.geometry.tiles import AxisPlan, Span, Tile, overhead, spans, tiles
from fullconv.geometry.trace import trace
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN

NETS: dict[tuple[str, ...], FCN] = {}
TINY = {"width_mult": 0.05}
"""Of nets that do not fit into a fast test otherwise."""


def net_of(*built: str) -> FCN:
    """Return a net in float64 whose logits depend on everything that it sees."""
    if built not in NETS:
        name, padding = built
        torch.manual_seed(0)
        model = build_model(name, 3) if padding == "own" else build_model(_padded(name, padding), 3)
        for parameter in model.score_parameters():
            nn.init.normal_(parameter, std=0.1)
        NETS[built] = model.double().eval()
    return NETS[built]


def _padded(name: str, padding: str) -> Any:
    from fullconv.spec import ModelSpec

    return ModelSpec(name=name, padding=padding, weights=None)


def logits_of(model: FCN, image: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(image[None])["semantic"][0]


def stitched(model: FCN, image: Tensor, parts: list[Tile]) -> Tensor:
    found = torch.full((3, *image.shape[1:]), torch.nan, dtype=torch.float64)
    for rows, columns in parts:
        logits = logits_of(model, image[:, rows.begin : rows.end, columns.begin : columns.end])
        place = found[:, rows.first : rows.last, columns.first : columns.last]
        assert place.isnan().all()
        place.copy_(logits[:, rows.kept, columns.kept])
    return found


def random_image(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(height * 1000 + width)).double()


CASES = [
    ("fcn8s-minivgg", "own"),
    ("fcn32s-minivgg", "paper"),
    ("fcn8s-narrow-vgg16", "own"),
    ("fcn16s-squeezenet1_1", "same"),
    ("fcn32s-alexnet", "same"),
]


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(CASES), st.integers(1, 260), st.integers(1, 260), st.integers(20, 150), st.integers(20, 150))
def test_tiles_together_are_the_whole_image(case: tuple[str, str], height: int, width: int, tall: int, wide: int) -> None:
    model, image = net_of(*case), random_image(height, width)
    parts = tiles(model.geometry, (height, width), (tall, wide))
    whole = logits_of(model, image)
    assert whole.std() > 1e-3 or whole[0].numel() < 100
    torch.testing.assert_close(stitched(model, image, parts), whole, rtol=0, atol=1e-12 * whole.abs().max().item())
