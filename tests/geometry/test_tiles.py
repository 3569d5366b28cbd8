"""Exact tiles: what a window computes is what the whole image computes, and a window that is laid wrongly is not."""

import functools

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from fullconv.errors import GeometryError
from fullconv.geometry.graph import Geometry
from fullconv.geometry.tiles import Tile, overhead, spans, tiles
from fullconv.geometry.trace import trace
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec

CASES = {
    "minivgg": ModelSpec(name="fcn8s-minivgg"),
    "vgg16": ModelSpec(name="fcn8s-narrow-vgg16", padding="paper"),
    "alexnet": ModelSpec(name="fcn16s-narrow-alexnet", padding="same"),
    "squeezenet": ModelSpec(name="fcn4s-squeezenet1_1"),
}
BLOCKS = {"resnet": ModelSpec(name="fcn8s-resnet18"), "lite": ModelSpec(name="fcn8s-efficientnet_lite0")}


@functools.cache
def net_of(case: str) -> tuple[FCN, Geometry]:
    """Return a net in float64 whose logits depend on everything that it sees, and its geometry."""
    torch.manual_seed(0)
    model = build_model((CASES | BLOCKS)[case], 3)
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.double().eval(), model.geometry


def logits_of(model: nn.Module, image: Tensor) -> Tensor:
    with torch.inference_mode():
        found = model(image[None])
    return (found["semantic"] if isinstance(found, dict) else found)[0]


def stitched(model: nn.Module, image: Tensor, parts: list[Tile]) -> Tensor:
    found = torch.full((3, *image.shape[1:]), torch.nan, dtype=torch.float64)
    for rows, columns in parts:
        logits = logits_of(model, image[:, rows.begin : rows.end, columns.begin : columns.end])
        place = found[:, rows.first : rows.last, columns.first : columns.last]
        assert place.isnan().all()
        place.copy_(logits[:, rows.kept, columns.kept])
    return found


def random_image(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(height * 1000 + width)).double()


def check_same(model: nn.Module, geometry: Geometry, size: tuple[int, int], core: tuple[int, int]) -> None:
    image = random_image(*size)
    whole = logits_of(model, image)
    found = stitched(model, image, tiles(geometry, size, core))
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-12 * max(whole.abs().max().item(), 1))


@settings(max_examples=6)
@given(st.sampled_from(sorted(CASES)), st.integers(1, 200), st.integers(1, 200), st.integers(60, 130), st.integers(60, 130))
@example("vgg16", 200, 33, 101, 33)
@example("squeezenet", 97, 200, 97, 67)
def test_tiles_together_are_the_whole_image(case: str, height: int, width: int, tall: int, wide: int) -> None:
    check_same(*net_of(case), (height, width), (tall, wide))


@pytest.mark.parametrize("case", sorted(BLOCKS))
def test_nets_of_blocks_too(case: str) -> None:
    model, geometry = net_of(case)
    check_same(model, geometry, (33, 600 if case == "resnet" else 1060), (33, 300 if case == "resnet" else 530))


def test_mirrored_and_repeated_borders_too() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=4, dilation=2, padding_mode="reflect"),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate"),
        nn.Upsample(scale_factor=2),
    ).double()
    check_same(net, trace(net), (40, 64), (8, 6))


def broken(case: str, change: dict[str, int]) -> float:
    """Return the largest difference to the whole image when the windows of the tiles in the middle are laid otherwise."""
    model, geometry = net_of(case)
    size = (64, 700)
    image = random_image(*size)
    rows, columns = spans(geometry, 0, size[0], size[0])[0], spans(geometry, 1, size[1], 32)
    middle = columns[len(columns) // 2]
    laid = middle._replace(begin=middle.begin + change.get("begin", 0), end=middle.end + change.get("end", 0))
    part = logits_of(model, image[:, :, laid.begin : laid.end])[:, rows.kept, laid.kept]
    return (part - logits_of(model, image)[:, :, laid.first : laid.last]).abs().max().item()


@pytest.mark.parametrize("case", ["minivgg", "alexnet"])
def test_off_the_grid_it_breaks(case: str) -> None:
    assert broken(case, {}) < 1e-10
    assert broken(case, {"begin": -32}) < 1e-10
    assert broken(case, {"begin": -16}) > 1e-5
    assert broken(case, {"begin": -31}) > 1e-5


@pytest.mark.parametrize("case", ["minivgg", "alexnet"])
def test_with_a_halo_one_stride_short_it_breaks(case: str) -> None:
    assert broken(case, {"begin": 32}) > 1e-9
    assert broken(case, {"end": -32}) > 1e-9


def test_a_net_that_sees_the_whole_image_is_refused_by_name() -> None:
    parts = [(SqueezeExcitation(6, 2), nn.Conv2d(6, 6, 3, padding=1)) for _ in range(3)]
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), *(layer for pair in parts for layer in pair))
    with pytest.raises(GeometryError, match=r"sees the whole image at once \(by 1\.avgpool, 3\.avgpool and 1 more\).*approximat"):
        tiles(trace(net), (300, 300), (100, 100))


def test_outputs_that_are_no_pixels_are_refused() -> None:
    with pytest.raises(GeometryError, match="not on the image's pixels"):
        tiles(trace(nn.Conv2d(3, 3, 2, 2)), (30, 30), (10, 10))
    with pytest.raises(GeometryError, match="a tile keeps 0 px"):
        tiles(trace(nn.Conv2d(3, 3, 3, padding=1)), (30, 30), (0, 10))


def test_overhead_counts_every_pixel_that_is_computed() -> None:
    geometry = trace(nn.Conv2d(3, 3, 3, padding=1))
    assert overhead(tiles(geometry, (20, 10), (20, 10)), (20, 10)) == 1
    assert overhead(tiles(geometry, (20, 10), (10, 10)), (20, 10)) == 22 / 20
