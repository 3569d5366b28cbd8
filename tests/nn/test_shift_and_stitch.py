"""Shift and stitch, filter rarefaction, and the classifier itself on every window: three ways to one dense map."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fullconv.errors import GeometryError
from fullconv.geometry.trace import trace
from fullconv.nn.atrous import atrous
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.backbones.narrow import narrow
from fullconv.nn.convolutionalize import DenseClassifier, convolutionalize
from fullconv.nn.shift_and_stitch import defined_region, shift_and_stitch

EXACT = 1e-10
WIDE = ("resnet18", "googlenet")
"""Run with a fourth of their channels, as every shift takes a pass."""
Region = tuple[slice, ...]


def slid(classifier: nn.Module, image: Tensor, window: tuple[int, int], stride: int) -> Tensor:
    """Return logits (1, K, h, w) of the classifier on every window of one image (1, C, H, W)."""
    height, width = image.shape[-2:]
    rows = range(0, height - window[0] + 1, stride)
    columns = range(0, width - window[1] + 1, stride)
    windows = [image[0, :, y : y + window[0], x : x + window[1]] for y in rows for x in columns]
    return classifier(torch.stack(windows)).T.reshape(1, -1, len(rows), len(columns))


class FunctionPool(nn.Module):
    """Pooling by a function call, its arguments in order or by name."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], largest: bool) -> None:
        super().__init__()
        self.kernel, self.stride, self.largest = kernel, stride, largest

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.kernel, stride=self.stride) if self.largest else F.avg_pool2d(x, self.kernel, self.stride)


@st.composite
def classifiers(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, int]]:
    """A classifier without padding, the (height, width) that it needs exactly."""
    parts: list[nn.Module] = []
    steps = []
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    for kind in draw(st.lists(st.sampled_from(["conv", "max", "avg", "max function", "avg function"]), min_size=1, max_size=4)):
        kernel, stride, dilation = draw(pair), draw(pair), (1, 1)
        if kind in ("conv", "max"):
            dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
        if kind == "conv":
            groups = draw(st.sampled_from([1, 2]))
            parts += [nn.Conv2d(4, 4, kernel, stride, dilation=dilation, groups=groups), nn.ReLU(inplace=draw(st.booleans()))]
        elif kind == "max":
            parts.append(nn.MaxPool2d(kernel, stride, dilation=dilation))
        elif kind == "avg":
            parts.append(nn.AvgPool2d(kernel, stride))
        else:
            parts.append(FunctionPool(kernel, stride, kind.startswith("max")))
        steps.append((kernel, stride, dilation))
    last = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = list(last)
    for step in reversed(steps):
        for axis, (kernel, stride, dilation) in enumerate(zip(*step, strict=True)):
            size[axis] = (size[axis] - 1) * stride + dilation * (kernel - 1) + 1
    parts += [nn.Flatten(), nn.Linear(4 * last[0] * last[1], 5), nn.ReLU(), nn.Linear(5, 3)]
    return nn.Sequential(*parts).double().eval(), (size[0], size[1])


@settings(max_examples=40)
@given(classifiers(), st.integers(0, 7), st.integers(0, 7), st.data(), st.integers(0, 2**31))
def test_both_are_the_classifier_on_every_window(
    made: tuple[nn.Module, tuple[int, int]], rows: int, columns: int, data: st.DataObject, seed: int
) -> None:
    torch.manual_seed(seed)
    classifier, native = made
    for part in classifier.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            part.reset_parameters()
    net = convolutionalize(classifier, native)
    common = math.gcd(*strides(net.graph))  # an average pooling of the whole window has lost its own
    stride = data.draw(st.sampled_from([n for n in range(1, common + 1) if common % n == 0]))
    image = torch.randn(1, 4, native[0] + rows, native[1] + columns, dtype=torch.float64)
    with torch.no_grad():
        truth = slid(classifier, image, native, stride)
        for found in (shift_and_stitch(net, image, stride), atrous(net, stride)(image)):
            assert found.shape == truth.shape
            assert (found - truth).abs().max() < EXACT
    assert defined_region(net, (image.shape[2], image.shape[3]), stride) == ((0, truth.shape[2] - 1), (0, truth.shape[3] - 1))


