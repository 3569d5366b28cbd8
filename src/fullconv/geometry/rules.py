"""Which rule an operation has: by its name when it is torch's own, by its type when it is a module.

What is not in these tables is refused; nothing is guessed. A method, a function and an operator of one name are one operation,
and so are its in-place forms (``add``, ``add_``, ``iadd``).
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fullconv.geometry import mixing, shaping, windows
from fullconv.geometry.call import Call, Outcome, Rule
from fullconv.geometry.kept_whole import functions_of_torchvision
from fullconv.geometry.layout import Refused

POINTWISE = (
    "add", "sub", "rsub", "subtract", "mul", "multiply", "div", "divide", "truediv", "floordiv", "true_divide", "pow",
    "neg", "abs", "exp", "log", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "sin", "cos", "erf", "sign",
    "floor", "ceil", "round", "clamp", "clamp_min", "clamp_max", "clip", "maximum", "minimum", "where", "lerp",
    "addcmul", "addcdiv", "pos", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "logical_not", "logical_and",
    "logical_or", "invert", "isnan", "nan_to_num", "masked_fill", "type_as", "relu", "relu6", "leaky_relu", "elu",
    "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "hardtanh", "hardshrink", "softshrink",
    "tanhshrink", "threshold", "sigmoid", "logsigmoid", "tanh", "softplus", "softsign", "rrelu", "to", "float",
    "half", "double", "bfloat16", "contiguous", "clone", "detach", "alias", "zeros_like", "ones_like",
    "full_like", "empty_like", "rand_like", "randn_like",
)  # fmt: skip

UNCHANGED = (
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "prelu",
)  # fmt: skip
"""Pointwise too, with further arguments that lie along the channels or nowhere."""

VIEWS = (
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
)  # fmt: skip

_DIM = ("dim", "keepdim")

FUNCTIONS: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE, shaping.pointwise),
    **dict.fromkeys(UNCHANGED, shaping.unchanged),
    **dict.fromkeys(VIEWS, shaping.view),
    "permute": shaping.permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), shaping.transpose),
    **dict.fromkeys(("movedim", "moveaxis"), shaping.movedim),
    **dict.fromkeys(("cat", "concat", "concatenate"), shaping.cat),
    "stack": shaping.stack,
    **dict.fromkeys(("chunk", "split", "tensor_split"), shaping.split),
    "unbind": shaping.unbind,
    "flip": shaping.flip, "roll": shaping.roll,
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), shaping.expand),
    "getitem": shaping.select, "narrow": shaping.narrow, "select": shaping.take,
    **dict.fromkeys(("mean", "sum", "amax", "amin", "logsumexp", "prod", "max", "min"), mixing.reduction(*_DIM)),
    **dict.fromkeys(("var", "std"), mixing.reduction("dim", "unbiased", "keepdim")),
    **dict.fromkeys(("var_mean", "std_mean"), mixing.reduction("dim", "unbiased", "keepdim")),
    "norm": mixing.reduction("p", *_DIM),
    "linalg_vector_norm": mixing.reduction("ord", *_DIM),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), mixing.along_one("dim")),
    "normalize": mixing.along_one("p", "dim"),
    "glu": mixing.gated,
    "layer_norm": mixing.layer_norm, "group_norm": mixing.group_norm,
    "instance_norm": mixing.instance_norm, "batch_norm": mixing.batch_norm,
    "linear": lambda call: mixing.linear(call, call.given("weight")["weight"]),
    "matmul": mixing.matmul, "local_response_norm": mixing.over_channels,
    "conv1d": lambda call: windows.convolution(call, call.given("weight")["weight"], 1),
    "conv2d": lambda call: windows.convolution(call, call.given("weight")["weight"], 2),
    "conv_transpose2d": lambda call: windows.transposed(call, call.given("weight")["weight"], 2),
    "max_pool1d": lambda call: windows.max_pool(call, 1), "max_pool2d": lambda call: windows.max_pool(call, 2),
    "avg_pool1d": lambda call: windows.average_pool(call, 1), "avg_pool2d": lambda call: windows.average_pool(call, 2),
    "lp_pool2d": lambda call: windows.power_pool(call, 2),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_max_pool1d"), lambda call: windows.adaptive_pool(call, 1)),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), lambda call: windows.adaptive_pool(call, 2)),
    "pad": windows.pad, "interpolate": windows.interpolate, "pixel_shuffle": windows.pixel_shuffle,
}  # fmt: skip

ALIKE: dict[type[nn.Module], str] = {
    nn.ReLU: "relu", nn.ReLU6: "relu6", nn.LeakyReLU: "leaky_relu", nn.PReLU: "prelu", nn.RReLU: "rrelu", nn.ELU: "elu",
    nn.SELU: "selu", nn.CELU: "celu", nn.GELU: "gelu", nn.SiLU: "silu", nn.Mish: "mish", nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid", nn.Hardtanh: "hardtanh", nn.Hardshrink: "hardshrink", nn.Softshrink: "softshrink",
    nn.Tanhshrink: "tanhshrink", nn.Threshold: "threshold", nn.Sigmoid: "sigmoid", nn.LogSigmoid: "logsigmoid", nn.Tanh: "tanh",
    nn.Softplus: "softplus", nn.Softsign: "softsign", nn.Identity: "alias",
    nn.Dropout: "dropout", nn.Dropout1d: "dropout1d", nn.Dropout2d: "dropout2d", nn.AlphaDropout: "alpha_dropout",
    nn.FeatureAlphaDropout: "feature_alpha_dropout",
}  # fmt: skip
"""Modules that keep every position to itself: the function of the same effect."""

VIEWING = (nn.Flatten, nn.Unflatten)

ATTRIBUTES: dict[type[nn.Module], tuple[str, tuple[str, ...]]] = {
    nn.MaxPool1d: ("max_pool1d", ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")),
    nn.MaxPool2d: ("max_pool2d", ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")),
    nn.AvgPool1d: ("avg_pool1d", ("kernel_size", "stride", "padding", "ceil_mode")),
    nn.AvgPool2d: ("avg_pool2d", ("kernel_size", "stride", "padding", "ceil_mode")),
    nn.LPPool2d: ("lp_pool2d", ("norm_type", "kernel_size", "stride", "ceil_mode")),
    nn.AdaptiveAvgPool1d: ("adaptive_avg_pool1d", ("output_size",)),
    nn.AdaptiveMaxPool1d: ("adaptive_max_pool1d", ("output_size", "return_indices")),
    nn.AdaptiveAvgPool2d: ("adaptive_avg_pool2d", ("output_size",)),
    nn.AdaptiveMaxPool2d: ("adaptive_max_pool2d", ("output_size", "return_indices")),
    nn.LayerNorm: ("layer_norm", ("normalized_shape",)), nn.RMSNorm: ("layer_norm", ("normalized_shape",)),
    nn.GroupNorm: ("group_norm", ()), nn.GLU: ("glu", ("dim",)),
    nn.Softmax: ("softmax", ("dim",)), nn.LogSoftmax: ("log_softmax", ("dim",)), nn.Softmin: ("softmin", ("dim",)),
    nn.Upsample: ("interpolate", ("size", "scale_factor", "mode", "align_corners")),
    nn.UpsamplingNearest2d: ("interpolate", ("size", "scale_factor", "mode", "align_corners")),
    nn.UpsamplingBilinear2d: ("interpolate", ("size", "scale_factor", "mode", "align_corners")),
    nn.PixelShuffle: ("pixel_shuffle", ("upscale_factor",)),
}  # fmt: skip
"""Modules that are a function with some of their attributes for arguments."""

PADS: dict[type[nn.Module], str] = {
    nn.ZeroPad2d: "constant", nn.ConstantPad2d: "constant", nn.ReflectionPad2d: "reflect", nn.ReplicationPad2d: "replicate",
    nn.CircularPad2d: "circular",
}  # fmt: skip
CONVOLUTIONS = {nn.Conv1d: 1, nn.Conv2d: 2}
NORMS = {nn.BatchNorm1d: (2, 3), nn.BatchNorm2d: (4,), nn.InstanceNorm1d: (3,), nn.InstanceNorm2d: (4,)}
"""Normalisations with stored statistics, and how many dimensions they take."""


def kind_of(node: fx.Node) -> str:
    """Return what a node of a function or a method is called, in any of its forms."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return name.strip("_")


