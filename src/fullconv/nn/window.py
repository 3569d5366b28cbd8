"""The window of influence: what an image can change in a trunk's maps is computed, and the rest is kept from image to image.

The reference pads its first convolution by 100 px, so a good part of each map lies where no pixel of the image is seen: it holds
what an image of zeros gives, the same for every image of a size. Of FCN-8s of VGG16 at 375×500 pixels that is a third of all
multiplications. Which entries these are follows from the coordinate maps (:meth:`fullconv.geometry.graph.Geometry.changes`), for
any net: nothing here knows a layer's padding.

The first image of a size goes through the whole net. What the window of a later layer reads beside the window of an earlier one
is kept of it: a frame of a pixel or two around most maps. Later images of that size are computed in their windows alone.

Letters: N images, C channels, H W image, h w map.
"""

import operator
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fullconv.geometry.axis import POINTWISE, Window
from fullconv.geometry.graph import Geometry, Interval
from fullconv.geometry.trace import node_names
from fullconv.nn.bordered import Convolution, convolved, pooled
from fullconv.nn.frame import Box, Frame, box_of

SIZES = 4
"""Of images, the last ones that frames are kept of."""
LEAST = 0.1
"""The share of multiplications that has to be saved; below it, images go through the whole net."""
POINTWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.BatchNorm2d, nn.LocalResponseNorm, nn.Dropout, nn.Identity,
)  # fmt: skip
POINTWISE_FUNCTIONS = (operator.add, operator.iadd, torch.add, torch.relu, F.relu, torch.cat)


class Read(NamedTuple):
    """What a layer reads of its inputs: a box, and how many entries before and behind the map, by axis."""

    box: Box
    beyond: tuple[Interval, Interval]


@dataclass(frozen=True)
class Plan:
    """What is computed for images of one size, by node.

    Parameters
    ----------
    sizes
        Height and width of each map.
    windows
        What is computed of it.
    reads
        What is read for that, of nodes that are computed in parts.
    wanted
        What is read of a map and lies not in its window alone.
    saved
        The share of multiplications that this saves.
    frames
        Of maps, by what is wanted; the first image fills it.
    """

    sizes: Mapping[fx.Node, tuple[int, int]]
    windows: Mapping[fx.Node, Box]
    reads: Mapping[fx.Node, Read]
    wanted: Mapping[fx.Node, frozenset[Box]]
    saved: float
    frames: dict[tuple[fx.Node, Box], Frame] = field(default_factory=dict)

    @property
    def is_filled(self) -> bool:
        """Whether an image has been through the whole net."""
        return len(self.frames) == sum(map(len, self.wanted.values()))