def test_strides_that_do_not_come_in_the_order_of_the_wanted_one() -> None:
    """3 then 2 to 2: the first is taken away, the second kept. 4 then 3 to 2: the first is halved, the second taken away."""
    torch.manual_seed(0)
    for first, second in ((3, 2), (4, 3)):
        parts = [nn.Conv2d(3, 4, 4, first), nn.AvgPool2d(3, second), nn.Conv2d(4, 4, 2), nn.MaxPool2d(2, 1)]
        classifier = nn.Sequential(*parts, nn.Flatten(), nn.Linear(4, 3)).double()
        native = first * (2 * second + 3 - 1) + 4
        image = torch.randn(1, 3, native + 13, native + 8, dtype=torch.float64)
        net = convolutionalize(classifier, (native, native))
        truth = slid(classifier, image, (native, native), 2)
        for found in (shift_and_stitch(net, image, 2), atrous(net, 2)(image)):
            assert found.shape == truth.shape
            assert (found - truth).abs().max() < EXACT


def test_cut_windows_of_ceil_mode_are_outside_the_region() -> None:
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 4, 3, 2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(3, 2, ceil_mode=True)]
    classifier = nn.Sequential(*parts, nn.Flatten(), nn.Linear(4, 3)).double()
    net = convolutionalize(classifier, (15, 15))
    for side in range(15, 32):
        image = torch.randn(1, 3, side, 15, dtype=torch.float64)
        truth = slid(classifier, image, (15, 15), 1)
        rows, columns = defined_region(net, (side, 15))
        assert rows == (0, side - 15)
        assert columns == (0, 0)
        stitched, dense = shift_and_stitch(net, image), atrous(net)(image)
        assert (stitched[:, :, : side - 14, :1] - truth).abs().max() < EXACT
        assert (dense[:, :, : side - 14, :1] - truth).abs().max() < EXACT
        assert dense.shape[2] == side - 14  # no window is cut where none is left out
        assert stitched.shape[2] > side - 14


def randomised(name: str, native: int) -> DenseClassifier:
    """Return a backbone made dense, its scores as different from place to place as after training."""
    torch.manual_seed(0)
    classifier = BACKBONES[name].build().eval()
    if name in WIDE:
        classifier = narrow(classifier, 1 / 4).eval()
    for part in classifier.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.running_mean, std=0.1)
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
    return convolutionalize(classifier, (native, native))


def region(net: nn.Module, image: Tensor, stride: int) -> Region:
    rows, columns = defined_region(net, (image.shape[2], image.shape[3]), stride)
    assert rows is not None
    assert columns is not None
    return ..., slice(rows[0], rows[1] + 1), slice(columns[0], columns[1] + 1)  # type: ignore[return-value]


def difference(found: Tensor, truth: Tensor) -> float:
    """Return the largest difference, after the mean over the map is taken off, by the largest score that is left."""
    level = truth.mean((2, 3), keepdim=True)
    return ((found - truth).abs().max() / (truth - level).abs().max()).item()


@pytest.mark.parametrize(
    ("name", "native", "height", "width", "stride"),
    [
        ("minivgg", 96, 256, 280, 8),
        ("squeezenet1_1", 64, 272, 288, 4),
        ("narrow-alexnet", 227, 408, 424, 16),
        ("resnet18", 64, 496, 520, 16),
        ("googlenet", 64, 448, 460, 16),
    ],
)
def test_padded_nets_agree_where_no_padding_is_read(name: str, native: int, height: int, width: int, stride: int) -> None:
    net = randomised(name, native)
    image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        stitched, dense = shift_and_stitch(net, image, stride), atrous(net, stride)(image)
    where = region(net, image, stride)
    assert dense[where].shape[-2] * dense[where].shape[-1] > 1
    assert difference(stitched[where], dense[where]) < 1e-4


