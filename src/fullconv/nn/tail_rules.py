"""What every kind of layer behind a classifier's features becomes in the dense net.

======================================  ==============================================================
flatten, view, squeeze, permute …       removed
(adaptive) pooling, mean, amax …        pooling of the native window with stride 1
Linear on the whole window              convolution of the window, same numbers
other Linear                            1×1 convolution, same numbers
BatchNorm1d, LayerNorm, GroupNorm       a norm over channels at every position, same numbers
softmax and others over the classes     over the channels
pointwise layers, dropout included      kept
a layer on a flattened window that      kept, on the window's entries as channels (:class:`WindowToChannels`)
  treats each entry by itself
all else                                refused, with the layer's name and the reason
======================================  ==============================================================
"""

import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from fullconv.geometry.kept_whole import functions_of_torchvision
from fullconv.geometry.rules import ALIKE, POINTWISE, UNCHANGED, function_rule, kind_of
from fullconv.nn import tail_layers as layers
from fullconv.nn.surgery import MODULES
from fullconv.nn.tail import BATCH, Meaning, Rule, Tail, WrongSizeError


def reshape(tail: Tail, node: fx.Node) -> Meaning:
    """Flatten, view, reshape, squeeze, unsqueeze, and indices that only leave out axes of one entry."""
    before, value = tail.source(node), tail.values[node.name]
    shape = tuple(value.shape)
    if shape[:1] != (BATCH,):
        if math.prod(shape[1:]) != before.entries:
            raise WrongSizeError(node, math.prod(shape[1:]))
        tail.refuse(node, f"it gives {shape} for {BATCH} images, so it mixes them or is written for one number of images")
    after = before.regrouped(shape[1:]) if math.prod(shape[1:]) == before.entries else None
    if after is None:
        tail.refuse(node, f"it makes {shape[1:]} of {tail.shape(_map(tail, node))}, which divides or leaves out rows or channels")
    tail.note(node, "removed")
    return after


def _map(tail: Tail, node: fx.Node) -> fx.Node:
    return next(n for n in node.all_input_nodes if n in tail.meanings)


def index(tail: Tail, node: fx.Node) -> Meaning:
    """Take indices: of the pair that a maximum gives, of axes of one entry, and slices of channels."""
    before, taken = tail.source(node), node.args[1]
    if isinstance(tail.values[_map(tail, node).name], tuple):
        if taken not in (0, "values"):
            tail.refuse(node, "it takes where the largest entry lies, not the entry")
        return before
    value = tail.values[node.name]
    if value[0].numel() == before.entries and value.shape[:1] == (BATCH,):
        return reshape(tail, node)
    sliced = isinstance(taken, tuple) and len(taken) == 2 and taken[0] == slice(None) and isinstance(taken[1], slice)
    if not sliced or before.axes[0] != "c":
        tail.refuse(node, "it leaves out entries of the map")
    return before.become(tail.keep(node), channels=value.shape[1])


def permute(tail: Tail, node: fx.Node) -> Meaning:
    """Permute and transpose: a map with its channels last is flattened in another order."""
    before = tail.source(node)
    order = permuted(node, len(before.axes) + 1)
    if order is None or order[0] != 0:
        tail.refuse(node, "it moves the axis of the images")
    tail.note(node, "removed")
    return before.become(before.node, axes=tuple(before.axes[i - 1] for i in order[1:]))


def permuted(node: fx.Node, ndim: int) -> list[int] | None:
    """Return the order of axes that permute or transpose gives; ``None`` for other nodes."""
    kind = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    given = [*node.args[1:], *node.kwargs.values()]
    if kind == "permute":
        axes: Any = given[0] if isinstance(given[0], (tuple, list)) else given
        return [axis % ndim for axis in axes]
    if kind in ("transpose", "swapaxes", "swapdims"):
        order = list(range(ndim))
        first, second = (int(axis) % ndim for axis in given)  # type: ignore[arg-type]  # numbers in every call
        order[first], order[second] = order[second], order[first]
        return order
    return None