class Windowed:
    """A trunk's graph, run in the windows that an image can change. Several threads may run it at the same time.

    Parameters
    ----------
    graph
        In evaluation mode: normalised images (N, C, H, W) to maps, as :class:`fullconv.nn.trunk.Trunk` holds it. Its convolutions
        may be of the kind :class:`fullconv.nn.bordered.Convolution`, and may do what pointwise layers behind them did.
    geometry
        Its coordinate maps, by the names of its nodes.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> from fullconv.spec import ModelSpec
    >>> trunk = build_model(ModelSpec(name="fcn8s-narrow-vgg16", padding="paper"), 2).eval().trunks["rgb"]
    >>> net = Windowed(trunk.graph, trunk.geometry)
    >>> f"{net.plan((375, 500), box_of((375, 500))).saved:.0%} of the multiplications"
    '35% of the multiplications'
    """

    def __init__(self, graph: fx.GraphModule, geometry: Geometry) -> None:
        self.graph, self.geometry = graph, geometry
        names = node_names(graph.graph)
        nodes: list[fx.Node] = list(graph.graph.nodes)
        self.image = nodes[0]
        self.layer = {self.image: 0} | {node: geometry.index[names[node]] for node in nodes if names[node] in geometry.index}
        self.parts = {node: graph.get_submodule(str(node.target)) for node in nodes if node.op == "call_module"}
        self.local: set[fx.Node] = set()
        for node in nodes[1:]:
            if self._is_local(node):
                self.local.add(node)
        self.plannable = self._is_plannable(nodes)
        self._plans: OrderedDict[tuple[tuple[int, int], Box], Plan] = OrderedDict()

    def __call__(self, images: Tensor, inside: Box) -> list[Tensor]:
        """Return the maps (N, C, h, w) of normalised images (N, C, H, W) that are zero outside the box ``inside``."""
        height, width = images.shape[-2:]
        if not self.saves((height, width), inside):
            return self.graph(images)
        plan = self._plan((height, width), inside)
        return (_InWindows(self, plan) if plan.is_filled else _Whole(self, plan)).run(images)

    def saves(self, size: tuple[int, int], inside: Box) -> bool:
        """Whether images of ``size`` (height, width) that are zero outside ``inside`` are computed in windows."""
        return self.plannable and self._plan(size, inside).saved >= LEAST

    def computed(self, size: tuple[int, int], inside: Box) -> float:
        """Return the share of the multiplications that convolutions are defined by that is computed; see :meth:`saves`."""
        whole = _whole(self._sizes(size))
        boxes = self._plan(size, inside).windows if self.saves(size, inside) else whole
        return self._work(boxes) / max(self._work(whole, defined=True), 1)

    @property
    def kept(self) -> list[Plan]:
        """The plans of the last sizes, with their frames."""
        return list(self._plans.values())

    def _plan(self, size: tuple[int, int], inside: Box) -> Plan:
        key = size, inside
        found = self._plans.get(key) or self.plan(size, inside)
        self._plans[key] = found
        while len(self._plans) > SIZES:
            self._plans.popitem(last=False)
        return found

    def plan(self, size: tuple[int, int], inside: Box) -> Plan:
        """Return what is computed of every map for images of ``size`` (height, width) that are zero outside ``inside``.

        Raises
        ------
        GeometryError
            When the images are too small.
        """
        sizes = self._sizes(size)
        windows = {node: self._changed(node, size, inside) or box_of(sizes[node]) for node in self.layer}
        reads: dict[fx.Node, Read] = {}
        for node in reversed(self.layer):
            if node in self.local:
                reads[node] = self._read(node, windows[node], sizes)
                if not self._convolves(node):  # what is computed as far as it is read need not be copied into a frame
                    windows |= {other: windows[other].joined(reads[node].box) for other in node.all_input_nodes}
        wanted: dict[fx.Node, frozenset[Box]] = {}
        for node in self.layer:
            boxes = {reads[user].box if user in self.local else box_of(sizes[node]) for user in node.users}
            wanted[node] = frozenset(box for box in boxes if not windows[node].holds(box))
        saved = 1 - self._work(windows) / max(self._work(_whole(sizes)), 1)
        return Plan(sizes, windows, reads, wanted, saved)

    def _sizes(self, size: tuple[int, int]) -> dict[fx.Node, tuple[int, int]]:
        every = self.geometry.sizes(size)
        return {node: every[place] for node, place in self.layer.items()}

    def _changed(self, node: fx.Node, size: tuple[int, int], inside: Box) -> Box | None:
        """Return what the image can change of a map; ``None`` for all of it, or where the node is computed as a whole."""
        if node not in self.local:
            return None
        rows, columns = (self.geometry.changes(inside[axis], self.layer[node], axis, size[axis]) for axis in (0, 1))
        return None if rows is None or columns is None else Box(rows, columns)

    def _read(self, node: fx.Node, window: Box, sizes: Mapping[fx.Node, tuple[int, int]]) -> Read:
        spans = [step.sources(*own) for step, own in zip(self._maps(node), window, strict=True)]
        ends = [side - 1 for side in sizes[node.all_input_nodes[0]]]
        rows, columns = ((max(low, 0), min(high, end)) for (low, high), end in zip(spans, ends, strict=True))
        vertical, horizontal = ((max(-low, 0), max(high - end, 0)) for (low, high), end in zip(spans, ends, strict=True))
        return Read(Box(rows, columns), (vertical, horizontal))

    def _work(self, boxes: Mapping[fx.Node, Box], defined: bool = False) -> int:
        """Return the multiplications in boxes of maps, of the convolutions' definition or of how they are computed."""
        return sum(
            boxes[node].area * (part.weight.numel() if defined or isinstance(part, nn.Conv2d) else part.work)
            for node, part in self.parts.items()
            if isinstance(part, (nn.Conv2d, Convolution)) and node in boxes
        )

    def _maps(self, node: fx.Node) -> tuple[Any, Any]:
        return self.geometry.layers[self.layer[node]].maps

    def _convolves(self, node: fx.Node) -> bool:
        part = self.parts.get(node)
        return type(part) is nn.Conv2d or isinstance(part, Convolution)

    def _is_local(self, node: fx.Node) -> bool:
        """Whether a part of a node's map can be computed from a part of its inputs, by :class:`_InWindows`."""
        if any(other not in self.layer for other in (node, *node.all_input_nodes)):
            return False
        part = self.parts.get(node)
        if self._convolves(node) or type(part) is nn.MaxPool2d:
            plain = getattr(part, "padding_mode", "zeros") == "zeros" and not getattr(part, "return_indices", False)
            return plain and all(isinstance(step, Window) for step in self._maps(node))
        if node.target is torch.cat and (node.args[1:] or (node.kwargs.get("dim"),))[0] != 1:
            return False
        known = isinstance(part, POINTWISE_MODULES) or node.target in POINTWISE_FUNCTIONS
        # what was computed as a whole may have height and width elsewhere
        before = all(other in self.local or other is self.image for other in node.all_input_nodes)
        return known and before and self._maps(node) == (POINTWISE, POINTWISE)

    def _is_plannable(self, nodes: list[fx.Node]) -> bool:
        """Whether every node is a map or a constant, and nothing is overwritten that others read too."""
        overwriting = [
            node for node in nodes if node.target is operator.iadd or getattr(self.parts.get(node), "inplace", False) is True
        ]
        return all(node in self.layer or node.op in ("get_attr", "output") for node in nodes) and all(
            len(node.all_input_nodes[0].users) == 1 for node in overwriting
        )


