"""What each type of Caffe layer computes, as a module of torch; one function a type.

A function gets the layer's settings and the shapes (N, C, H, W) that come in, and returns the module and what its blobs are
called in it. What a setting means that torch cannot say is an error, never a guess. Source: Caffe's documentation of its layers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fullconv.errors import SpecError
from fullconv.geometry.axis import POINTWISE, Pad, Window

Shape = tuple[int, ...]
Made = tuple[nn.Module, tuple[str, ...]]
"""A module, and the names of its parameters or buffers in the order of the layer's blobs."""


class RefusedError(Exception):
    """What a layer is asked to do cannot be done; the text is the end of a sentence that begins with the layer's name."""


def _pair(said: Any, one: str, height: str, width: str, default: int) -> tuple[int, int]:
    """Return a setting of both axes, which Caffe spells as one number, as two, or by axis."""
    if said.HasField(height) or said.HasField(width):
        return int(getattr(said, height)), int(getattr(said, width))
    value = getattr(said, one)
    values = [value] if isinstance(value, int) else list(value)
    if isinstance(value, int) and not said.HasField(one):
        values = [default]
    if len(values) > 2:
        raise RefusedError(f"has {len(values)} numbers as {one}; accepted are one or two")
    values = values or [default]
    return int(values[0]), int(values[-1])


def _window(said: Any) -> dict[str, Any]:
    kernel = _pair(said, "kernel_size", "kernel_h", "kernel_w", 0)
    stride = _pair(said, "stride", "stride_h", "stride_w", 1)
    if min(kernel) < 1 or min(stride) < 1 or max(*kernel, *stride) > 1 << 12:
        raise RefusedError(f"has a kernel of {kernel} and a stride of {stride}; both are numbers from 1 on")
    return {"kernel_size": kernel, "stride": stride, "padding": _pair(said, "pad", "pad_h", "pad_w", 0)}


def _convolution(settings: Any, shapes: Sequence[Shape], kind: type[nn.Conv2d] | type[nn.ConvTranspose2d]) -> Made:
    said = settings.convolution_param
    if said.axis != 1:
        raise RefusedError(f"convolves from axis {said.axis} on; accepted is 1")
    dilations = [int(number) for number in said.dilation] or [1]
    channels, out, groups = shapes[0][1], int(said.num_output), int(said.group)
    if out < 1 or groups < 1 or channels % groups or out % groups or max(out, channels) > 1 << 20:
        raise RefusedError(f"makes {out} maps of {channels} in {groups} groups, which does not divide")
    dilation = (dilations[0], dilations[-1])
    part = kind(channels, out, **_window(said), dilation=dilation, groups=groups, bias=said.bias_term)
    return part, ("weight", "bias") if said.bias_term else ("weight",)


def _inner_product(settings: Any, shapes: Sequence[Shape]) -> Made:
    """Return a dense layer as a convolution whose kernel covers what comes in (paper, section 3.1)."""
    said = settings.inner_product_param
    if said.axis != 1 or said.transpose:
        raise RefusedError("is a dense layer with an axis other than 1, or transposed, which is not supported")
    _, channels, *side = shapes[0]
    if said.num_output < 1:
        raise RefusedError("is a dense layer without outputs")
    part = nn.Conv2d(channels, int(said.num_output), (side[0], side[1]), bias=said.bias_term)
    return part, ("weight", "bias") if said.bias_term else ("weight",)


def _pooling(settings: Any, shapes: Sequence[Shape]) -> Made:
    said = settings.pooling_param
    if said.pool not in (0, 1):
        raise RefusedError("pools at random (STOCHASTIC); accepted are MAX and AVE")
    if said.global_pooling:
        return nn.AdaptiveMaxPool2d(1) if said.pool == 0 else nn.AdaptiveAvgPool2d(1), ()
    window = _window(said)
    if any(s > k or 2 * p > k for k, s, p in zip(window["kernel_size"], window["stride"], window["padding"], strict=True)):
        raise RefusedError("pools with a stride over its kernel, or a padding over half of it, where Caffe and torch differ")
    ceil = said.round_mode == 0
    if said.pool == 0:
        return nn.MaxPool2d(**window, ceil_mode=ceil), ()
    return nn.AvgPool2d(**window, ceil_mode=ceil), ()


def _lrn(settings: Any, shapes: Sequence[Shape]) -> Made:
    said = settings.lrn_param
    if said.norm_region != 0 or said.local_size % 2 == 0:
        raise RefusedError(
            "normalises within channels, or over an even number of them; accepted is ACROSS_CHANNELS and an odd number"
        )
    return nn.LocalResponseNorm(int(said.local_size), said.alpha, said.beta, said.k), ()


def _relu(settings: Any, shapes: Sequence[Shape]) -> Made:
    slope = settings.relu_param.negative_slope
    return nn.LeakyReLU(slope) if slope else nn.ReLU(), ()


def _prelu(settings: Any, shapes: Sequence[Shape]) -> Made:
    return nn.PReLU(1 if settings.prelu_param.channel_shared else shapes[0][1]), ("weight",)


def _softmax(settings: Any, shapes: Sequence[Shape]) -> Made:
    return nn.Softmax(settings.softmax_param.axis % 4), ()


