"""A net taken apart where one map alone carries everything on: stages, each of which can be computed in parts of its own.

A tile that goes through the whole net needs a halo as wide as the whole net's reach, and what lies in it is computed twice. Most
of the reach comes from the deep layers, whose maps are small; most of the work is done by the shallow ones, which reach a few
pixels. In stages, every map is computed from a narrow halo of the map before it, and deep maps are small enough to be kept.

Letters: N images, C channels, h w map, K classes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fullconv.geometry.axis import POINTWISE, Transposed, Window
from fullconv.geometry.graph import Geometry, Interval, Layer
from fullconv.geometry.trace import node_names
from fullconv.nn.align import Step
from fullconv.nn.cuts import cuts_of
from fullconv.nn.head import Head
from fullconv.nn.surgery import keep_needed
from fullconv.nn.trunk import Trunk
from fullconv.nn.upsample import Deconvolution

SLICE = 2**23
"""Numbers of a convolution's weights, at least, that are computed with at once (VGG16's fc6 has 103 million).

Their copy takes 32 MiB or more, which the C library gives back as soon as it is freed: smaller ones were seen to pile up.
"""


@dataclass(frozen=True)
class Stage:
    """A part of a trunk, from one map to a later one.

    Parameters
    ----------
    name
        Of its last layer.
    net
        From the map before it (N, C, h, w) to its own; shares its layers with the trunk.
    geometry
        Its coordinate maps; the "image" is the map before it, with the zeros of ``around``.
    level
        Which of the trunk's maps it gives, coarse to fine; ``None`` when it is on the way only.
    around
        Zeros that the map before it is to be given around itself first, in place of its first convolution's padding: inside the
        map a window then has the neighbouring entries there, and nothing is computed from zeros that are not the map's.
    edge
        Entries of a window, over both ends, that are read and not computed at, as its first convolution has no padding.
    """

    name: str
    net: fx.GraphModule
    geometry: Geometry
    level: int | None
    around: int = 0
    edge: int = 0


def stages_of(trunk: Trunk) -> list[Stage]:
    """Return the stages of a trunk, which follow upon each other from the padded image to its coarsest map.

    It is cut where :func:`fullconv.nn.cuts.cuts_of` says. A chain of convolutions is cut into single ones, each with the pooling
    behind it, and such a stage computes nothing twice: what a window reads around itself is there.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> trunk = build_model("fcn16s-minivgg", 2).trunks["rgb"]
    >>> [(str(stage.geometry.place(-1).stride), stage.level) for stage in stages_of(trunk)]
    [('2', None), ('2', None), ('2', None), ('1', None), ('2', 1), ('1', None), ('2', None), ('1', 0)]
    """
    found: list[Stage] = []
    start = next(node for node in trunk.graph.graph.nodes if node.op == "placeholder")
    names, taps = node_names(trunk.graph.graph), {layer: level for level, layer in enumerate(trunk.taps)}
    at = 0
    for node, layer in cuts_of(trunk):
        net, maps = _between(trunk.graph, start, node), _cut(trunk.geometry, at, layer)
        around, edge, maps = _without_padding(net, maps)
        _compute_in_slices(net)
        found.append(Stage(names[node], net, maps, taps.get(layer), around, edge))
        start, at = node, layer
    return found


def _between(trunk: fx.GraphModule, start: fx.Node, end: fx.Node) -> fx.GraphModule:
    """Return the part of a graph that leads from one node to another."""
    graph = fx.Graph()
    made = {start: graph.placeholder("maps")}
    nodes = list(trunk.graph.nodes)
    for node in nodes[: nodes.index(end) + 1]:
        if node.op == "get_attr" or (node not in made and all(other in made for other in node.all_input_nodes) and node.args):
            made[node] = graph.node_copy(node, lambda other: made[other])
    graph.output(made[end])
    found = fx.GraphModule(trunk, graph)
    keep_needed(found)
    return found


def _cut(geometry: Geometry, start: int, end: int) -> Geometry:
    """Return the coordinate maps of the layers behind ``start`` up to ``end``, counted from the map of ``start``."""
    layers = [Layer("image", "image", (), (POINTWISE, POINTWISE))]
    for layer in geometry.layers[start + 1 : end + 1]:
        like = None if layer.like is None else (layer.like[0] - start, layer.like[1])
        layers.append(replace(layer, inputs=tuple(i - start for i in layer.inputs), like=like))
    return Geometry(layers)


def _without_padding(net: fx.GraphModule, geometry: Geometry) -> tuple[int, int, Geometry]:
    """Take the padding from the convolution that alone reads a stage's input.

    Returns
    -------
    int
        The padding.
    int
        How many entries of a window fewer it then computes.
    Geometry
        The maps without it.
    """
    (start,) = (node for node in net.graph.nodes if node.op == "placeholder")
    node, *others = start.users
    first = net.get_submodule(str(node.target)) if node.op == "call_module" else None
    if others or type(first) is not nn.Conv2d or isinstance(first.padding, str) or first.padding_mode != "zeros":
        return 0, 0, geometry
    image, padded, *behind = geometry.layers
    window, across = padded.maps
    around = first.padding[0]
    if not isinstance(window, Window) or window != across or first.padding != (around, around):
        return 0, 0, geometry
    bare = copy.copy(first)  # with the same weights
    bare.padding = (0, 0)
    net.add_submodule(str(node.target), bare)
    unpadded = replace(window, before=0, after=0)
    return around, window.extent, Geometry([image, replace(padded, maps=(unpadded, unpadded)), *behind])


def _compute_in_slices(net: fx.GraphModule) -> None:
    """Have convolutions of very large weights computed some output channels at a time: each slice is copied while it is used."""
    for node in net.graph.nodes:
        layer = net.get_submodule(str(node.target)) if node.op == "call_module" else None
        if type(layer) is nn.Conv2d and layer.groups == 1 and layer.weight.numel() > SLICE:
            net.add_submodule(str(node.target), InSlices(layer))


def channels_at_once(weight: Tensor) -> int:
    """Return how many output channels of a convolution's weights are computed at once."""
    return -(-len(weight) // max(1, weight.numel() // SLICE))


class InSlices(nn.Module):
    """A convolution that gives some of its output channels (N, C, h, w) after the others.

    One that reads no neighbours is a product of matrices, which takes the weights as they lie; it gives all of them at once.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer
        self.channels = channels_at_once(layer.weight)
        self.is_product = layer.kernel_size == layer.stride == (1, 1) and layer.padding in ((0, 0), "valid")

    @property
    def numbers(self) -> int:
        """Weights that are copied at once."""
        return 0 if self.is_product else self.channels * self.layer.weight[0].numel()

    @property
    def copied(self) -> int:
        """Weights that are copied for all channels."""
        return 0 if self.is_product else self.layer.weight.numel()

    def forward(self, maps: Tensor) -> Tensor:
        """Return what the convolution gives."""
        layer, bias = self.layer, self.layer.bias
        if self.is_product:
            return F.linear(maps.permute(0, 2, 3, 1), layer.weight.flatten(1), bias).permute(0, 3, 1, 2)
        found: Tensor | None = None
        for first in range(0, len(layer.weight), self.channels):
            some = slice(first, first + self.channels)
            shift = None if bias is None else bias[some]
            part = F.conv2d(maps, layer.weight[some], shift, layer.stride, layer.padding, layer.dilation)
            if found is None:
                shape = (len(part), len(layer.weight), *part.shape[2:])
                found = torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
            found[:, some] = part
        assert found is not None  # a layer has channels
        return found


class Score(nn.Module):
    """The score layer of one level of a head that reads one stream: maps (N, C, h, w) to logits (N, K, h, w)."""

    def __init__(self, head: Head, level: int) -> None:
        super().__init__()
        (layers,) = head.score.values()
        assert isinstance(layers, nn.ModuleList)  # one layer a level
        self.layer, self.factor = layers[level], head.factors[level]

    def forward(self, maps: Tensor) -> Tensor:
        """Return the logits."""
        return self.layer(maps if self.factor == 1 else maps * self.factor)


class Joining:
    """The upsampling path of a head along one axis: which logits of every level a stretch of the image needs.

    Parameters
    ----------
    steps
        Of the alignment, coarse to fine.
    sizes
        Entries of each level's map along the axis.
    """

    def __init__(self, steps: tuple[Step, ...], sizes: list[int]) -> None:
        self.steps, self.sizes = steps, sizes
        self.strides = [int(step.source.stride) for step in steps]
        self.period = max(self.strides)
        self.start = steps[-1].starts[0]

    def window(self, first: int, last: int) -> tuple[int, list[Interval]]:
        """Return what the pixels ``first`` to ``last - 1`` are computed from.

        Returns
        -------
        int
            Where the window begins, in pixels: a multiple of the coarsest stride.
        list of tuple
            The entries (first, last left out) of each level, coarse to fine, that begin there.
        """
        wanted = [(max(a, 0), min(b + 1, size)) for (a, b), size in zip(self._needs(first, last - 1), self.sizes, strict=True)]
        low = min(min(a, size - 1) * stride for (a, _), size, stride in zip(wanted, self.sizes, self.strides, strict=True))
        begin = low // self.period * self.period
        return begin, [
            (begin // stride, max(b, begin // stride + 1)) for (_, b), stride in zip(wanted, self.strides, strict=True)
        ]

    def _needs(self, first: int, last: int) -> list[Interval]:
        found: list[Interval] = []
        a, b = first + self.start, last + self.start
        for i in range(len(self.steps) - 1, -1, -1):
            a, b = Transposed(self.steps[i].kernel, self.steps[i].factor).sources(a, b)
            raised, finer = self.steps[i - 1].starts if i else (0, 0)
            found.append((a + finer, b + finer))
            a, b = a + raised, b + raised
        return found[::-1]


def joined_rows(head: Head, logits: list[Tensor], rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Return logits (N, K, rows, columns) at the image's pixels from those of every level, coarse to fine.

    Parameters
    ----------
    head
        Joins them.
    logits
        (N, K, h, w), whose first entries begin at one pixel, see :class:`Joining`.
    rows, columns
        First and last (left out), counted in the upsampled logits.
    """
    last = head.upsample[-1]
    assert isinstance(last, Deconvolution)  # a ModuleList knows only modules
    return last.rows(head.join(logits), *rows)[..., slice(*columns)]


def input_of(stream: str, images: Mapping[str, Tensor]) -> Tensor:
    """Return what a stream reads of normalised images (N, C, H, W) by input."""
    names = stream.split("+")
    return images[names[0]] if len(names) == 1 else torch.cat([images[name] for name in names], 1)