class _Whole(fx.Interpreter):
    """Runs a graph as it is, and keeps the frames of a plan."""

    def __init__(self, net: Windowed, plan: Plan) -> None:
        super().__init__(net.graph)
        self.net, self.plan = net, plan

    def run_node(self, n: fx.Node) -> Any:
        """Return the value of a node."""
        found = super().run_node(n)
        for wanted in self.plan.wanted.get(n, ()):
            self.plan.frames[n, wanted] = Frame(found, self.plan.windows[n], wanted)
        return found


class _InWindows(_Whole):
    """Runs a graph in the windows of a plan, whose frames are there; its outputs are whole maps."""

    def run_node(self, n: fx.Node) -> Any:
        """Return the window of a node's map."""
        if n not in self.net.local:
            args, kwargs = fx.node.map_arg((n.args, n.kwargs), self._all)
            return getattr(self, n.op)(n.target, args, kwargs)
        box, beyond = self.plan.reads[n]
        part = self.net.parts.get(n)
        if isinstance(part, nn.MaxPool2d):
            return pooled(part, self._of(n.all_input_nodes[0], box), beyond)
        if self.net._convolves(n):
            return convolved(part, self._of(n.all_input_nodes[0], box), beyond)
        args, kwargs = fx.node.map_arg((n.args, n.kwargs), lambda other: self._of(other, box))
        return getattr(self, n.op)(n.target, args, kwargs)

    def _all(self, node: fx.Node) -> Any:
        return self._of(node, box_of(self.plan.sizes[node])) if node in self.plan.sizes else self.env[node]

    def _of(self, node: fx.Node, wanted: Box) -> Tensor:
        window = self.plan.windows[node]
        if wanted == window:
            return self.env[node]
        if window.holds(wanted):
            return self.env[node][(..., *wanted.inside(window))]
        return self.plan.frames[node, wanted].around(self.env[node])


def _whole(sizes: Mapping[fx.Node, tuple[int, int]]) -> dict[fx.Node, Box]:
    return {node: box_of(size) for node, size in sizes.items()}
