"""Dense output without upsampling, second way: filter rarefaction, the à-trous algorithm.

Long et al. 2015, section 3.2, equation 2 (the trick goes back to Holschneider et al. 1989; Chen et al. 2015 made it popular).
A stride that is taken away leaves every map behind it denser by a factor, its *rate*; a later filter finds the entries that it
used to read so many apart, so its taps are spread by the rate. What each layer becomes at rate r, along each axis:

===============================  ==================================================================
convolution, max pooling         dilation and padding times r, stride 1
average pooling                  :class:`~fullconv.nn.windows.DilatedAverage`, for torch has no dilated one
constant padding                 times r
pointwise and merging            as they are
all else                         refused, unless r is still 1
===============================  ==================================================================

The costs are set against those of shift and stitch in :mod:`fullconv.nn.shift_and_stitch`.
"""

import copy
import math
from collections import Counter
from typing import Any, NamedTuple

from torch import fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.axis import POINTWISE, AxisMap, Transposed, Window
from fullconv.geometry.graph import Layer
from fullconv.geometry.trace import node_names
from fullconv.nn.shift_and_stitch import read_score_net
from fullconv.nn.windows import DilatedAverage

Pair = tuple[int, int]


class Rate(NamedTuple):
    """Of a map along one axis: how many times denser it is than in the net, and what stride may still be built up."""

    rate: int
    left: int

    def behind(self, step: AxisMap) -> tuple[int, "Rate"]:
        """Return the stride that a layer keeps, and the rate of its map.

        Source: strides are kept as long as they divide the stride that is wanted, so ``left`` is what they have not used up.
        """
        if isinstance(step, Transposed):
            return step.stride, Rate(self.rate, self.left * step.stride)
        if not isinstance(step, Window):
            return 1, self
        kept = math.gcd(step.stride, self.left)
        return kept, Rate(self.rate * step.stride // kept, self.left // kept)


def atrous(net: nn.Module, stride: int = 1) -> fx.GraphModule:
    """Return a net of output stride ``stride`` that gives what ``net`` gives, at all positions in between too, in one pass.

    It has the parameters and buffers of ``net`` itself (training one trains the other), its offset and its receptive field.
    Modules are shallow copies, so modes (train, eval) and hooks are its own; ``net`` is not touched. Index j of its map lies at
    pixel ``stride * j + offset``. A layer at stride s costs up to (s / stride)² times what it costs in ``net``, in time
    and memory; :func:`fullconv.nn.shift_and_stitch.shift_and_stitch` takes (f / stride)² passes instead and no more memory.

    Parameters
    ----------
    net
        From images (N, C, H, W) to one score map (N, K, h, w), such as a ``DenseClassifier``; traceable by torch.fx.
    stride
        In pixels; must divide the net's along both axes.

    Raises
    ------
    GeometryError
        When the net is not one from images to one map, its stride is not a multiple of ``stride``, or a layer behind a
        removed stride cannot be rewritten; it is named.

    Notes
    -----
    Long et al. 2015, section 3.2. Poolings that round up (ceil mode) round down behind a removed stride: where no window is left
    out, none has to be cut. So the smallest image (``trace(atrous(net)).min_size``) can be larger than the net's.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 5, 2))
    >>> images = torch.zeros(1, 3, 20, 30)
    >>> net(images).shape, atrous(net)(images).shape
    (torch.Size([1, 5, 8, 13]), torch.Size([1, 5, 15, 25]))
    >>> atrous(net).get_submodule("2")
    Conv2d(8, 5, kernel_size=(2, 2), stride=(1, 1), dilation=(2, 2))
    """
    plan = read_score_net(net, stride)
    graph = plan.graph
    nodes, names = list(graph.graph.nodes), node_names(graph.graph)
    calls = Counter(node.target for node in nodes)
    rates: dict[fx.Node, tuple[Rate, Rate] | None] = {}  # None for single values of the whole image
    for node in nodes:
        if node.op == "placeholder":
            rates[node] = (Rate(1, stride), Rate(1, stride))
        if names[node] not in plan.geometry.index or node.op == "placeholder":
            continue
        layer = plan.geometry.layers[plan.geometry.index[names[node]]]
        incoming = [known for other in node.all_input_nodes if (known := rates.get(other)) is not None]
        assert len(set(incoming)) <= 1  # Geometry refused merges of unequal strides, and a stride decides the rate
        part = _twin(graph.get_submodule(str(node.target))) if node.op == "call_module" else None
        rates[node] = None
        if incoming:
            part, rates[node] = _dense(node, part, layer, incoming[0])
        if part is not None:
            _install(graph, node, part, reused=calls[node.target] > 1)
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    return graph


def _install(graph: fx.GraphModule, node: fx.Node, part: nn.Module, reused: bool) -> None:
    """Make ``node`` call ``part``, under the old name where no other node calls the old module."""
    if node.op == "call_module" and not reused:
        graph.set_submodule(str(node.target), part)
        return
    if node.op == "call_function":
        node.args, node.kwargs = (node.all_input_nodes[0],), {}
    node.target = f"{node.target}_{node.name}" if node.op == "call_module" else f"module_{node.name}"
    node.op = "call_module"
    graph.add_submodule(node.target, part)


def _twin(part: nn.Module) -> nn.Module:
    """Return a copy of a module and its children that has the same parameter and buffer objects, in dicts of its own."""
    twin = copy.copy(part)
    vars(twin).update({name: value.copy() for name, value in vars(part).items() if isinstance(value, dict)})
    for name, child in part.named_children():
        setattr(twin, name, _twin(child))
    return twin


def _dense(
    node: fx.Node, part: nn.Module | None, layer: Layer, here: tuple[Rate, Rate]
) -> tuple[nn.Module | None, tuple[Rate, Rate] | None]:
    """Return the module that a node is to call (``None``: it stays a function) and the rates of its map."""
    (down, vertical), (across, horizontal) = (rate.behind(step) for rate, step in zip(here, layer.maps, strict=True))
    behind = None if layer.sees_all else (vertical, horizontal)
    as_it_is = layer.maps == (POINTWISE, POINTWISE) and not layer.sees_all
    if as_it_is or (vertical.rate, horizontal.rate) == (1, 1):
        return part, behind
    rate = here[0].rate, here[1].rate
    rewritten = None if part is None else _rewritten(part, layer.maps, rate, (down, across))
    if rewritten is None:
        raise GeometryError(
            f"{layer.name} ({layer.kind}) cannot be rewritten for a stride that is taken away here or before; accepted are "
            "convolutions padded with zeros, max pooling, average pooling whose padding counts, constant padding and pointwise "
            f"layers. Choose a larger stride{'' if layer.sees_all else ', or use shift_and_stitch'}"
        )
    return rewritten, behind


def _rewritten(part: nn.Module, maps: tuple[AxisMap, AxisMap], rate: Pair, stride: Pair) -> nn.Module | None:
    """Return ``part``, or one in its place, changed to do on a map ``rate`` times denser what it did; ``None``: no rule."""
    own: Any = part
    if isinstance(part, nn.ConstantPad2d):
        left, right, top, bottom = part.padding
        own.padding = (left * rate[1], right * rate[1], top * rate[0], bottom * rate[0])
        return part
    if not isinstance(part, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        return None
    own.stride = stride
    if rate == (1, 1):
        return part
    vertical, horizontal = (_spread(step, *numbers) for step, *numbers in zip(maps, rate, stride, strict=True))
    padding = (horizontal.before, horizontal.after, vertical.before, vertical.after)
    if isinstance(part, nn.AvgPool2d):
        if any(padding) and not part.count_include_pad:
            return None
        return DilatedAverage((vertical, horizontal), part.divisor_override or vertical.kernel * horizontal.kernel)
    if isinstance(part, nn.Conv2d) and part.padding_mode != "zeros":
        return None
    own.dilation, own.padding = (vertical.dilation, horizontal.dilation), (0, 0)
    if isinstance(part, nn.MaxPool2d):
        own.ceil_mode = False
    elif padding[::2] == padding[1::2]:
        own.padding = (vertical.before, horizontal.before)
        return part
    # torch pads both ends alike, and a max pooling by no more than half its kernel, however far its taps are apart
    fill = -math.inf if isinstance(part, nn.MaxPool2d) else 0.0
    return nn.Sequential(nn.ConstantPad2d(padding, fill), part) if any(padding) else part


def _spread(step: AxisMap, rate: int, stride: int) -> Window:
    """Return a window with its taps and its padding ``rate`` times as far apart."""
    assert isinstance(step, Window)  # of a convolution or a pooling
    return Window(step.kernel, stride, step.dilation * rate, step.before * rate, step.after * rate)