class Concat(nn.Module):
    """Maps behind each other along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *maps: Tensor) -> Tensor:
        """Return them joined."""
        return torch.cat(maps, self.axis)


def _concat(settings: Any, shapes: Sequence[Shape]) -> Made:
    said = settings.concat_param
    return Concat((said.axis if said.HasField("axis") else said.concat_dim) % 4), ()


class Eltwise(nn.Module):
    """Maps of one size joined entry by entry: ``sum`` of them times ``factors``, ``prod`` or ``max``."""

    def __init__(self, operation: str, factors: Sequence[float]) -> None:
        super().__init__()
        self.operation = operation
        self.factors = tuple(factors)

    def forward(self, *maps: Tensor) -> Tensor:
        """Return the joined maps."""
        parts = [part if factor == 1 else part * factor for part, factor in zip(maps, self.factors, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            if self.operation == "sum":
                total = total + part
            else:
                total = total * part if self.operation == "prod" else torch.maximum(total, part)
        return total


def _eltwise(settings: Any, shapes: Sequence[Shape]) -> Made:
    said = settings.eltwise_param
    operation = ("prod", "sum", "max")[said.operation]
    factors = list(said.coeff) or [1.0] * len(shapes)
    if len(factors) != len(shapes) or (said.coeff and operation != "sum"):
        raise RefusedError(f"has {len(said.coeff)} factors for the {operation} of {len(shapes)} maps; a sum takes one each")
    if len({shape[1:] for shape in shapes}) > 1:
        raise RefusedError(f"joins maps of different sizes: {', '.join(map(str, shapes))}")
    return Eltwise(operation, factors), ()


class Crop(nn.Module):
    """Cut maps to the height and width of others, from an offset on (height, width)."""

    like_start = 0

    def __init__(self, offset: tuple[int, int]) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, maps: Tensor, like: Tensor) -> Tensor:
        """Return a view of ``maps`` (N, C, h, w)."""
        top, left = self.offset
        height, width = like.shape[-2:]
        if top + height > maps.shape[-2] or left + width > maps.shape[-1]:
            raise SpecError(
                f"a crop of {height}×{width} from {top}, {left} on does not fit into maps of {maps.shape[-2]}×{maps.shape[-1]}"
            )
        return maps[..., top : top + height, left : left + width]

    def axis_maps(self) -> tuple[Pad, Pad]:
        """Return the coordinate map of both axes."""
        return Pad(-self.offset[0]), Pad(-self.offset[1])


def _crop(settings: Any, shapes: Sequence[Shape]) -> Made:
    said = settings.crop_param
    offsets = [int(number) for number in said.offset] or [0]
    if said.axis % 4 != 2 or len(offsets) > 2:
        raise RefusedError(f"crops from axis {said.axis} on by {len(offsets)} offsets; accepted is axis 2, height and width")
    return Crop((offsets[0], offsets[-1])), ()


class Scale(nn.Module):
    """Maps (N, C, H, W) times a factor a channel, plus an offset a channel."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, maps: Tensor) -> Tensor:
        """Return the scaled maps."""
        scaled = maps * self.weight[:, None, None]
        return scaled if self.bias is None else scaled + self.bias[:, None, None]

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate map of both axes: every pixel by itself."""
        return POINTWISE, POINTWISE


def _scale(settings: Any, shapes: Sequence[Shape]) -> Made:
    said = settings.scale_param
    if said.axis != 1 or said.num_axes != 1 or len(shapes) != 1:
        raise RefusedError("scales along other axes than the channels, or by a second input; accepted is a factor a channel")
    return Scale(shapes[0][1], said.bias_term), ("weight", "bias") if said.bias_term else ("weight",)


class BatchNorm(nn.Module):
    """Maps (N, C, H, W) less the stored mean, over the root of the stored variance; both are stored times a common ``factor``."""

    mean: Tensor
    variance: Tensor
    factor: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("factor", torch.ones(1))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps."""
        by = torch.where(self.factor == 0, 0, 1 / self.factor)  # Caffe takes 0 for "nothing stored yet"
        deviation = (self.variance * by + self.eps).sqrt()
        return (maps - (self.mean * by)[:, None, None]) / deviation[:, None, None]

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate map of both axes: every pixel by itself."""
        return POINTWISE, POINTWISE


def _batch_norm(settings: Any, shapes: Sequence[Shape]) -> Made:
    said = settings.batch_norm_param
    if said.HasField("use_global_stats") and not said.use_global_stats:
        raise RefusedError("normalises by the batch (use_global_stats: false); a net that predicts uses what it stored")
    return BatchNorm(shapes[0][1], said.eps), ("mean", "variance", "factor")


def _flatten(settings: Any, shapes: Sequence[Shape]) -> Made:
    if shapes[0][2:] != (1, 1):
        raise RefusedError("flattens maps of more than one pixel, which a net for all sizes cannot; dense layers need no Flatten")
    return nn.Identity(), ()


RULES: dict[str, Callable[[Any, Sequence[Shape]], Made]] = {
    "Convolution": lambda settings, shapes: _convolution(settings, shapes, nn.Conv2d),
    "Deconvolution": lambda settings, shapes: _convolution(settings, shapes, nn.ConvTranspose2d),
    "InnerProduct": _inner_product, "Pooling": _pooling, "LRN": _lrn, "ReLU": _relu, "PReLU": _prelu, "Softmax": _softmax,
    "Concat": _concat, "Eltwise": _eltwise, "Crop": _crop, "Scale": _scale, "BatchNorm": _batch_norm, "Flatten": _flatten,
    "Dropout": lambda settings, shapes: (nn.Dropout(settings.dropout_param.dropout_ratio), ()),
    "Split": lambda settings, shapes: (nn.Identity(), ()),
    "Sigmoid": lambda settings, shapes: (nn.Sigmoid(), ()),
    "TanH": lambda settings, shapes: (nn.Tanh(), ()),
}  # fmt: skip
"""By Caffe's type."""
SEVERAL = {"Concat": 1, "Eltwise": 2, "Crop": 2}
"""Types that read more than one map, and how many at least."""
