"""The calculus against the nets themselves: change one pixel and see which outputs change."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fullconv.errors import GeometryError
from fullconv.geometry.trace import trace

HUGE = 1e3


def changed_rows(net: nn.Module, side: int, axis: int) -> np.ndarray:
    """Return bool (pixels, outputs): which entries along ``axis`` change when a pixel of it gets a huge value."""
    shape = [1, 1, 41, 41]
    shape[2 + axis] = side
    image = torch.rand(shape, dtype=torch.float64)
    with torch.no_grad():
        before = net(image)
        rows = []
        for pixel in range(side):
            poked = image.clone()
            poked.select(2 + axis, pixel).add_(HUGE)
            moved = (net(poked) != before).any(1)[0]
            rows.append(moved.any(1 - axis).numpy())
    return np.array(rows)


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    """One layer of positive weights, so that nothing cancels; each axis has its own numbers."""
    kind = draw(st.sampled_from(["conv", "max", "avg", "deconv", "pad"]))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    stride = tuple(draw(st.integers(1, min(3, k))) for k in kernel)
    if kind == "conv":
        return nn.Conv2d(1, 1, kernel, stride, padding=draw(st.integers(0, 3)), bias=False)
    if kind == "deconv":
        padding = tuple(draw(st.integers(0, (k - 1) // 2)) for k in kernel)
        return nn.ConvTranspose2d(1, 1, kernel, stride, padding=padding, bias=False)
    if kind == "pad":
        return nn.ZeroPad2d(draw(st.integers(0, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
    return pool(kernel, stride, padding=padding, ceil_mode=draw(st.booleans()))


def positive(net: nn.Module) -> nn.Module:
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.5)
    return net.double().eval()


@settings(max_examples=150)
@given(st.lists(layers(), min_size=1, max_size=4), st.integers(14, 26), st.integers(0, 1))
def test_intervals_are_what_perturbing_pixels_finds(parts: list[nn.Module], side: int, axis: int) -> None:
    net = positive(nn.Sequential(*parts))
    geometry = trace(net)
    shape = [41, 41]
    shape[axis] = side
    try:
        sizes = geometry.sizes((shape[0], shape[1]))
    except GeometryError:
        with pytest.raises(RuntimeError):
            net(torch.zeros(1, 1, *shape, dtype=torch.float64))
        return
    moved = changed_rows(net, side, axis)
    assert moved.shape[1] == sizes[-1][axis]
    for out in range(moved.shape[1]):
        seen = np.flatnonzero(moved[:, out])
        assert geometry.depends_on(-1, (out, out), axis, side) == ((seen[0], seen[-1]) if len(seen) else None)
    for pixel in range(side):
        hit = np.flatnonzero(moved[pixel])
        assert geometry.changes((pixel, pixel), -1, axis, side) == ((hit[0], hit[-1]) if len(hit) else None)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=5))
def test_receptive_field_and_stride_by_the_textbook_sum(numbers: list[tuple[int, int]]) -> None:
    geometry = trace(nn.Sequential(*(nn.Conv2d(1, 1, k, s) for k, s in numbers)))
    field, stride = 1, 1
    for kernel, step in numbers:
        field, stride = field + (kernel - 1) * stride, stride * step
    place = geometry.place(-1)
    assert place is not None
    assert (geometry.receptive_field(-1), place.stride) == (field, stride)


def test_dilation_by_gradient() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=2, dilation=2, bias=False), nn.Conv2d(1, 1, 3, stride=2, bias=False))
    geometry = trace(positive(net))
    image = torch.rand(1, 1, 21, 21, dtype=torch.float64, requires_grad=True)
    net(image)[0, 0, 4, 4].backward()
    rows = np.flatnonzero(image.grad.abs().sum(3)[0, 0].numpy())  # type: ignore[union-attr]
    assert geometry.depends_on(-1, (4, 4), 0) == (rows[0], rows[-1])


class Branches(nn.Module):
    """A residual block whose main branch reads more than its shortcut, and a gate over the whole image."""

    def __init__(self, gated: bool) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 1, 5, 2, padding=2, bias=False)
        self.short = nn.Conv2d(1, 1, 1, 2, bias=False)
        self.gate = nn.AdaptiveAvgPool2d(1)
        self.gated = gated

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([self.wide(x) + self.short(x), self.wide(x)], 1)
        return joined * self.gate(joined) if self.gated else joined


def test_merges_take_the_union() -> None:
    net = positive(Branches(gated=False))
    moved = changed_rows(net, 21, 0)
    geometry = trace(net)
    for out in range(moved.shape[1]):
        seen = np.flatnonzero(moved[:, out])
        assert geometry.depends_on(-1, (out, out), 0, 21) == (seen[0], seen[-1])


def test_layers_that_see_the_whole_image_are_named() -> None:
    geometry = trace(positive(Branches(gated=True)))
    assert geometry.global_layers == ["gate"]
    assert geometry.receptive_field(-1) is None
    assert geometry.reach() is None
    assert geometry.depends_on(-1, (3, 3), 0, 21) == (0, 20)
    assert geometry.changes((20, 20), -1, 0, 21) == (0, 10)
    assert geometry.place(-1) == geometry.place("wide_1")


def test_misaligned_merge_is_refused() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.MaxPool2d(2), nn.Conv2d(1, 1, 1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(x)

    with pytest.raises(GeometryError, match=r"add merges a at 2·i\+0.5 with b at 2·i\+0"):
        trace(Shifted())


def test_an_operation_without_a_rule_is_named() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.PixelShuffle(2))
    with pytest.raises(GeometryError, match=r"no coordinate map is known for 1 \(PixelShuffle\)"):
        trace(net)


def test_too_small_an_image_is_refused_with_the_layer() -> None:
    geometry = trace(nn.Sequential(nn.Conv2d(1, 1, 5), nn.MaxPool2d(2)))
    assert geometry.min_size == 6
    with pytest.raises(GeometryError, match="an image side of 5 px is too small: nothing is left after 1"):
        geometry.sizes((6, 5))


def test_reach_and_receptive_field_are_the_largest_distance_and_extent_found() -> None:
    """A little FCN: two poolings, a convolution, and back up by 4 with a crop that puts output on input."""
    parts = [
        nn.Conv2d(1, 1, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.MaxPool2d(2),
        nn.Conv2d(1, 1, 3, padding=1, bias=False),
    ]
    net = positive(nn.Sequential(*parts, nn.ConvTranspose2d(1, 1, 8, 4, padding=2, bias=False)))
    geometry = trace(net)
    assert geometry.place(-1) == geometry.place(0)
    moved = changed_rows(net, 80, 0)
    inner = range(32, 48)  # every phase of the stride, far from the borders
    seen = {out: np.flatnonzero(moved[:, out]) for out in inner}
    assert geometry.reach() == max(max(out - rows[0], rows[-1] - out) for out, rows in seen.items())
    assert geometry.receptive_field(-1) == max(rows[-1] - rows[0] + 1 for rows in seen.values())


def test_average_pooling_by_function_is_read_in_its_own_order_of_arguments() -> None:
    """Its fifth argument after the input is ``count_include_pad``, where that of max pooling is ``ceil_mode``."""

    class Pooled(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return F.avg_pool2d(images, 2, 2, 0, False, True)

    net = Pooled()
    for side in (6, 7):
        assert trace(net).sizes((side, side))[-1] == net(torch.zeros(1, 1, side, side)).shape[-2:]