def test_beyond_the_region_they_part() -> None:
    """On minivgg, shifts meet the zeros in front of the image, which a net without strides never sees."""
    net = randomised("minivgg", 96)
    image = torch.randn(1, 3, 256, 256)
    stitched, dense = shift_and_stitch(net, image, 8), atrous(net, 8)(image)
    rows, columns = (span.start for span in region(net, image, 8)[1:])
    assert difference(stitched[:, :, rows - 1 :, columns:], dense[:, :, rows - 1 :, columns:]) > 1e-3
    assert difference(stitched[:, :, rows:, columns - 1 :], dense[:, :, rows:, columns - 1 :]) > 1e-3


def test_inside_the_region_the_surroundings_do_not_matter() -> None:
    net = randomised("minivgg", 96)
    larger = torch.randn(1, 3, 320, 352)
    image = larger[:, :, 32:288, 64:320]
    dense = atrous(net, 8)
    with torch.no_grad():
        here, there = dense(image), dense(larger)[:, :, 4:, 8:]
    where = region(net, image, 8)
    assert difference(here[where], there[where]) < 1e-4
    for axis in (0, 1):
        clear = trace(dense).clear_of_padding(-1, 256, axis)
        assert clear is not None
        assert clear[0] <= where[1 + axis].start
        assert clear[1] == where[1 + axis].stop - 1  # behind the image both see the same zeros, so this end is one and the same


class Merge(nn.Module):
    """Two branches at the same places, of which one reads more than the other."""

    def __init__(self, stride: tuple[int, int]) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(1, 1, 3, stride, padding=1), nn.Conv2d(1, 1, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x) + self.narrow(x)


