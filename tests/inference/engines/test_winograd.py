"""Winograd's algorithm against the convolution's definition in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from fullconv.geometry.trace import Tracer
from fullconv.inference.engines import winograd
from fullconv.inference.engines.folded import folded
from fullconv.inference.engines.packed import can_pack
from fullconv.inference.engines.winograd import FILTERINGS, WinogradConv2d

pytestmark = pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="convolutions are packed on x86 processors alone")
MANY = winograd.LEAST_CHANNELS


def computed(net: nn.Module, maps: Tensor) -> Tensor:
    net = nn.Sequential(net).eval()
    return folded(fx.GraphModule(net, Tracer().trace(net)), torch.float32, WinogradConv2d)(maps)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of tiles of every block that goes through the algorithm."""
    found: list[int] = []
    rows = winograd.Moved._rows

    def counted(self: winograd.Moved, image: Tensor, made: Tensor) -> None:
        found.append(len(made))
        rows(self, image, made)

    monkeypatch.setattr(winograd.Moved, "_rows", counted)
    return found


@pytest.mark.parametrize("filtering", FILTERINGS.values(), ids=lambda each: f"{each.taps}")
def test_polynomials_are_multiplied_by_their_values(filtering: winograd.Filtering) -> None:
    """y[i] = sum of w[k] x[i + k], for every unit vector of both."""
    inputs, weights, outputs = filtering.transforms()
    for x in np.eye(filtering.read):
        for w in np.eye(filtering.taps):
            assert outputs @ ((weights @ w) * (inputs @ x)) == pytest.approx(np.correlate(x, w), abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_maps_of_any_size(data: st.DataObject) -> None:
    taps, padding = data.draw(st.sampled_from([3, 3, 7])), data.draw(st.integers(0, 3))
    least, most = max(1, taps - 2 * padding), 60 if taps == 3 else 24
    count, height, width = data.draw(st.tuples(st.integers(1, 2), st.integers(least, most), st.integers(least, most)))
    relu, bias, last = data.draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    torch.manual_seed(height * 64 + width)
    layer = nn.Conv2d(MANY, MANY + 3, taps, padding=padding, bias=bias)
    maps = torch.randn(count, MANY, height, width)
    if last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        found = computed(nn.Sequential(layer, nn.ReLU()) if relu else layer, maps)
        truth = F.conv2d(
            maps.double(), layer.weight.double(), layer.bias.double() if layer.bias is not None else None, 1, padding
        )
    truth = truth.relu() if relu else truth
    assert found.shape == truth.shape
    assert float((found - truth).abs().max()) <= 1e-5 * float(truth.abs().max())


def test_blocks_of_rows_give_what_all_rows_at_once_give(calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    layer, maps = nn.Conv2d(MANY, MANY, 3, padding=1), torch.randn(1, MANY, 50, 41)
    with torch.inference_mode():
        whole = computed(layer, maps)
        monkeypatch.setattr(winograd, "BLOCK", 1)
        parts = computed(layer, maps)
    assert calls == [13, 4, 4, 5]  # rows of four pixels and of eleven tiles: 64 tiles at a time, about
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6 * float(whole.abs().max()))


@pytest.mark.parametrize(("taps", "error"), [(3, 4e-6), (7, 8e-6)])
def test_the_error_is_some_millionths(taps: int, error: float) -> None:
    """The points matter: 3×3 with 0, ±1, ±2 has 7e-6."""
    torch.manual_seed(0)
    layer = nn.Conv2d(256, 256, taps, padding=taps // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    maps = torch.randn(1, 256, 18, 30).relu()
    with torch.inference_mode():
        found = computed(layer, maps)
        truth = F.conv2d(maps.double(), layer.weight.double(), padding=taps // 2)
    assert float((found - truth).abs().max() / truth.abs().max()) < error


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(MANY, MANY, 3, stride=2),
        nn.Conv2d(MANY, MANY, 3, dilation=2),
        nn.Conv2d(MANY, MANY, 3, groups=2),
        nn.Conv2d(MANY, MANY, (3, 1)),
        nn.Conv2d(MANY, MANY, 5),
        nn.Conv2d(MANY, MANY - 1, 3),
        nn.Sequential(nn.Conv2d(MANY, MANY, 3), nn.SiLU()),
    ],
    ids=str,
)
def test_others_stay_direct(layer: nn.Module, calls: list[int]) -> None:
    maps = torch.randn(1, MANY, 44, 44)
    with torch.inference_mode():
        torch.testing.assert_close(computed(layer, maps), layer(maps), rtol=1e-4, atol=1e-5)
    assert not calls


def test_small_maps_stay_direct(calls: list[int]) -> None:
    layer = nn.Conv2d(MANY, MANY, 3)
    with torch.inference_mode():
        computed(layer, torch.randn(1, MANY, 6, 6))
        assert not calls
        computed(layer, torch.randn(1, MANY, 26, 26))
        assert calls == [6]


def test_work_counts_what_is_left() -> None:
    net = nn.Sequential(nn.Conv2d(MANY, MANY, 3), nn.Conv2d(MANY, MANY, 7), nn.Conv2d(MANY, 8, 3))
    parts = folded(fx.GraphModule(net, Tracer().trace(net)), torch.float32, WinogradConv2d).modules()
    assert [part.work for part in parts if isinstance(part, WinogradConv2d)] == [MANY**2 * 36 // 16, MANY**2 * 16, MANY * 8 * 9]
