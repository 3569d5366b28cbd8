"""The window of influence: what an image can change in a trunk's maps is computed, and the rest is kept from image to image.

The reference pads its first convolution by 100 px, so a good part of each map lies where no pixel of the image is seen: it holds
what an image of zeros gives, the same for every image of a size. Of FCN-8s of VGG16 at 375×500 pixels that is a third of all
multiplications. Which entries these are follows from the coordinate maps (:meth:`fullconv.geometry.graph.Geometry.changes`), for
any net: nothing here knows a layer's padding.

The first image of a size goes through the whole net. What the window of a later layer will read beside the window of an earlier
one is kept of it: a frame of a pixel or two around most maps. Later images of that size are computed in their windows alone.

Letters: N images, C channels, H W image, h w map. A box is an interval of rows and one of columns, ends included.
"""

import operator
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.axis import POINTWISE, Window
from fullconv.geometry.graph import Geometry, Interval
from fullconv.geometry.trace import node_names

SIZES = 4
"""Of images, the last ones that frames are kept of."""
LEAST = 0.1
"""The share of multiplications that has to be saved; below it, an image goes through the whole net."""
POINTWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.LeakyReLU, nn.BatchNorm2d, nn.LocalResponseNorm, nn.Dropout, nn.Identity,
)  # fmt: skip
POINTWISE_FUNCTIONS = (operator.add, operator.iadd, torch.add, torch.relu, F.relu, torch.cat)
IN_PLACE = (operator.iadd,)


