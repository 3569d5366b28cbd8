"""What rewriting a net for dense output leaves as it was, what it shares, and what it and shift and stitch refuse."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Place, Window
from fullconv.geometry.trace import trace
from fullconv.nn.atrous import atrous
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.fit import Overlap
from fullconv.nn.shift_and_stitch import defined_region, shift_and_stitch
from fullconv.nn.trunk import Trunk, build_trunk
from fullconv.nn.windows import DilatedAverage

EXACT = 1e-10


def small() -> nn.Module:
    parts = [nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2), nn.Dropout()]
    return nn.Sequential(*parts).double().eval()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_its_place_and_receptive_field_are_those_of_the_net(stride: int) -> None:
    net = small()
    before, after = trace(net), trace(atrous(net, stride))
    for axis in (0, 1):
        old, new = before.place(-1, axis), after.place(-1, axis)
        assert old is not None
        assert new == Place(old.stride * stride / 4, old.offset)
        assert after.receptive_field(-1, axis) == before.receptive_field(-1, axis)
    assert len(shift_and_stitch(net, torch.zeros(3, 3, 30, 30, dtype=torch.float64), stride)) == 3


def test_parameters_are_shared_and_the_net_is_not_touched() -> None:
    torch.manual_seed(0)
    net = small()
    image = torch.randn(1, 3, 21, 26, dtype=torch.float64)
    printed, truth = str(net), net(image)
    dense = atrous(net)
    assert list(dense.state_dict()) == list(net.state_dict())
    for name, tensor in net.state_dict(keep_vars=True).items():
        assert dense.state_dict(keep_vars=True)[name] is tensor
    dense.train()
    dense.get_submodule("0").register_forward_hook(lambda *_: pytest.fail("a hook of the copy was called"))
    dense.get_submodule("4").weight = nn.Parameter(torch.zeros(5, 4, 2, 2, dtype=torch.float64))  # type: ignore[assignment]
    assert not any(part.training for part in net.modules())
    assert str(net) == printed
    assert torch.equal(net(image), truth)


def test_gradients_are_the_same_both_ways() -> None:
    torch.manual_seed(0)
    net = small()
    image = torch.randn(2, 3, 21, 26, dtype=torch.float64, requires_grad=True)
    found = []
    for dense in (shift_and_stitch(net, image), atrous(net)(image)):
        weights = torch.linspace(-1, 1, dense.numel(), dtype=torch.float64).view_as(dense)
        found.append(torch.autograd.grad((dense * weights).sum(), [image, *net.parameters()]))
    for stitched, rarefied in zip(*found, strict=True):
        assert rarefied.abs().max() > 0
        assert (stitched - rarefied).abs().max() < EXACT
    with torch.no_grad():
        assert not shift_and_stitch(net, image).requires_grad


class Reused(nn.Module):
    """One convolution and one pooling, called twice, at rates 1 and 2 and at 2 and 4."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pool(self.conv(self.pool(F.relu(self.conv(x))))))


def test_a_module_that_is_called_at_several_rates() -> None:
    torch.manual_seed(0)
    net = Reused().double()
    image = torch.randn(1, 2, 32, 36, dtype=torch.float64)
    dense = atrous(net)
    assert (dense(image)[..., ::4, ::4] - net(image)).abs().max() < EXACT
    assert {id(p) for p in dense.parameters()} == {id(p) for p in net.parameters()}
    assert defined_region(net, (32, 36)) == ((8, 21), (8, 25))
    assert defined_region(net, (19, 18)) == ((8, 8), None)
    stitched = shift_and_stitch(net, image)
    assert (dense(image) - stitched)[..., 8:22, 8:26].abs().max() < EXACT
    dense(image).sum().backward()
    assert net.conv.weight.grad is not None


