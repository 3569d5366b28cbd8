"""Dense layers, convolutions, poolings and norms behind a classifier's features, as layers of the dense net.

See :mod:`fullconv.nn.tail_rules` for the table of all rules.
"""

import math
import operator
from typing import Any

from torch import Tensor, fx, nn

from fullconv.geometry.axis import Window
from fullconv.nn.surgery import MODULES, build_module, with_tensors
from fullconv.nn.tail import Meaning, Pair, Tail
from fullconv.nn.windows import ChannelNorm, DilatedAverage

NAMES = {"c": "channels", "y": "rows", "x": "columns"}
POOLS = {"mean": "average", "sum": "sum", "amax": "max", "max": "max"}


def pair(value: Any) -> Pair:
    """Return a number for each axis."""
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def linear(tail: Tail, node: fx.Node) -> Meaning:
    """Return a convolution of the same numbers: of the whole window, or 1×1 where it runs along the channels alone."""
    before, part = tail.source(node), tail.module(node)
    assert isinstance(part, nn.Linear)
    *others, last = before.axes
    if type(part) is not nn.Linear:
        tail.refuse(node, "its weights are computed in the forward; accepted are parameters of the module")
    if last != "c" and any(others):
        along = " and ".join(NAMES[letter] for letter in last) or "an axis of one entry"
        tail.refuse(node, f"it runs along {along} of the map, for every one of the others; accepted is along its channels or all")
    whole = last != "c" or before.size == (1, 1)
    size, gap = (before.size, before.gap) if whole else ((1, 1), (1, 1))
    extents = [before.extent(letter) for letter in last]
    weight = part.weight.detach().view(part.out_features, *extents)
    order = [last.index(letter) + 1 for letter in "cyx" if letter in last]
    weight = weight.permute(0, *order).reshape(part.out_features, before.channels, *size)
    conv = nn.Conv2d(before.channels, part.out_features, size, dilation=gap, bias=part.bias is not None, device="meta")
    tensors: dict[str, Tensor] = {"weight": nn.Parameter(weight, part.weight.requires_grad)}
    if part.bias is not None:
        tensors["bias"] = nn.Parameter(part.bias.detach(), part.bias.requires_grad)
    made = tail.put(node, with_tensors(conv, tensors), before.node)
    tail.note(node, f"convolution {size[0]}×{size[1]}, {before.channels} → {part.out_features}")
    return before.become(
        made, axes=(*others, "c"), channels=part.out_features, size=(1, 1) if whole else before.size, gap=(1, 1) if whole else gap
    )


def _as_map(tail: Tail, node: fx.Node) -> Meaning:
    before = tail.source(node)
    if len(before.axes) != 3 or before.axes != ("c", "y" * (before.size[0] > 1), "x" * (before.size[1] > 1)):
        tail.refuse(node, f"it reads {' × '.join(before.axes)} as a map of channels, rows and columns")
    return before


def _valid(tail: Tail, node: fx.Node, before: Meaning, part: Any) -> tuple[Pair, Pair]:
    """Return dilation and stride of a layer that covers the window without padding."""
    kernel, stride = pair(part.kernel_size), pair(part.stride or part.kernel_size)
    dilation, after = pair(getattr(part, "dilation", 1)), tail.shape(node)[1:]
    if getattr(part, "padding", 0) not in (0, "valid", (0, 0)) and kernel != (1, 1):
        tail.refuse(node, f"it pads the map of {before.size} entries, which goes on beyond the window in a larger image")
    for n, out, k, s, d in zip(before.size, after, kernel, stride, dilation, strict=True):
        if (out - 1) * s + d * (k - 1) + 1 != n:
            tail.refuse(node, f"it leaves out entries of the map of {before.size}")
    return dilation, stride