class Box(NamedTuple):
    """A part of a map."""

    rows: Interval
    columns: Interval

    def holds(self, other: "Box") -> bool:
        """Whether the other lies in this one."""
        return all(mine[0] <= its[0] and its[1] <= mine[1] for mine, its in zip(self, other, strict=True))

    def joined(self, other: "Box") -> "Box":
        """Return the smallest box that holds both."""
        return Box(*((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(self, other, strict=True)))

    def common(self, other: "Box") -> "Box":
        """Return what lies in both."""
        return Box(*((max(a[0], b[0]), min(a[1], b[1])) for a, b in zip(self, other, strict=True)))

    def inside(self, other: "Box") -> tuple[slice, slice]:
        """Return where this box lies in a map that begins with the other."""
        rows, columns = (slice(a[0] - b[0], a[1] - b[0] + 1) for a, b in zip(self, other, strict=True))
        return rows, columns

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows[1] - self.rows[0] + 1, self.columns[1] - self.columns[0] + 1

    @property
    def area(self) -> int:
        """Number of entries, 0 for a box that is empty."""
        height, width = self.size
        return max(height, 0) * max(width, 0)


@runtime_checkable
class Convolution(Protocol):
    """A convolution of another kind than ``nn.Conv2d``, such as one with packed weights."""

    weight: Tensor

    def padded(self, maps: Tensor, padding: tuple[int, int]) -> Tensor:
        """Return what the convolution gives with so many zeros around its input in place of its own."""
        ...


class Frame:
    """What is kept of one map for one of its readers: all that the reader wants and that lies outside the map's window.

    Parameters
    ----------
    whole
        The map (N, C, h, w) of any image of the size.
    window, wanted
        What is computed of it, and what is read.
    """

    def __init__(self, whole: Tensor, window: Box, wanted: Box) -> None:
        self.size, self.window = wanted.size, window
        self.middle = window.common(wanted)
        (top, bottom), (left, right) = wanted
        (first, last), (begin, end) = self.middle
        parts = [Box((top, bottom), (left, right))]
        if self.middle.area:
            sides = [((top, first - 1), (left, right)), ((last + 1, bottom), (left, right))]
            parts = [Box(*side) for side in [*sides, ((first, last), (left, begin - 1)), ((first, last), (end + 1, right))]]
        self.place = self.middle.inside(wanted)
        origin = Box((0, 0), (0, 0))
        self.parts = [
            (part.inside(wanted), whole[(0, slice(None), *part.inside(origin))][None].clone()) for part in parts if part.area
        ]

    def around(self, maps: Tensor) -> Tensor:
        """Return the maps (N, C, h, w) of a window with the frame around them."""
        channels_last = maps.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        found = torch.empty((*maps.shape[:2], *self.size), dtype=maps.dtype, device=maps.device, memory_format=layout)
        for place, part in self.parts:
            found[(..., *place)] = part
        if self.middle.area:
            found[(..., *self.place)] = maps[(..., *self.middle.inside(self.window))]
        return found


@dataclass
class Plan:
    """What is computed of each map for images of one size.

    Parameters
    ----------
    sizes
        Height and width of every map, by node.
    windows
        What is computed of it.
    saved
        The share of multiplications that this saves.
    frames
        Of maps, by the node and what is wanted of it; filled by the first image.
    """

    sizes: dict[fx.Node, tuple[int, int]]
    windows: dict[fx.Node, Box]
    saved: float
    frames: dict[tuple[fx.Node, Box], Frame] = field(default_factory=dict)

    def whole(self, node: fx.Node) -> Box:
        """Return the box of all of a node's map."""
        height, width = self.sizes[node]
        return Box((0, height - 1), (0, width - 1))


class Windowed:
    """A trunk's graph, run in the windows that an image can change.

    Several threads may run it at the same time.

    Parameters
    ----------
    graph
        In evaluation mode: normalised images (N, C, H, W) to maps, as :class:`fullconv.nn.trunk.Trunk` holds it. Its convolutions
        may be of the kind :class:`Convolution`, and may do what pointwise layers behind them did.
    geometry
        Its coordinate maps, by the names of its nodes.
    """

    def __init__(self, graph: fx.GraphModule, geometry: Geometry) -> None:
        self.graph, self.geometry = graph, geometry
        self.nodes: list[fx.Node] = [node for node in graph.graph.nodes if node.op != "output"]
        self.output: fx.Node = next(node for node in graph.graph.nodes if node.op == "output")
        names = node_names(graph.graph)
        self.layer = {node: geometry.index[names[node]] for node in self.nodes if names[node] in geometry.index}
        self.layer[self.nodes[0]] = 0
        self.parts: dict[fx.Node, nn.Module] = {
            node: graph.get_submodule(str(node.target)) for node in self.nodes if node.op == "call_module"
        }
        self.local: set[fx.Node] = set()
        for node in self.nodes[1:]:
            if self._is_local(node):
                self.local.add(node)
        self._plans: OrderedDict[tuple[tuple[int, int], Box], Plan | None] = OrderedDict()

    def __call__(self, images: Tensor, inside: Box) -> list[Tensor]:
        """Return the maps (N, C, h, w) of normalised images (N, C, H, W) that are zero outside the box ``inside``."""
        height, width = images.shape[-2:]
        plan = self._plan((height, width), inside)
        if plan is None:
            return self.graph(images)
        return _Run(self, plan).of(images)

    def _plan(self, size: tuple[int, int], inside: Box) -> Plan | None:
        key = size, inside
        if key not in self._plans:
            made = self.plan(size, inside) if self._is_simple() else None
            self._plans[key] = made if made is not None and made.saved >= LEAST else None
            while len(self._plans) > SIZES:
                self._plans.popitem(last=False)
        return self._plans.get(key)

    def plan(self, size: tuple[int, int], inside: Box) -> Plan:
        """Return what is computed of every map for images of ``size`` (height, width) that are zero outside ``inside``.

        Raises
        ------
        GeometryError
            When the images are too small.
        """
        every = self.geometry.sizes(size)
        sizes = {node: every[place] for node, place in self.layer.items()}
        plan = Plan(sizes, {}, 0.0)
        for node in self.layer:
            spans = (self.geometry.changes(inside[axis], self.layer[node], axis, size[axis]) for axis in (0, 1))
            rows, columns = spans
            known = node in self.local and rows is not None and columns is not None
            plan.windows[node] = Box(rows, columns) if known else plan.whole(node)  # type: ignore[arg-type]  # checked
        for node in reversed(self.layer):
            self._widen(node, plan)
        plan.saved = 1 - self._cost(plan, plan.windows) / max(self._cost(plan, {node: plan.whole(node) for node in sizes}), 1)
        return plan

    def _widen(self, node: fx.Node, plan: Plan) -> None:
        """Have what stands before a pooling or a pointwise layer computed as far as that reads, which spares a copy."""
        if node in self.local and not self._convolves(node):
            wanted = self.wanted(node, plan)[0]
            for other in node.all_input_nodes:
                plan.windows[other] = plan.windows[other].joined(wanted)

    def wanted(self, node: fx.Node, plan: Plan) -> tuple[Box, tuple[Interval, Interval]]:
        """Return what a local node reads of its input for its window, and what of it lies before and behind that, by axis."""
        first = node.all_input_nodes[0]
        maps = self.geometry.layers[self.layer[node]].maps
        read: list[Interval] = []
        beyond: list[Interval] = []
        for axis, step in enumerate(maps):
            low, high = step.sources(*plan.windows[node][axis])
            end = plan.sizes[first][axis] - 1
            read.append((max(low, 0), min(high, end)))
            beyond.append((max(-low, 0), max(high - end, 0)))
        return Box(*read), (beyond[0], beyond[1])

    def _cost(self, plan: Plan, boxes: dict[fx.Node, Box]) -> int:
        weights = {node: part.weight for node, part in self.parts.items() if isinstance(part, (nn.Conv2d, Convolution))}
        return sum(boxes[node].area * weight.shape.numel() for node, weight in weights.items() if node in boxes)

    def _convolves(self, node: fx.Node) -> bool:
        part = self.parts.get(node)
        return type(part) is nn.Conv2d or isinstance(part, Convolution)

    def _is_local(self, node: fx.Node) -> bool:
        """Whether a part of a node's map can be computed from a part of its inputs, by :class:`_Run`."""
        if node not in self.layer or any(other not in self.layer for other in node.all_input_nodes):
            return False
        part, maps = self.parts.get(node), self.geometry.layers[self.layer[node]].maps
        if self._convolves(node):
            zeros = getattr(part, "padding_mode", "zeros") == "zeros"
            return zeros and all(isinstance(step, Window) and not step.ceil for step in maps)
        if type(part) is nn.MaxPool2d:
            return not part.return_indices and all(isinstance(step, Window) for step in maps)
        known = isinstance(part, POINTWISE_MODULES) or node.target in POINTWISE_FUNCTIONS
        along_channels = node.target is not torch.cat or (node.args[1:] or (node.kwargs.get("dim"),))[0] == 1
        before = [other in self.local or other is self.nodes[0] for other in node.all_input_nodes]
        return known and along_channels and maps == (POINTWISE, POINTWISE) and all(before)

    def _is_simple(self) -> bool:
        """Whether every node is a map, and nothing is overwritten that is read again."""
        in_place = [
            node for node in self.nodes if node.target in IN_PLACE or getattr(self.parts.get(node), "inplace", False) is True
        ]
        return all(node in self.layer for node in self.nodes if node.op != "get_attr") and all(
            len(node.all_input_nodes[0].users) == 1 for node in in_place
        )


class _Run:
    """One call: the first of a size computes whole maps and keeps frames, others compute windows."""

    def __init__(self, net: Windowed, plan: Plan) -> None:
        self.net, self.plan = net, plan
        self.values: dict[fx.Node, Any] = {}

    def of(self, images: Tensor) -> list[Tensor]:
        """Return the maps."""
        frames = dict(self.plan.frames)  # another thread may be filling it
        readers = list(self._readers())
        first = len(frames) < len({(node, wanted) for _, node, wanted in readers})
        self.values[self.net.nodes[0]] = images
        found: dict[tuple[fx.Node, Box], Frame] = {}
        last = {other: node for node in self.net.graph.graph.nodes for other in node.all_input_nodes}
        for node in self.net.nodes:
            if node is not self.net.nodes[0]:
                self.values[node] = self._whole(node) if first else self._window(node, frames)
            if first:
                found |= self._kept(node, readers)
            for other in [other for other, reader in last.items() if reader is node and other in self.values]:
                del self.values[other]
        if first:
            self.plan.frames.update(found)
            return list(fx.node.map_arg(self.net.output.args[0], self.values.__getitem__))
        return [self._read(node, self.plan.whole(node), frames) for node in self.net.output.args[0]]  # type: ignore[union-attr]  # a list

    def _readers(self) -> Iterator[tuple[fx.Node, fx.Node, Box]]:
        """Yield who reads what of which map, where that is more than is computed of it."""
        for node in (*self.net.nodes[1:], self.net.output):
            for other in node.all_input_nodes:
                wanted = self.net.wanted(node, self.plan)[0] if node in self.net.local else self._all(other)
                if wanted is not None and not self.plan.windows[other].holds(wanted):
                    yield node, other, wanted

    def _all(self, node: fx.Node) -> Box | None:
        return self.plan.whole(node) if node in self.plan.windows else None

    def _kept(self, node: fx.Node, readers: Sequence[tuple[fx.Node, fx.Node, Box]]) -> dict[tuple[fx.Node, Box], Frame]:
        return {
            (node, wanted): Frame(self.values[node], self.plan.windows[node], wanted)
            for _, other, wanted in readers
            if other is node
        }

    def _read(self, node: fx.Node, wanted: Box, frames: dict[tuple[fx.Node, Box], Frame]) -> Tensor:
        window = self.plan.windows[node]
        if wanted == window:
            return self.values[node]
        if window.holds(wanted):
            return self.values[node][(..., *wanted.inside(window))]
        return frames[node, wanted].around(self.values[node])

    def _call(self, node: fx.Node, values: Any) -> Any:
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.net.graph)
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), values)
        if node.op == "call_module":
            return self.net.parts[node](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]  # a function

    def _whole(self, node: fx.Node) -> Any:
        return self._call(node, self.values.__getitem__)

    def _window(self, node: fx.Node, frames: dict[tuple[fx.Node, Box], Frame]) -> Any:
        if node not in self.net.local:
            return self._call(node, lambda other: self._read(other, self.plan.whole(other), frames) if other in self.net.layer else self.values[other])
        wanted, beyond = self.net.wanted(node, self.plan)
        part = self.net.parts.get(node)
        if self.net._convolves(node):
            return _convolved(part, self._read(node.all_input_nodes[0], wanted, frames), beyond)
        if isinstance(part, nn.MaxPool2d):
            return _pooled(part, self._read(node.all_input_nodes[0], wanted, frames), beyond)
        return self._call(node, lambda other: self._read(other, wanted, frames))


def _convolved(part: Any, maps: Tensor, beyond: tuple[Interval, Interval]) -> Tensor:
    """Return what a convolution makes of maps with so many zeros before and behind them."""
    (top, bottom), (left, right) = beyond
    if top != bottom or left != right:
        maps, top, left = F.pad(maps, (left, right, top, bottom)), 0, 0
    if isinstance(part, Convolution):
        return part.padded(maps, (top, left))
    return F.conv2d(maps, part.weight, part.bias, part.stride, (top, left), part.dilation, part.groups)


def _pooled(part: nn.MaxPool2d, maps: Tensor, beyond: tuple[Interval, Interval]) -> Tensor:
    (top, bottom), (left, right) = beyond
    if top or bottom or left or right:
        maps = F.pad(maps, (left, right, top, bottom), value=-torch.inf)
    return F.max_pool2d(maps, part.kernel_size, part.stride, 0, part.dilation)
