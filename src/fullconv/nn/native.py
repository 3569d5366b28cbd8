"""The shapes in a classifier at its native size, and which size fits where the one given does not."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.trace import node_names
from fullconv.nn.surgery import Shapes, StoppedError
from fullconv.nn.tail import BATCH

LARGEST_SIDE = 4096
"""Up to which native sides are looked for, in pixels, when the one given does not fit."""


def by(size: tuple[int, int]) -> str:
    """Return a size as text."""
    return f"{size[0]}×{size[1]}"


def values_at(graph: fx.GraphModule, native_size: tuple[int, int]) -> dict[str, Any]:
    """Return the value of every node, on the meta device, at the native size.

    Raises
    ------
    GeometryError
        When a node cannot take what it is given; it names a size that fits, where there is one.
    """
    stopped: StoppedError | None = None
    shapes = Shapes(graph)
    for channels in _channels(graph, native_size):
        try:
            return shapes.of((BATCH, channels, *native_size), _dtype(graph))
        except StoppedError as stop:
            stopped = stopped or stop
    assert stopped is not None  # there is always a number of channels to try
    node = next(n for n in graph.graph.nodes if n.name == stopped.node)
    wanted = _wanted(graph, node)
    if wanted is not None:
        raise GeometryError(wrong_size(graph, native_size, node, wanted))
    channels = _channels(graph, native_size)[0]
    node_name = stopped.node
    side = _least(lambda n: node_name in shapes.until_stopped((BATCH, channels, n, n), _dtype(graph)))
    hint = _hint(graph, side)
    raise GeometryError(
        f"the native size {by(native_size)} px does not fit: {node_names(graph.graph)[node]} stops ({stopped.reason}); {hint}"
    )


def _channels(graph: fx.GraphModule, native_size: tuple[int, int]) -> list[int]:
    """Return what channels the images may have, most likely first."""
    parts = [graph.get_submodule(str(n.target)) for n in graph.graph.nodes if n.op == "call_module"]
    found = [p.in_channels for p in parts if isinstance(p, nn.Conv2d)][:1]
    if not found:
        pixels = math.prod(native_size)
        found = [p.in_features // pixels for p in parts if isinstance(p, nn.Linear) and p.in_features % pixels == 0][:1]
    return list(dict.fromkeys([*found, 3, 1, 4, 2]))


def _dtype(graph: fx.GraphModule) -> torch.dtype:
    return next((p.dtype for p in graph.parameters()), torch.float32)


def _wanted(graph: fx.GraphModule, node: fx.Node) -> int | None:
    """Return how many numbers for every image a dense layer, a norm or a view is written for; ``None`` for other nodes."""
    part: Any = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(part, nn.Linear):
        return int(part.in_features)
    if isinstance(part, nn.BatchNorm1d):
        return int(part.num_features)
    if isinstance(part, nn.LayerNorm):
        return math.prod(part.normalized_shape)
    if node.target in ("view", "reshape", torch.reshape):
        shape: Any = node.args[1:] if not isinstance(node.args[1], (tuple, list)) else node.args[1]
        return math.prod(shape[1:]) if all(isinstance(n, int) and n > 0 for n in shape[1:]) else None
    return None


def wrong_size(graph: fx.GraphModule, native_size: tuple[int, int], node: fx.Node, wanted: int) -> str:
    """Return the message for a native size that does not fit; with the side that would, which is looked for by bisection."""
    shapes, source = Shapes(graph), node.all_input_nodes[0]

    def entries(channels: int, *size: int) -> int:
        found = shapes.until_stopped((BATCH, channels, *size), _dtype(graph)).get(source.name)
        return 0 if found is None else math.prod(found.shape[1:])

    hint = "no square image fits it"
    for channels in reversed(_channels(graph, native_size)):
        side = _least(lambda n: entries(channels, n, n) >= wanted)  # noqa: B023  # called at once
        if entries(channels, side, side) == wanted:
            hint = f"it fits images of {by((side, side))} px"
    given = entries(_channels(graph, native_size)[0], *native_size)
    return (
        f"the native size {by(native_size)} px does not fit: {node_names(graph.graph)[node]} is written for {wanted} numbers "
        f"and would get {given}; {hint}"
    )


def _hint(graph: fx.GraphModule, side: int) -> str:
    """Return what to say about the least side at which a node no longer stops; the next one may stop there."""
    if side == LARGEST_SIDE:
        return "give the size that the classifier was built for"
    try:
        values_at(graph, (side, side))
    except GeometryError as error:
        return str(error).rpartition("; ")[2]
    return f"it needs images of {by((side, side))} px or more"


def _least(reached: Callable[[int], bool]) -> int:
    """Return the least side, in pixels, from which on something is reached."""
    low, high = 1, LARGEST_SIDE
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low