def convolution(tail: Tail, node: fx.Node) -> Meaning:
    """Return a convolution behind a pooling, its taps as far apart as the rows and columns are."""
    before, part = _as_map(tail, node), tail.module(node)
    assert isinstance(part, nn.Conv2d)
    dilation, stride = _valid(tail, node, before, part)
    after, gap = tail.shape(node), before.gap
    if before.size == (1, 1):
        return before.become(tail.keep(node), channels=part.out_channels)
    spread = (dilation[0] * gap[0], dilation[1] * gap[1])
    conv = nn.Conv2d(
        part.in_channels, part.out_channels, pair(part.kernel_size), dilation=spread, groups=part.groups,
        bias=part.bias is not None, device="meta",
    )  # fmt: skip
    made = tail.put(node, with_tensors(conv, dict(part.named_parameters(recurse=False))), before.node)
    tail.note(node, f"convolution with a dilation of {spread[0]}×{spread[1]}, stride 1")
    return before.become(
        made, channels=part.out_channels, size=after[1:], gap=tuple(g * s for g, s in zip(gap, stride, strict=True))
    )


def pooling(tail: Tail, node: fx.Node) -> Meaning:
    """Return the pooling of a map in windows of a fixed size."""
    before, part = _as_map(tail, node), tail.module(node)
    if part is None:
        part = build_module(node.target, tail.arguments(node, *MODULES[node.target][1]), {})
    own: Any = part
    dilation, stride = _valid(tail, node, before, own)
    if set(dilation) != {1} or getattr(own, "return_indices", False) or getattr(own, "divisor_override", None):
        tail.refuse(node, "it pools with a dilation, a divisor of its own or with indices")
    how = {nn.MaxPool2d: "max", nn.AvgPool2d: "average", nn.LPPool2d: "lp"}[type(part)]
    return _pooled(tail, node, before, how, pair(own.kernel_size), stride, norm=getattr(own, "norm_type", 0.0))