def pointwise(tail: Tail, node: fx.Node) -> Meaning:
    """Activations, dropout and sums of values that mean the same."""
    known = [tail.meanings[n] for n in node.all_input_nodes if n in tail.meanings]
    first = known[0]
    for other in known[1:]:
        if (other.axes, other.size, other.gap, other.channels) != (first.axes, first.size, first.gap, first.channels):
            tail.refuse(node, f"it joins a map of {other.size} entries with one of {first.size}")
    others = [n for n in node.all_input_nodes if n not in tail.meanings and getattr(tail.values[n.name], "numel", int)() > 1]
    if others and len(known) == 1:
        first = tail.meanings[_map(tail, node)] = tail.gathered(node, first)
    for other_node in others:
        shape = tuple(tail.values[other_node.name].shape)
        where = len(first.axes) - len(shape) + next(i for i, n in enumerate(shape) if n > 1)
        if math.prod(shape) != first.channels or where < 0 or first.axes[where] != "c":
            tail.refuse(node, f"it joins a map with a tensor of shape {shape} along other axes than the channels'")
        with tail.graph.graph.inserting_before(node):
            node.replace_input_with(other_node, tail.graph.graph.call_method("reshape", (other_node, -1, 1, 1)))
    return first.become(tail.keep(node))


def along_channels(tail: Tail, node: fx.Node) -> Meaning:
    """Softmax and others that run along one axis, which must be the channels'."""
    before, part = tail.source(node), tail.module(node)
    kind = tail.kind(node)
    given = vars(part) if part is not None else tail.arguments(node, *(("p", "dim") if kind == "normalize" else ("dim",)))
    dim = given.get("dim", {"normalize": 1, "glu": -1}.get(kind))
    dim = (1 if len(before.axes) in (1, 3) else 0) if dim is None else dim % (len(before.axes) + 1)
    if dim == 0:
        tail.refuse(node, "it runs along the images of a batch; say dim=1")
    if before.axes[dim - 1] != "c":
        before = tail.gathered(node, before)
    if before.axes[dim - 1] != "c":
        tail.refuse(node, "it runs along the positions of the map; accepted is along its channels")
    channels = tail.shape(node)[dim - 1]
    if part is not None:
        return before.become(tail.put(node, type(part)(dim=1), before.node), channels=channels)
    tail.meanings[_map(tail, node)] = before
    node.args, node.kwargs = (node.args[0],), {**given, "dim": 1}
    return before.become(tail.keep(node), channels=channels)


def by_channel(tail: Tail, node: fx.Node) -> Meaning:
    """Layers that have a number for every channel, which must be the first axis."""
    before = tail.source(node)
    if before.axes[0] != "c":
        before = tail.gathered(node, before)
        tail.meanings[_map(tail, node)] = before
    if before.axes[0] != "c":
        tail.refuse(node, "its first axis is not that of the channels")
    part = tail.module(node)
    if isinstance(part, nn.BatchNorm1d):
        return before.become(tail.put(node, layers.batch_norm_2d(part), before.node))
    return before.become(tail.keep(node))


def concatenate(tail: Tail, node: fx.Node) -> Meaning:
    """Concatenation along the channels, of vectors and of maps of one size."""
    parts: Any = node.args[0] if node.args else node.kwargs["tensors"]
    dim = tail.arguments(node, "dim").get("dim", 0)
    if any(part not in tail.meanings for part in parts):
        tail.refuse(node, "it joins the map with a tensor that is the same for every image")
    known = [tail.meanings[part] for part in parts]
    axis = dim % (len(known[0].axes) + 1) - 1
    if axis >= 0 and any(len(m.axes[axis]) > 1 for m in known):
        known = [tail.gathered(node, m) for m in known]
    if axis < 0 or any(m.axes[axis] != "c" or m.size != known[0].size or m.gap != known[0].gap for m in known):
        tail.refuse(node, "it joins along the images or the positions of the map; accepted is along its channels")
    with tail.graph.graph.inserting_before(node):
        made = tail.graph.graph.call_function(torch.cat, ([m.node for m in known], 1))
    return known[0].become(made, channels=sum(m.channels for m in known))


