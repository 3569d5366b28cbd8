"""The geometry never guesses: operations with the right arguments have the right maps, all others are refused with a reason.

What is accepted is compared with the nets themselves, run at 40x40 and other sizes.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from shape_nets import asserts, asserts_both
from torch import Tensor, nn

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Place
from fullconv.geometry.trace import trace


class Net(nn.Module):
    """A convolution, a step of choice, and a convolution."""

    def __init__(self, step: Callable[[Tensor], Tensor], channels: int = 4, parts: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.part = parts or nn.Identity()
        self.step = step
        self.last = nn.Conv2d(channels, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.part(self.step(self.first(images))))


def shuffle(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, -1, height, width)


def tokens(x: Tensor) -> Tensor:
    return F.layer_norm(x.flatten(2).transpose(1, 2), (4,)).transpose(1, 2).view(x.size())


def squeeze_and_excite(x: Tensor) -> Tensor:
    gate = x.mean((2, 3)).view(x.size(0), -1, 1, 1).sigmoid()
    return x * gate.expand_as(x)


def channels_last_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2)


def space_to_depth(x: Tensor) -> Tensor:
    batch, channels, height, width = x.size()
    blocks = x.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4).contiguous()
    return blocks.view(batch, channels * 4, height // 2, width // 2)


ACCEPTED: dict[str, tuple[Callable[[Tensor], Tensor], int, Place]] = {
    "every second pixel": (lambda x: x[:, :, ::2, ::2], 4, Place(2, 0)),  # type: ignore[arg-type]  # whole numbers will do
    "a crop": (lambda x: x[:, :, 2:-2, 2:-2], 4, Place(1, 2)),  # type: ignore[arg-type]
    "a crop by ellipsis": (lambda x: x[..., 3:, 3:], 4, Place(1, 3)),  # type: ignore[arg-type]
    "a crop of a part of the channels": (lambda x: x[:, 1:3, 1::3, 1::3], 2, Place(3, 1)),  # type: ignore[arg-type]
    "channels in two halves": (lambda x: torch.cat(x.chunk(2, 1), 1), 4, Place(1, 0)),  # type: ignore[arg-type]
    "a stack over channels": (lambda x: torch.stack([x, x], 1).sum(1), 4, Place(1, 0)),  # type: ignore[arg-type]
    "channel shuffle": (shuffle, 4, Place(1, 0)),  # type: ignore[arg-type]
    "tokens": (tokens, 4, Place(1, 0)),  # type: ignore[arg-type]
    "squeeze and excitation": (squeeze_and_excite, 4, Place(1, 0)),  # type: ignore[arg-type]
    "norm over channels": (channels_last_norm, 4, Place(1, 0)),  # type: ignore[arg-type]
    "softmax over channels": (lambda x: F.softmax(x, 1) + F.log_softmax(x, dim=1), 4, Place(1, 0)),  # type: ignore[arg-type]
    "gated channels": (lambda x: F.glu(x, 1), 2, Place(1, 0)),  # type: ignore[arg-type]
    "mirrored border": (lambda x: F.pad(x, (1, 2, 1, 2), "reflect"), 4, Place(1, -1)),  # type: ignore[arg-type]
    "space to depth": (space_to_depth, 16, Place(2, 0.5)),  # type: ignore[arg-type]
    "depth to space": (lambda x: F.pixel_shuffle(x, 2), 1, Place(0.5, -0.25)),  # type: ignore[arg-type]
    "doubled": (lambda x: F.interpolate(x, scale_factor=2), 4, Place(0.5, -0.25)),  # type: ignore[arg-type]
    "averages": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False, 5), 4, Place(2, 0)),  # type: ignore[arg-type]
    "maxima": (lambda x: F.max_pool2d(x, 3, stride=2, ceil_mode=True), 4, Place(2, 1)),  # type: ignore[arg-type]
    "powers": (lambda x: F.lp_pool2d(x, 2, 2), 4, Place(2, 0.5)),  # type: ignore[arg-type]
    "a kernel of its own": (lambda x: F.conv2d(x, torch.ones(5, 4, 3, 3), None, 2, 1), 5, Place(2, 0)),  # type: ignore[arg-type]
    "asserts": (asserts, 4, Place(1, 0)),  # type: ignore[arg-type]
    "asserts joined": (asserts_both, 4, Place(1, 0)),  # type: ignore[arg-type]
    "in place": (lambda x: x.add_(1).mul_(2), 4, Place(1, 0)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_with_its_right_map(name: str) -> None:
    step, channels, place = ACCEPTED[name]
    net = Net(step, channels).eval()
    geometry = trace(net)
    assert geometry.place(-1, 0) == geometry.place(-1, 1) == place
    for size in ((40, 40), (64, 44)):
        with torch.no_grad():
            assert geometry.sizes(size)[-1] == net(torch.zeros(1, 3, *size)).shape[2:]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (lambda x: torch.cat([x, x], 3), r"cat \(cat\): it joins maps along the height or the width \(dim 3\)"),
        (lambda x: x.chunk(2, 3)[0], r"chunk \(chunk\): it works along the height or the width \(dim 3\)"),
        (lambda x: torch.split(x, 4, -2)[0], r"split \(split\): it works along the height or the width \(dim -2\)"),
        (lambda x: x[:, :, 3], r"getitem \(getitem\): it takes a single row or column"),
        (lambda x: x[:, :, -8:], r"getitem \(getitem\): it counts from the end, so where its pixels lie depends on"),
        (lambda x: x[:, :, : x.shape[2] // 2], r"getitem_1 \(getitem\): it depends on the image's size"),
        (lambda x: F.pad(x, (0, x.shape[3] % 2)), r"pad \(pad\): it depends on the image's size"),
        (lambda x: F.pad(x, (1, 1, 1, 1), "circular"), r"pad \(pad\): it pads with what lies at the other end of the map"),
        (lambda x: x.permute(0, 1, 3, 2), r"output \(output\): it gives maps whose height and width have changed places"),
        (lambda x: x + x.transpose(2, 3), r"add \(add\): it merges maps whose height and width run along different axes"),
        (lambda x: x.permute(0, 2, 3, 1), r"last \(Conv2d\): it takes height or width for channels"),
        (lambda x: x.flatten(2), r"last \(Conv2d\): it works along an axis in which height or width are joined"),
        (lambda x: F.interpolate(x, (64, 64)), r"interpolate \(interpolate\): it resizes to a given size"),
        (lambda x: F.interpolate(x, scale_factor=0.5), r"interpolate \(interpolate\): it resizes by \(0.5, 0.5\)"),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True), "it resizes to a given size, or by"),
        (lambda x: torch.matmul(x.flatten(2).transpose(1, 2), x.flatten(2)), r"matmul \(matmul\): it multiplies maps"),
        (lambda x: x.flip(3), r"flip \(flip\): it works along the height or the width"),
        (lambda x: x + torch.arange(448.0), "it merges the map with a constant that differs from position to position"),
        (lambda x: F.unfold(x, 3), r"unfold \(unfold\): it is none of the convolutions"),
        (lambda x: x.view(x.shape[0], x.shape[2], -1, x.shape[3]), r"last \(Conv2d\): it takes height or width for channels"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], r"max_pool2d_with_indices .* it is none of the convolutions"),
    ],
)  # fmt: skip
def test_refused_with_its_reason(step: Callable[[Tensor], Tensor], reason: str) -> None:
    with pytest.raises(GeometryError, match=reason):
        trace(Net(step))


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (nn.LayerNorm([4, 512, 448]), r"part \(LayerNorm\): it normalises over height and width with weights of their own"),
        (nn.LayerNorm([4, 40, 40]), r"part \(LayerNorm\): it normalises \(4, 40, 40\) and is given \(2, 4, 512, 448\)"),
        (nn.Linear(40, 40), r"part \(Linear\): it is a dense layer of 40 inputs and is given 448"),
        (nn.BatchNorm1d(4), r"part \(BatchNorm1d\): it takes 2 or 3 dimensions and is given 4"),
        (nn.GLU(3), r"part \(GLU\): it halves the height or the width \(dim 3\)"),
        (nn.CircularPad2d(1), r"part \(CircularPad2d\): it pads with what lies at the other end"),
        (nn.MaxPool2d(2, return_indices=True), r"part \(MaxPool2d\): it also returns indices"),
        (nn.Fold((4, 4), 2), r"part \(Fold\): it is none of the convolutions"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), r"part \(Conv2d\): it pads with what lies at the other end"),
    ],
)
def test_modules_refused_with_their_reason(part: nn.Module, reason: str) -> None:
    with pytest.raises(GeometryError, match=reason):
        trace(Net(lambda x: x, parts=part))


@pytest.mark.parametrize(
    "part",
    [
        nn.PReLU(4), nn.Mish(), nn.SELU(), nn.Hardtanh(), nn.Softplus(), nn.CELU(), nn.Softmax(1), nn.LogSoftmax(1),
        nn.Softmax2d(),
        nn.Dropout2d(), nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True), nn.LocalResponseNorm(3), nn.Tanh(),
    ],
)  # fmt: skip
def test_modules_that_keep_every_position_to_itself(part: nn.Module) -> None:
    net = Net(lambda x: x, parts=part)
    geometry = trace(net)
    assert geometry.receptive_field(-1) == 3
    assert geometry.sizes((40, 30))[-1] == (40, 30)


@pytest.mark.parametrize(
    "part", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False), nn.Softmax(3)]
)
def test_normalisation_by_the_maps_own_statistics_sees_all_and_keeps_positions(part: nn.Module) -> None:
    net = Net(lambda x: x, parts=part).eval()
    geometry = trace(net)
    assert geometry.sizes((40, 30))[-1] == (40, 30)
    assert geometry.place(-1) == Place(1, 0)  # type: ignore[arg-type]
    assert geometry.receptive_field(-1, 1) is None
    assert geometry.global_layers == ["part"]
    image = torch.rand(1, 3, 40, 30)
    changed = image.clone()
    changed[..., 29] += 9
    with torch.no_grad():
        assert (net(image) != net(changed))[..., 0].any()
    assert geometry.changes((29, 29), -1, 1, 30) == geometry.depends_on(-1, (0, 0), 1, 30) == (0, 29)


def test_a_mean_over_one_axis_keeps_the_other() -> None:
    class Rows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool2d(x, 2).mean(3)

    geometry = trace(Rows())
    assert geometry.place(-1, 0) == Place(2, 0.5)  # type: ignore[arg-type]
    assert geometry.place(-1, 1) is None
    assert geometry.sizes((40, 30))[-1] == (20, 1)
    assert geometry.receptive_field(-1, 0) == 2


def test_adaptive_pooling_gives_as_many_entries_as_it_says() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((7, 5)), nn.Conv2d(4, 2, 3))
    geometry = trace(net)
    assert geometry.sizes((40, 50))[1:] == [(38, 48), (7, 5), (5, 3)]
    assert geometry.place(-1) is None


def test_dense_layers_need_the_size_they_were_built_for() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9 * 7, 5))
    with pytest.raises(GeometryError, match=r"3 \(Linear\): it is a dense layer of 252 inputs .* size=\(height, width\)"):
        trace(net)
    geometry = trace(net, size=(20, 16))
    assert geometry.sizes((20, 16))[-3:] == [(9, 7), (9, 7), (1, 1)]
    assert geometry.global_layers == ["3"]


def test_a_size_that_is_given_does_not_hide_what_depends_on_it() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3 * 10 * 10, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x[:, :, : x.shape[2] // 2, : x.shape[3] // 2].flatten(1))

    with pytest.raises(GeometryError, match="depends on the image's size"):
        trace(Half(), size=(20, 20))


def test_several_inputs_are_images_of_one_size() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.color, self.depth = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(1, 4, 3, 2)

        def forward(self, rgb: Tensor, depth: Tensor) -> Tensor:
            return self.color(rgb) + self.depth(depth)

    geometry = trace(Two())
    assert [layer.name for layer in geometry.layers] == ["image", "color", "depth", "add"]
    assert geometry.sizes((21, 31))[-1] == (10, 15)


def test_what_is_overwritten_reads_what_overwrote_it() -> None:
    class Overwritten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 3, 5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y.add_(self.wide(x))
            return y

    assert trace(Overwritten()).receptive_field(-1) == 5


def test_padding_computed_from_the_size_is_refused_with_advice() -> None:
    class Same(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            extra = max((-(-x.shape[-1] // 2) - 1) * 2 + 3 - x.shape[-1], 0)
            return F.conv2d(F.pad(x, (extra // 2, extra - extra // 2)), self.weight, None, 2)

    net = nn.Sequential(nn.ReLU(), Same(3, 4, 3))
    with pytest.raises(
        GeometryError, match=r"1 \(Same\) computes its padding from the image's size .* give it the fixed padding"
    ):
        trace(net)


def test_decisions_by_size_are_refused_with_the_module() -> None:
    class Choosy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.max_pool2d(x, 2) if x.shape[2] > 7 else x

    with pytest.raises(GeometryError, match=r"1 \(Choosy\) takes decisions by the values or the size of its input"):
        trace(nn.Sequential(nn.ReLU(), Choosy()))


def test_a_function_of_the_same_name_is_not_torchs() -> None:
    def relu(x: Tensor) -> Tensor:
        return x.roll(1, 3)

    with pytest.raises(GeometryError, match=r"roll \(roll\): it works along the height or the width"):
        trace(Net(relu))


def test_maps_that_a_module_states_wrongly_are_refused() -> None:
    class Wrong(nn.MaxPool2d):
        def axis_maps(self) -> object:
            from fullconv.geometry.axis import POINTWISE

            return POINTWISE, POINTWISE

    with pytest.raises(
        GeometryError, match=r"part \(Wrong\) gives \(256, 224\) entries for \(512, 448\) px; its coordinate maps say"
    ):
        trace(Net(lambda x: x, parts=Wrong(2)))