def adaptive(tail: Tail, node: fx.Node) -> Meaning:
    """Return adaptive pooling: windows that divide the map equally."""
    before, part = tail.source(node), tail.module(node)
    own: Any = part
    how = "max" if isinstance(part, (nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool1d)) else "average"
    if getattr(own, "return_indices", False):
        tail.refuse(node, "it gives indices")
    if isinstance(part, (nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d)):
        if pair(own.output_size) != (1, 1) or "c" in before.axes[-1]:
            tail.refuse(node, "it pools an axis of several meanings to more than one entry")
        return _reduced(tail, node, before, how, before.axes[-1])
    before = _as_map(tail, node)
    wanted = own.output_size if isinstance(own.output_size, (tuple, list)) else (own.output_size,) * 2
    out = tuple(n if o is None else o for n, o in zip(before.size, wanted, strict=True))
    if any(n % o for n, o in zip(before.size, out, strict=True)):
        tail.refuse(
            node,
            f"it pools {before.size} entries to {out} in windows of unequal size, which no stride-1 pooling repeats; give a "
            "native size at which it divides",
        )
    window = (before.size[0] // out[0], before.size[1] // out[1])
    return _pooled(tail, node, before, how, window, window)


def reduction(tail: Tail, node: fx.Node) -> Meaning:
    """Return a mean, sum or maximum over rows and columns."""
    before, given = tail.source(node), tail.arguments(node, "dim", "keepdim")
    dims = given.get("dim", given.get("axis"))
    if isinstance(dims, fx.Node) or dims is None:
        tail.refuse(node, "it is not taken over given axes; say dim=(2, 3)")
    dims = [dim % (len(before.axes) + 1) for dim in ((dims,) if isinstance(dims, int) else dims)]
    letters = "".join(before.axes[dim - 1] for dim in dims if dim)
    if 0 in dims or "c" in letters:
        tail.refuse(node, "it runs along the images or the channels; accepted are rows and columns, such as dim=(2, 3)")
    after = _reduced(tail, node, before, POOLS[tail.kind(node)], letters)
    if given.get("keepdim"):
        return after
    return after.become(after.node, axes=tuple(a for i, a in enumerate(after.axes, 1) if i not in dims))


def _reduced(tail: Tail, node: fx.Node, before: Meaning, how: str, letters: str) -> Meaning:
    window = tuple(n if letter in letters else 1 for letter, n in zip("yx", before.size, strict=True))
    return _pooled(tail, node, before, how, pair(window), pair(window))


def _pooled(tail: Tail, node: fx.Node, before: Meaning, how: str, window: Pair, step: Pair, norm: float = 0.0) -> Meaning:
    """Put a stride-1 pooling in place of one whose windows are ``step`` entries apart."""
    gap = pair(tuple(1 if k == 1 else g for k, g in zip(window, before.gap, strict=True)))
    size = pair(tuple((n - k) // s + 1 for n, k, s in zip(before.size, window, step, strict=True)))
    apart = pair(tuple(g * s for g, s in zip(before.gap, step, strict=True)))
    if window == (1, 1):
        tail.note(node, "removed: pooling of 1×1 windows")
        return before.become(before.node, size=size, gap=apart)
    part = _pool(how, window, gap, norm)
    if part is None:
        tail.refuse(node, "power-average pooling of entries that lie apart is not known")
    made = tail.put(node, part, before.node, f"window_{len(tail.windows)}")
    tail.windows.append(str(made.target))
    tail.note(node, f"{how} pooling {window[0]}×{window[1]}, stride 1")
    return before.become(made, size=size, gap=apart)


def _pool(how: str, window: Pair, gap: Pair, norm: float) -> nn.Module | None:
    if how == "max":
        return nn.MaxPool2d(window, stride=1, dilation=gap)
    if how == "lp":
        return nn.LPPool2d(norm, window, stride=1) if gap == (1, 1) else None
    divisor = math.prod(window) if how == "average" else 1
    if gap == (1, 1):
        return nn.AvgPool2d(window, stride=1, divisor_override=None if how == "average" else 1)
    vertical, horizontal = (Window(k, dilation=g) for k, g in zip(window, gap, strict=True))
    return DilatedAverage((vertical, horizontal), divisor)


def batch_norm_2d(part: nn.BatchNorm1d) -> nn.BatchNorm2d:
    """Return batch norm of maps with the parameters and statistics of one of vectors."""
    made = nn.BatchNorm2d(part.num_features, part.eps, part.momentum, part.affine, part.track_running_stats, device="meta")
    for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
        setattr(made, name, tensor)
    return made


def channel_norm(tail: Tail, node: fx.Node) -> Meaning:
    """Return layer or group norm of a vector as a norm over channels at every position."""
    before, part = tail.source(node), tail.module(node)
    if isinstance(part, nn.GroupNorm):
        if before.axes[0] != "c" or before.size != (1, 1):
            tail.refuse(node, "it takes the mean over the whole map too; accepted is group norm of a vector")
        norm = ChannelNorm(part.weight, part.bias, part.num_groups, part.eps)
        return before.become(tail.put(node, norm, before.node))
    if isinstance(part, nn.LayerNorm):
        axes, weight, bias, eps, name = part.normalized_shape, part.weight, part.bias, part.eps, None
    else:
        given = tail.arguments(node, "normalized_shape", "weight", "bias", "eps")
        tensors = [_parameter(tail, node, given.get(key)) for key in ("weight", "bias")]
        axes, weight, bias, eps = given["normalized_shape"], *tensors, given.get("eps", 1e-5)  # type: ignore[assignment]
        name = str(given["weight"].target).removesuffix(".weight") if isinstance(given.get("weight"), fx.Node) else None
    letters = "".join(before.axes[-len(axes) :])
    if letters != "c" and len(axes) == 1:
        before = tail.gathered(node, before)
        letters = before.axes[-1]
    if letters != "c":
        tail.refuse(
            node, "it takes the mean over rows or columns of the map; accepted is layer norm over channels or of a vector"
        )
    norm = ChannelNorm(_flat(weight), _flat(bias), 1, eps)
    if name is None:
        return before.become(tail.put(node, norm, before.node))
    tail.graph.set_submodule(name, norm)  # the container that fx made for the parameters: they keep their names
    with tail.graph.graph.inserting_before(node):
        return before.become(tail.graph.graph.call_module(name, (before.node,)))


def _flat(tensor: Tensor | None) -> Tensor | None:
    return tensor if tensor is None or tensor.ndim == 1 else nn.Parameter(tensor.detach().flatten(), tensor.requires_grad)


def _parameter(tail: Tail, node: fx.Node, value: Any) -> Tensor | None:
    if value is None:
        return None
    if value.op != "get_attr":
        tail.refuse(node, "its weights are computed in the forward; accepted are parameters of the module")
    found: Tensor = operator.attrgetter(str(value.target))(tail.graph)
    return found
