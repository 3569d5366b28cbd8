"""What a classifier does behind its features, read entry by entry, so that it can be done at every position of a larger map.

A value there is, for every image, a handful of numbers. What they *mean* is kept beside it: which channel, row and column of
a map each belongs to. From that follows what a layer has to become; see :mod:`fullconv.nn.tail_rules` for the layers.

Letters: N images, C channels, H W the map of one native window, h w the map of a larger image; c, y, x: channel, row, column.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from torch import Tensor, fx, nn

from fullconv.errors import GeometryError
from fullconv.nn.windows import WindowToChannels

Pair = tuple[int, int]
BATCH = 2
"""Images in the run on shapes: not one, or squeezing would take the axis of the images too."""


@dataclass(frozen=True)
class Meaning:
    """What the entries of a value mean, and where the dense net has them.

    Parameters
    ----------
    node
        Gives the dense map (N, C, h, w); the entry (c, y, x) of the window at (i, j) lies there at
        (c, i + y·gap, j + x·gap).
    axes
        For every axis of the value behind that of the images, what it runs over: ``("c", "y", "x")`` is a map, ``("cyx",)`` one
        that was flattened, ``("yxc",)`` with the channels last, ``("c", "", "")`` one that was pooled.
    channels, size, gap
        Extents of c and of (y, x), and how many entries of the dense map the rows and columns are apart.
    """

    node: fx.Node
    axes: tuple[str, ...]
    channels: int
    size: Pair
    gap: Pair = (1, 1)

    def extent(self, letter: str) -> int:
        """Return how many channels, rows or columns there are."""
        return {"c": self.channels, "y": self.size[0], "x": self.size[1]}[letter]

    @property
    def entries(self) -> int:
        """How many numbers there are for every image."""
        return self.channels * math.prod(self.size)

    def regrouped(self, shape: tuple[int, ...]) -> "Meaning | None":
        """Return what the same entries in the same order mean in another shape; ``None`` when it divides rows or channels."""
        left, axes = list("".join(self.axes)), []
        for n in shape:
            axis, count = "", 1
            while left and count * self.extent(left[0]) <= n and (count < n or self.extent(left[0]) == 1):
                count *= self.extent(left[0])
                axis += left.pop(0)
            if count != n:
                return None
            axes.append(axis)
        return None if any(self.extent(letter) > 1 for letter in left) else replace(self, axes=tuple(axes))

    def become(self, node: fx.Node, **changes: Any) -> "Meaning":
        """Return what another node's entries mean; rows and columns of which only one is left are no longer named."""
        made = replace(self, node=node, **changes)
        single = {letter for letter, n in zip("yx", made.size, strict=True) if n == 1}
        down, across = (1 if n == 1 else g for n, g in zip(made.size, made.gap, strict=True))
        return replace(made, axes=tuple("".join(a for a in axis if a not in single) for axis in made.axes), gap=(down, across))


class WrongSizeError(Exception):
    """A node is made for another number of entries than the native size gives."""

    def __init__(self, node: fx.Node, wanted: int) -> None:
        super().__init__(node.name)
        self.node = node
        self.wanted = wanted


Rule = Callable[["Tail", fx.Node], Meaning]