def function_rule(node: fx.Node) -> Rule | None:
    """Return the rule of a function or a method; ``None`` when there is none, or when it is another's function of that name."""
    target: Any = node.target
    if target in functions_of_torchvision():
        return shaping.unchanged
    kind = kind_of(node)
    if node.op == "call_function":
        homes = (operator, torch, F, torch._C._nn, torch.Tensor, torch.linalg)
        if not any(getattr(home, target.__name__, None) is target for home in homes):
            return None
        if target.__module__ == "_operator" and kind.startswith("i") and kind[1:] in FUNCTIONS:
            kind = kind[1:]
    return FUNCTIONS.get(kind)


def module_rule(part: nn.Module, inner: Callable[[nn.Module], bool]) -> Rule | None:
    """Return the rule of a module of torch; ``None`` when there is none.

    Parameters
    ----------
    inner
        Whether a module, traced by itself, keeps every position to itself: for batch norms with more to them.
    """
    kind = type(part)
    own: Any = part
    if kind in ALIKE:
        return FUNCTIONS[ALIKE[kind]] if ALIKE[kind] in UNCHANGED else shaping.unchanged
    if kind in VIEWING:
        return shaping.view
    if kind in ATTRIBUTES:
        name, attributes = ATTRIBUTES[kind]
        given = {attribute: getattr(own, attribute) for attribute in attributes}
        return lambda call: FUNCTIONS[name](Call(call.args, given, getattr(torch, name, None) or getattr(F, name, own)))
    if kind in PADS:
        return lambda call: windows.pad(Call(call.args, {"pad": own.padding, "mode": PADS[kind]}, own))
    if isinstance(part, (nn.modules.conv._ConvNd, nn.Linear)):
        return _weighted(own)
    if kind in (nn.Softmax2d, nn.LocalResponseNorm):
        return mixing.over_channels
    if kind in NORMS:
        return lambda call: _stored_norm(call, part, NORMS[kind])
    if isinstance(part, _BatchNorm) and inner(part):
        return shaping.unchanged
    return None