SHAPE = ("flatten", "view", "reshape", "squeeze", "unsqueeze", "contiguous")
RULES: dict[Any, Rule] = {
    **dict.fromkeys((nn.Flatten, nn.Unflatten, *SHAPE, torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze), reshape),
    **dict.fromkeys(("permute", "transpose", "swapaxes", "swapdims", torch.permute, torch.transpose, torch.swapaxes), permute),
    operator.getitem: index,
    getattr: index,
    nn.Linear: layers.linear,
    nn.Conv2d: layers.convolution,
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, F.max_pool2d, F.avg_pool2d, F.lp_pool2d), layers.pooling),
    **dict.fromkeys((nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d), layers.adaptive),
    **dict.fromkeys(("mean", "sum", "amax", "max", torch.mean, torch.sum, torch.amax, torch.max), layers.reduction),
    **dict.fromkeys((nn.LayerNorm, nn.GroupNorm, F.layer_norm), layers.channel_norm),
    **dict.fromkeys((nn.Softmax, nn.LogSoftmax, nn.GLU, F.softmax, F.log_softmax, F.glu, F.normalize), along_channels),
    **dict.fromkeys((torch.softmax, torch.log_softmax, "softmax", "log_softmax"), along_channels),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.PReLU, nn.Softmax2d, nn.LocalResponseNorm, F.batch_norm), by_channel),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), concatenate),
}
"""By module class, function, or name of a method."""

REASONS = {
    "attention mixes the positions of the map, each window its own": ("MultiheadAttention", "scaled_dot_product_attention",
        "TransformerEncoder", "TransformerEncoderLayer", "matmul", "bmm", "einsum", "baddbmm"),
    "it reads positions or channels one after another": ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"),
    "its weights are computed in the forward; accepted are parameters of the module": ("linear", "conv2d"),
}  # fmt: skip


def rule_for(tail: Tail, node: fx.Node) -> Rule:
    """Return the rule for a node.

    Raises
    ------
    GeometryError
        When there is none.
    """
    part, kind = tail.module(node), tail.kind(node)
    keys = type(part).__mro__ if part is not None else (node.target,)
    found = next((RULES[key] for key in keys if key in RULES), None)
    if found is None and (type(part) in ALIKE or (part is None and _is_pointwise(node))):
        found = pointwise
    if found is not None:
        return found
    reason = next((reason for reason, kinds in REASONS.items() if kind in kinds), "no rule is known for it behind the features")
    return tail.refuse(node, reason)


def _is_pointwise(node: fx.Node) -> bool:
    kind = kind_of(node)
    known = {*POINTWISE, *UNCHANGED}
    if node.target in functions_of_torchvision():
        return True
    return function_rule(node) is not None and (kind in known or kind.removeprefix("i") in known)


def flattens(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node puts the rows and columns of a map into other axes."""
    if not node.all_input_nodes:
        return False
    keys = type(graph.get_submodule(str(node.target))).__mro__ if node.op == "call_module" else (node.target,)
    of_map = node.op == "call_module" or node.all_input_nodes[0].op != "get_attr"
    return of_map and any(RULES.get(key) is reshape for key in keys) and "contiguous" not in keys


def leaves_map(part: nn.Module | None, node: fx.Node, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether a node takes a map (C, H, W) to one value for a window, or reads its rows and columns otherwise than one by one.

    An average pooling that takes the whole native map in a stride of its own is one too: at stride 1 it gives more.
    """
    if len(after) != 3:
        return True
    if isinstance(part, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)):
        return True
    kind = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if part is None and node.target not in MODULES and kind in ("mean", "sum", "amax", "max"):
        return after[1:] != before[1:] and len(before) == 3
    whole = after[1:] == (1, 1) != before[1:] and len(before) == 3
    if isinstance(part, (nn.AvgPool2d, nn.LPPool2d)):
        strides = layers.pair(part.stride or part.kernel_size)
        return whole and not any(layers.pair(getattr(part, "padding", 0))) and strides != (1, 1)
    return whole and node.target in (F.avg_pool2d, F.max_pool2d, F.lp_pool2d)
