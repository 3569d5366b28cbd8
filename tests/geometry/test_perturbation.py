"""The calculus against the nets themselves: change one pixel and see which outputs change."""

import operator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_nets import Cut, Padded, Wandering
from torch import nn

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Pad
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
    kind = draw(
        st.sampled_from(
            ["conv", "max", "avg", "power", "deconv", "pad", "filled", "cut", "wander", "nearest", "linear", "shuffle"]
        )
    )
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    stride = tuple(draw(st.integers(1, min(3, k))) for k in kernel)
    if kind == "conv":
        mode = draw(st.sampled_from(["zeros", "reflect", "replicate"]))
        return nn.Conv2d(1, 1, kernel, stride, padding=draw(st.integers(0, 3)), bias=False, padding_mode=mode)
    if kind == "deconv":
        padding = tuple(draw(st.integers(0, (k - 1) // 2)) for k in kernel)
        return nn.ConvTranspose2d(1, 1, kernel, stride, padding=padding, bias=False)
    if kind == "pad":
        return nn.ZeroPad2d(draw(st.integers(0, 3)))
    if kind == "filled":
        ends = tuple(draw(st.integers(0, 3)) for _ in range(4))
        return Padded(ends, draw(st.sampled_from(["constant", "reflect", "replicate"])))  # type: ignore[arg-type]  # four
    if kind == "cut":
        return Cut(draw(st.integers(0, 3)), draw(st.sampled_from([None, -1, -3])), draw(st.integers(1, 2)))
    if kind in ("wander", "nearest", "linear", "shuffle"):
        factor = draw(st.integers(1, 3))
        return {
            "wander": Wandering(),
            "nearest": nn.Upsample(scale_factor=factor),
            "linear": nn.Upsample(None, factor, "bilinear"),
            "shuffle": nn.Sequential(nn.Conv2d(1, factor**2, 1, bias=False), nn.PixelShuffle(factor)),
        }[kind]
    ceil = draw(st.booleans())
    if kind == "power":
        return nn.LPPool2d(1, kernel, stride, ceil)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    if kind == "max":
        return nn.MaxPool2d(kernel, stride, padding=padding, ceil_mode=ceil)
    divisor = draw(st.sampled_from([None, 3]))
    return nn.AvgPool2d(kernel, stride, padding, ceil, draw(st.booleans()), divisor)


def positive(net: nn.Module) -> nn.Module:
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.5)
    return net.double().eval()


@settings(max_examples=150)
@given(st.lists(layers(), min_size=1, max_size=4), st.integers(14, 26), st.integers(0, 1))
def test_intervals_are_what_perturbing_pixels_finds(parts: list[nn.Module], side: int, axis: int) -> None:
    net = positive(nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), *parts))
    geometry = trace(net)
    shape = [41, 41]
    shape[axis] = side
    try:
        sizes = geometry.sizes((shape[0], shape[1]))
    except GeometryError:
        assert leaves_nothing(net, shape)
        return
    moved = changed_rows(net, side, axis)
    assert moved.shape[1] == sizes[-1][axis]
    mirrored = any(isinstance(step, Pad) and step.fill != "constant" for layer in geometry.layers for step in layer.maps)
    agree = holds if mirrored else operator.eq  # a border that is mirrored is read in two places with a gap between them
    for out in range(moved.shape[1]):
        assert agree(geometry.depends_on(-1, (out, out), axis, side), span(moved[:, out]))
    for pixel in range(side):
        assert agree(geometry.changes((pixel, pixel), -1, axis, side), span(moved[pixel]))


def leaves_nothing(net: nn.Module, shape: list[int]) -> bool:
    """Whether an image is too small for the net: torch refuses it, or a slice is empty without a word."""
    try:
        return 0 in net(torch.zeros(1, 1, *shape, dtype=torch.float64)).shape
    except (RuntimeError, ValueError):
        return True


def span(moved: np.ndarray) -> tuple[int, int] | None:
    """Return the first and the last index at which something moved."""
    found = np.flatnonzero(moved)
    return (int(found[0]), int(found[-1])) if len(found) else None


def holds(outer: tuple[int, int] | None, inner: tuple[int, int] | None) -> bool:
    return inner is None or (outer is not None and outer[0] <= inner[0] and inner[1] <= outer[1])


@settings(max_examples=60)
@given(st.lists(layers(), min_size=1, max_size=5), st.integers(20, 60), st.integers(20, 60))
def test_every_layers_size_is_the_real_one(parts: list[nn.Module], height: int, width: int) -> None:
    parts = [nn.Conv2d(1, 1, 1), *parts]
    net = nn.Sequential(*parts).eval()
    geometry = trace(net)
    maps, real = torch.zeros(1, 1, height, width), {}
    try:
        sizes = geometry.sizes((height, width))
    except GeometryError:
        return
    for i, part in enumerate(parts):
        with torch.no_grad():
            maps = part(maps)
        real[str(i)] = tuple(maps.shape[2:])
    named = dict(zip((layer.name for layer in geometry.layers), sizes, strict=True))
    assert sizes[-1] == tuple(maps.shape[2:])
    for name in real.keys() & named.keys():
        assert named[name] == real[name]


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


class Shifted(nn.Module):
    """Two branches whose pixels do not lie on each other, and a layer behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(1, 1, 1, 2), nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(self.a(x) + self.b(x))


def test_misaligned_merges_have_sizes_and_intervals_but_no_places() -> None:
    net = positive(Shifted())
    geometry = trace(net)
    assert geometry.place("a") != geometry.place("b")
    for layer in ("add", "c"):
        for asked in (geometry.place, geometry.receptive_field, geometry.reach):
            with pytest.raises(GeometryError, match=r"add merges a at 2·i\+0.5 with b at 2·i\+0: their pixels do not lie"):
                asked(layer)
    assert geometry.sizes((20, 22))[-1] == net(torch.zeros(1, 1, 20, 22, dtype=torch.float64)).shape[2:]
    moved = changed_rows(net, 20, 0)
    for out in range(10):
        seen = np.flatnonzero(moved[:, out])
        assert geometry.depends_on(-1, (out, out), 0, 20) == (seen[0], seen[-1])


def test_an_operation_without_a_rule_is_named() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.MultiheadAttention(4, 1))
    with pytest.raises(GeometryError, match=r"no coordinate map is known for 1 \(MultiheadAttention\): it is none of"):
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