def _weighted(part: Any) -> Rule | None:
    """Return the rule of a module with weights: a convolution or a dense layer."""
    kind = type(part)
    if kind is nn.Linear:
        return lambda call: mixing.linear(call, part.weight)
    names = ("stride", "padding", "dilation", "groups", *(["output_padding"] if kind is nn.ConvTranspose2d else []))
    given = {name: getattr(part, name) for name in names}
    if kind is nn.ConvTranspose2d:
        return lambda call: windows.transposed(Call(call.args, given, part), part.weight, 2)
    if kind not in CONVOLUTIONS:
        return None
    return lambda call: windows.convolution(Call(call.args, given, part), part.weight, CONVOLUTIONS[kind], part.padding_mode)


def _stored_norm(call: Call, part: Any, ranks: tuple[int, ...]) -> Outcome:
    """Rule of batch and instance norm as modules."""
    rank = call.maps[0].tensor.ndim
    if rank not in ranks:
        raise Refused(f"takes {' or '.join(map(str, ranks))} dimensions and is given {rank}")
    stored = part.track_running_stats
    if isinstance(part, _BatchNorm):
        return mixing.batch_norm(Call(call.args, {"running_mean": part.running_mean if stored else None}, part))
    return mixing.instance_norm(Call(call.args, {"use_input_stats": not stored}, part))