class Scored(nn.Module):
    """The deepest map of an FCN's trunk and the layer that scores it."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.score = nn.Conv2d(trunk.channels[32], 7, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.score(self.trunk(images)[0])


@pytest.mark.parametrize("name", ["minivgg", "resnet18"])
def test_the_trunk_of_an_fcn_with_its_score_layer(name: str) -> None:
    torch.manual_seed(0)
    net = Scored(build_trunk(BACKBONES[name], 8)).double().eval()
    image = torch.randn(1, 3, 96, 130, dtype=torch.float64)
    with torch.no_grad():
        assert (atrous(net, 8)(image)[..., ::4, ::4] - net(image)).abs().max() < EXACT
        assert shift_and_stitch(net, image, 8).shape == atrous(net, 8)(image).shape


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(2, 1, padding=1),
        nn.AvgPool2d((2, 3), (1, 2), padding=1, divisor_override=5),
        nn.Conv2d(1, 1, (4, 3), padding="same"),
        nn.ConstantPad2d((1, 2, 0, -1), 0.5),
        nn.AvgPool2d(2, 1, count_include_pad=False),
    ],
)
def test_layers_with_rules_of_their_own(layer: nn.Module) -> None:
    """Among them: padding of more than half a dilated window, uneven padding, another divisor."""
    torch.manual_seed(0)
    image = torch.randn(1, 1, 25, 28, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch copies the image where padding is uneven, and says so
        for front in (nn.Conv2d(1, 1, 3, (2, 3)), nn.Conv2d(1, 1, 3, 1)):
            nn.init.constant_(front.bias, -9)  # so that zeros are not what a max pooling may be padded with
            net = nn.Sequential(front, layer).double()
            factors = [int(place.stride) for axis in (0, 1) if (place := trace(net).place(-1, axis)) is not None]
            assert (atrous(net)(image)[..., :: factors[0], :: factors[1]] - net(image)).abs().max() < EXACT


def test_ceil_mode_where_a_stride_is_kept_behind_one_that_is_taken_away() -> None:
    """Strides 3 and 2 to 2; a pooling that still rounded up would have windows of nothing but padding."""
    net = nn.Sequential(nn.Conv2d(1, 1, 3, 3), nn.MaxPool2d(3, 2, padding=1, ceil_mode=True))
    for side in range(9, 21):
        found = atrous(net, 2)(torch.randn(1, 1, side, side))
        assert found.isfinite().all()
        assert found.shape[2] == (side - 2 + 2 * 3 - 6 - 1) // 2 + 1  # padding and distance of the taps three times as large


def test_upsampling_before_the_first_stride_that_is_taken_away() -> None:
    """At half a pixel, then at two pixels: a stride of 4 keeps 2 for a map at every pixel."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.ConvTranspose2d(1, 1, 2, 2), nn.Conv2d(1, 1, 3, 4), nn.Conv2d(1, 1, 2)).double()
    image = torch.randn(1, 1, 15, 18, dtype=torch.float64)
    dense = atrous(net)
    assert (dense(image)[..., ::2, ::2] - net(image)).abs().max() < EXACT
    assert (dense(image) - shift_and_stitch(net, image)).abs().max() < EXACT


class Gated(nn.Module):
    """A gate over the whole image, then a stride."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 3, first)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 2, 1), nn.Sigmoid())
        self.last = nn.Conv2d(2, 2, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(x * self.gate(x))


def test_a_layer_that_sees_the_whole_image_is_kept_where_no_stride_is_taken_away_before() -> None:
    torch.manual_seed(0)
    net = Gated(1).double()
    image = torch.randn(1, 2, 15, 18, dtype=torch.float64)
    assert (atrous(net)(image)[..., ::2, ::2] - net(image)).abs().max() < EXACT
    with pytest.raises(GeometryError, match=r"gate\.0 see the whole image, so the scores of a shifted image are not"):
        shift_and_stitch(net, image)
    with pytest.raises(GeometryError, match=r"gate\.0 \(AdaptiveAvgPool2d\) cannot be rewritten .* Choose a larger stride$"):
        atrous(Gated(2))
    assert trace(net).clear_of_padding(-1, 20) is None


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.ConvTranspose2d(2, 2, 4, 2), r"1 \(ConvTranspose2d\)"),
        (nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), r"1 \(AvgPool2d\)"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), r"1 \(Conv2d\)"),
        (nn.ReflectionPad2d(1), r"1 \(ReflectionPad2d\)"),
        (DilatedAverage((Window(2), Window(2)), 4), r"1 \(DilatedAverage\)"),
    ],
)
def test_a_layer_without_a_rule_is_named(layer: nn.Module, named: str) -> None:
    net = nn.Sequential(nn.Conv2d(2, 2, 3, 4), layer, nn.Conv2d(2, 2, 1))
    with pytest.raises(GeometryError, match=rf"^{named} cannot be rewritten for a stride .* or use shift_and_stitch$"):
        atrous(net)
    if isinstance(layer, nn.ConvTranspose2d):
        with pytest.raises(GeometryError, match="0 has a vertical stride of 4 px inside a net of stride 2: upsampled scores"):
            shift_and_stitch(net, torch.zeros(1, 2, 20, 20))


class Ends(nn.Module):
    """Something other than one map from one image."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.conv = nn.Conv2d(2, 2, 3, 2)
        self.crop = Overlap(0, 0)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor] | Tensor:
        if self.way == "list":
            return [self.conv(x)]
        if self.way == "branch" and x.mean() > 0:
            return self.conv(y)
        return self.crop(self.conv(x), self.conv(y))