class Tail:
    """The walk over the nodes behind the features, each rewritten for maps of any size.

    Parameters
    ----------
    graph
        Is rewritten.
    names
        Of its nodes, for notes and errors.
    values
        Of its nodes at the native size, by the nodes' own names; :class:`fullconv.nn.surgery.Shapes`.
    """

    def __init__(self, graph: fx.GraphModule, names: dict[fx.Node, str], values: dict[str, Any]) -> None:
        self.graph = graph
        self.names = names
        self.values = values
        self.meanings: dict[fx.Node, Meaning] = {}
        self.notes: dict[str, str] = {}
        self.windows: list[str] = []
        self.calls = [n.target for n in graph.graph.nodes if n.op == "call_module"]

    def walk(self, end: fx.Node, nodes: list[fx.Node], rule: Callable[["Tail", fx.Node], Rule]) -> Meaning:
        """Rewrite ``nodes``, which follow ``end`` (the features' map), and return what the last one's entries mean."""
        channels, height, width = self.shape(end)
        start = Meaning(end, ("c", "y", "x"), channels, (height, width))
        self.meanings[end] = start.become(end)
        for node in nodes:
            self.meanings[node] = rule(self, node)(self, node)
        return self.meanings[nodes[-1] if nodes else end]

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape of a value for one image."""
        value = self.values[node.name]
        return tuple((value[0] if isinstance(value, tuple) else value).shape[1:])

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls."""
        return self.graph.get_submodule(str(node.target)) if node.op == "call_module" else None

    def kind(self, node: fx.Node) -> str:
        """Return what a node does, for messages."""
        part = self.module(node)
        return type(part).__name__ if part is not None else str(getattr(node.target, "__name__", node.target))

    def source(self, node: fx.Node) -> Meaning:
        """Return what the only input of a node means."""
        known = [self.meanings[n] for n in node.all_input_nodes if n in self.meanings]
        if len(known) != 1:
            self.refuse(node, f"it reads {len(known)} maps")
        return known[0]

    def arguments(self, node: fx.Node, *names: str) -> dict[str, Any]:
        """Return a function's arguments after the map, by name, in numbers: sizes that the net asks for as they are natively."""

        def number(n: fx.Node) -> Any:
            value = self.values.get(n.name)
            return n if n in self.meanings or isinstance(value, Tensor) else value

        args, kwargs = fx.node.map_arg((node.args, node.kwargs), number)
        return {**dict(zip(names, args[1:], strict=False)), **kwargs}

    def refuse(self, node: fx.Node, reason: str) -> NoReturn:
        """Raise the error that names a layer and the reason why it stands in the way."""
        raise GeometryError(f"{self.names[node]} ({self.kind(node)}) cannot be made convolutional: {reason}")

    def note(self, node: fx.Node, text: str) -> None:
        """Keep what became of a node."""
        self.notes[self.names[node]] = text

    def put(self, node: fx.Node, part: nn.Module, source: fx.Node, name: str | None = None) -> fx.Node:
        """Return a new node that calls ``part`` on ``source``, under the old module's name where no other node calls that."""
        old = self.module(node)
        part.train(self.graph.training if old is None else old.training)
        if name is None and node.op == "call_module" and self.calls.count(node.target) == 1:
            name = str(node.target)
            self.graph.set_submodule(name, part)
        else:
            name = name or node.name
            while hasattr(self.graph, name):
                name += "_dense"
            self.graph.add_submodule(name, part)
        with self.graph.graph.inserting_before(node):
            return self.graph.graph.call_module(name, (source,))

    def keep(self, node: fx.Node) -> fx.Node:
        """Return the node itself, which now reads the dense maps of what it read."""
        dense = {n: self.meanings[n].node for n in node.all_input_nodes if n in self.meanings}
        node.args, node.kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: dense.get(n, n))
        return node

    def gathered(self, node: fx.Node, meaning: Meaning) -> Meaning:
        """Return a vector's entries as the channels of a map, for layers that treat each of them by itself.

        Raises
        ------
        GeometryError
            When the value is no vector.
        """
        if meaning.size == (1, 1):
            return meaning
        if len([axis for axis in meaning.axes if axis]) != 1:
            self.refuse(node, "it treats rows or columns of the map each in its own way")
        (order,) = (axis for axis in meaning.axes if axis)
        part = WindowToChannels(meaning.size, meaning.gap, order + "".join(x for x in "yx" if x not in order))
        made = self.put(node, part, meaning.node, "gathered")
        axes = tuple("c" if axis else "" for axis in meaning.axes)
        return Meaning(made, axes, meaning.entries, (1, 1))
