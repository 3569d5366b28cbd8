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
from fullconv.inference.engines.winograd import WinogradConv2d

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


def test_polynomials_are_multiplied_by_their_values() -> None:
    """The identity in exact numbers' reach: y[i] = sum of w[k] x[i + k]."""
    inputs, weights, outputs = winograd.transforms()
    for x in np.eye(6):
        for w in np.eye(3):
            assert outputs @ ((weights @ w) * (inputs @ x)) == pytest.approx(np.correlate(x, w), abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 2),
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_maps_of_any_size(count: int, height: int, width: int, padding: int, relu: bool, bias: bool, last: bool) -> None:
    torch.manual_seed(height * 64 + width)
    height, width = (max(side, 3 - 2 * padding) for side in (height, width))
    layer = nn.Conv2d(MANY, MANY + 3, 3, padding=padding, bias=bias)
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
        monkeypatch.setattr(winograd, "BLOCK", winograd.BLOCK // 16)
        parts = computed(layer, maps)
    assert calls[0] == 13  # of four rows each
    assert calls[1:] == [2, 2, 2, 2, 2, 3]
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6 * float(whole.abs().max()))


def test_the_error_is_near_that_of_a_direct_convolution() -> None:
    """The points matter: with 0, ±1, ±2 this is 7e-6."""
    torch.manual_seed(0)
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    maps = torch.randn(1, 256, 30, 40).relu()
    with torch.inference_mode():
        found, direct = computed(layer, maps), layer(maps)
        truth = F.conv2d(maps.double(), layer.weight.double(), padding=1)
    errors = [float((each - truth).abs().max() / truth.abs().max()) for each in (found, direct)]
    assert errors[0] < 4e-6
    assert errors[0] < 8 * errors[1]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(MANY, MANY, 3, stride=2),
        nn.Conv2d(MANY, MANY, 3, dilation=2),
        nn.Conv2d(MANY, MANY, 3, groups=2),
        nn.Conv2d(MANY, MANY, (3, 1)),
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


def test_work_counts_a_quarter() -> None:
    net = nn.Sequential(nn.Conv2d(MANY, MANY, 3), nn.Conv2d(MANY, 8, 3))
    parts = folded(fx.GraphModule(net, Tracer().trace(net)), torch.float32, WinogradConv2d).modules()
    assert [part.work for part in parts if isinstance(part, WinogradConv2d)] == [MANY**2 * 9 // 4, MANY * 8 * 9]