@pytest.mark.parametrize(
    ("net", "stride", "message"),
    [
        (small(), 3, "a stride of 3 px does not divide the net's vertical stride of 4; accepted: 1, 2, 4$"),
        (small(), 8, "a stride of 8 px does not divide the net's vertical stride of 4; accepted: 1, 2, 4$"),
        (small(), 0, "a stride of 0 px does not divide"),
        (nn.Sequential(nn.Conv2d(3, 2, 3, (2, 3))), 2, "does not divide the net's horizontal stride of 3; accepted: 1, 3$"),
        (nn.Sequential(nn.ConvTranspose2d(3, 2, 3, 2)), 1, "the vertical stride of 0 is 1/2 px; accepted are whole pixels"),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1)), 1, "1 sees the whole image, so its values have no place"),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), 1, "Sequential flattens its map at 1; make it a dense scorer"),
        (Ends("list"), 1, r"Ends gives \[conv\]; a dense map is made of one score map, so choose one"),
        (Ends("branch"), 1, "Ends cannot be traced by torch.fx"),
        (Ends("two"), 1, r"Ends computes its map from the inputs \['x', 'y'\]; accepted is a net of one input"),
        (nn.Sequential(nn.Unfold(3)), 1, "no coordinate map is known for"),
    ],
)  # fmt: skip
def test_what_both_refuse(net: nn.Module, stride: int, message: str) -> None:
    for refused in (
        lambda: atrous(net, stride),
        lambda: shift_and_stitch(net, torch.zeros(1, 3, 30, 30), stride),
        lambda: defined_region(net, (30, 30), stride),
    ):
        with pytest.raises(GeometryError, match=message):
            refused()


def test_too_small_images_are_refused_by_the_geometry() -> None:
    with pytest.raises(GeometryError, match="an image side of 6 px is too small: nothing is left after 4"):
        shift_and_stitch(small(), torch.zeros(1, 3, 30, 6, dtype=torch.float64))
    with pytest.raises(GeometryError, match="an image side of 6 px is too small"):
        defined_region(small(), (30, 6))
    padded = nn.Sequential(nn.Conv2d(3, 2, 3, 4, padding=2))
    assert shift_and_stitch(padded, torch.zeros(1, 3, 1, 2)).shape == (1, 2, 1, 2)
    assert defined_region(padded, (1, 2)) == (None, None)


def test_the_map_ends_before_the_first_entry_that_no_shift_gives() -> None:
    """The last pooling is padded by more than it needs, so a first shift gives many entries where a later one gives none."""
    net = nn.Sequential(nn.Conv2d(1, 1, (1, 3), (1, 6)), nn.Conv2d(1, 1, (1, 2), padding=(0, 1)))
    for width in range(3, 20):
        image = torch.randn(1, 1, 2, width)
        counts = [net(image[..., shift:]).shape[3] if width - shift >= 3 else 0 for shift in range(6)]
        existing = {shift + 6 * i for shift, count in enumerate(counts) for i in range(count)}
        end = next(i for i in range(100) if i not in existing)
        assert shift_and_stitch(net, image).shape == (1, 1, 2, end)