@st.composite
def padded_layers(draw: st.DrawFn, ceil: bool = False) -> nn.Module:
    """A layer with padding of any kind; each axis has its own numbers."""
    kind = draw(st.sampled_from(["conv", "same", "max", "avg", "pad", "merge"]))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, kernel[0])), draw(st.integers(1, kernel[1])))
    half = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    if kind == "conv":
        return nn.Conv2d(1, 1, kernel, stride, padding=(half[0] + 1, half[1]), dilation=draw(st.integers(1, 2)))
    if kind == "same":
        odd = (kernel[0] // 2 * 2 + 1, kernel[1] // 2 * 2 + 1)  # of even kernels torch warns; test_atrous.py has one
        return nn.Conv2d(1, 1, odd, padding="same")
    if kind == "merge":
        return Merge(stride)
    if kind == "pad":
        return nn.ZeroPad2d(tuple(draw(st.integers(-1, 2)) for _ in range(4)))
    pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
    return pool(kernel, stride, padding=half, ceil_mode=ceil and draw(st.booleans()))


def positive(parts: list[nn.Module]) -> nn.Module:
    net = nn.Sequential(*parts).double().eval()
    for parameter in net.parameters():
        nn.init.uniform_(parameter, 0.3, 0.7)
    return net


def strides(net: nn.Module) -> tuple[int, int]:
    vertical, horizontal = (int(place.stride) for axis in (0, 1) if (place := trace(net).place(-1, axis)) is not None)
    return vertical, horizontal


@settings(max_examples=40)
@given(st.lists(padded_layers(), min_size=1, max_size=4), st.integers(20, 30), st.data())
def test_every_stride_th_entry_of_a_rarefied_net_is_the_net_borders_included(
    parts: list[nn.Module], side: int, data: st.DataObject
) -> None:
    torch.manual_seed(0)
    net = positive(parts)
    own = strides(net)
    stride = data.draw(st.sampled_from([n for n in range(1, 9) if math.gcd(*own) % n == 0]))
    image = torch.rand(2, 1, side, 31, dtype=torch.float64)
    with torch.no_grad():
        try:
            truth = net(image)
        except RuntimeError:
            return  # the image was too small for the net
        dense = atrous(net, stride)(image)
        part = dense[:, :, :: own[0] // stride, :: own[1] // stride]
        assert part.shape == truth.shape
        assert (part - truth).abs().max() < EXACT
        stitched = shift_and_stitch(net, image, stride)
    least = trace(net).min_size  # a shift that leaves less gives nothing, and the map ends before its first entry
    if min(side - own[0], 31 - own[1]) >= least:
        assert stitched.shape == dense.shape
    assert all(few <= many for few, many in zip(stitched.shape, dense.shape, strict=True))


@settings(max_examples=80)
@given(st.lists(padded_layers(ceil=True), min_size=1, max_size=4), st.integers(14, 26), st.integers(0, 1))
def test_clear_of_padding_is_what_stays_the_same_in_a_larger_image(parts: list[nn.Module], side: int, axis: int) -> None:
    net, geometry = positive(parts), trace(nn.Sequential(*parts))
    try:
        geometry.sizes((side, 41) if axis == 0 else (41, side))
    except GeometryError:
        return
    step = strides(net)[axis]
    before = step * math.ceil(60 / step)
    image = torch.rand(1, 1, side, 41, dtype=torch.float64) + 1
    larger = torch.full((1, 1, before + side + 60, 41), 1e3, dtype=torch.float64)
    larger[:, :, before : before + side] = image
    if axis == 1:
        image, larger = image.mT, larger.mT
    with torch.no_grad():
        here, there = net(image), net(larger)
    start = before // step
    count = here.shape[2 + axis]
    same = torch.isclose(here, there.narrow(2 + axis, start, count), rtol=1e-12, atol=0).all(3 - axis).flatten()
    found = torch.nonzero(same).flatten().tolist()
    clear = geometry.clear_of_padding(-1, side, axis)
    assert found == ([] if clear is None else list(range(clear[0], clear[1] + 1)))


@settings(max_examples=80)
@given(st.lists(padded_layers(ceil=True), min_size=1, max_size=4), st.integers(1, 12), st.integers(1, 12))
def test_the_region_lies_on_the_map(parts: list[nn.Module], height: int, width: int) -> None:
    """On images hardly larger than the net's smallest one too, where only some of the shifts give anything."""
    net = positive(parts)
    try:
        found = defined_region(net, (height, width))
    except GeometryError:
        return  # the image was too small for the net
    with torch.no_grad():
        shape = shift_and_stitch(net, torch.zeros(1, 1, height, width, dtype=torch.float64)).shape[2:]
    for span, n in zip(found, shape, strict=True):
        assert span is None or 0 <= span[0] <= span[1] < n


def test_a_region_beyond_the_map_is_none() -> None:
    net = nn.Sequential(nn.AvgPool2d(4, 2), nn.ZeroPad2d((2, 2, -1, 1)))
    assert shift_and_stitch(net, torch.zeros(1, 1, 4, 4)).shape[2:] == (1, 1)
    assert defined_region(net, (4, 4))[0] is None


@pytest.mark.parametrize("padding", ["layer", "of the convolution"])
def test_shifts_that_are_too_small_to_be_mirrored_end_the_map(padding: str) -> None:
    """The stride-4 net needs 5 rows and columns to mirror; what is left of fewer gives nothing, and the map ends before."""
    first = nn.Conv2d(1, 1, 5, 4, padding=2, padding_mode="reflect")
    parts = [first] if padding != "layer" else [nn.ReflectionPad2d(2), nn.Conv2d(1, 1, 5, 4)]
    net = positive(parts)
    for side in range(3, 12):
        image = torch.rand(1, 1, side, side, dtype=torch.float64)
        with torch.no_grad():
            found = shift_and_stitch(net, image)
            for y in range(found.shape[2]):
                for x in range(found.shape[3]):
                    truth = net(image[:, :, y % 4 :, x % 4 :])[0, 0, y // 4, x // 4]
                    assert found[0, 0, y, x] == truth
        with pytest.raises((RuntimeError, IndexError)):  # the next entry exists for no shift
            net(image[:, :, found.shape[2] % 4 :])[0, 0, found.shape[2] // 4, 0]
    with pytest.raises(GeometryError, match="an image side of 2 px is too small"):
        shift_and_stitch(net, torch.zeros(1, 1, 2, 9, dtype=torch.float64))
