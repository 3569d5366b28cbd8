"""Where a trunk is cut into stages: at the smallest maps through which everything goes.

Letters: N images, C channels, h w map.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fx, nn

from fullconv.geometry.axis import AxisMap, Window
from fullconv.geometry.trace import node_names
from fullconv.nn.trunk import Trunk, first_convolution

SIDE = 256
"""Of the image, in pixels, at which maps are compared."""

Place = tuple[fx.Node, int]
"""A node, and which layer of the trunk's geometry it is."""


def cuts_of(trunk: Trunk) -> Iterator[Place]:
    """Yield the last node of each stage of a trunk, in order, and which layer of its geometry it is.

    Between two layers that compute with their neighbours, maps often shrink and grow. Of those that alone carry everything on
    the smallest is where one stage ends, as rows of it are kept; the maps that scores are read from end one too. In front of a
    pooling alone there is no cut: to pool an entry twice costs nothing.
    """
    numbers = _numbers(trunk)
    group: list[Place] = []
    at = 0
    for place in _narrow_places(trunk):
        if any(_computes_with_neighbours(trunk, layer) for layer in range(at + 1, place[1] + 1)):
            yield from _chosen(group, trunk.taps, numbers)
            group = []
        group.append(place)
        at = place[1]
    yield from _chosen(group, trunk.taps, numbers)


def _chosen(group: Sequence[Place], taps: Sequence[int], numbers: dict[fx.Node, int]) -> Iterator[Place]:
    """Yield the maps of a group that are scored, and the smallest where that is another behind them."""
    if not group:  # in front of the first layer
        return
    smallest = min(reversed(group), key=lambda place: numbers[place[0]])
    last = max((place[1] for place in group if place[1] in taps), default=0)
    for place in group:
        if place[1] in taps or (place == smallest and place[1] > last and taps[0] > place[1]):
            yield place


def _narrow_places(trunk: Trunk) -> Iterator[Place]:
    """Yield the maps that everything behind them is computed from, in order, up to the coarsest that is scored."""
    names, index = node_names(trunk.graph.graph), trunk.geometry.index
    order = {node: i for i, node in enumerate(trunk.graph.graph.nodes)}
    latest = 0
    for node, i in order.items():
        if node.op in ("get_attr", "output"):
            continue
        users = [order[user] for user in node.users if user.op != "output"]  # the taps' way out does not count
        layer = index.get(names[node])
        narrow = node.op != "placeholder" and latest <= i
        if narrow and layer is not None and layer <= trunk.taps[0] and trunk.geometry.place(layer) is not None:
            yield node, layer
        latest = max([latest, *users])


def _computes_with_neighbours(trunk: Trunk, layer: int) -> bool:
    """Whether a layer, other than a pooling, computes an output from inputs that the next one reads too, or from padding."""
    found = trunk.geometry.layers[layer]
    return "Pool" not in found.kind and any(_reads_neighbours(step) for step in found.maps)


def _reads_neighbours(step: AxisMap) -> bool:
    return not isinstance(step, Window) or step.extent >= step.stride or step.before > 0 or step.after > 0


class _Counting(fx.Interpreter):
    """Runs a graph and keeps how many numbers each node's result has."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.numbers: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> object:
        found = super().run_node(n)
        if isinstance(found, Tensor):
            self.numbers[n] = found.numel()
        return found


class _Counted(nn.Module):
    """A graph whose run is counted; a module, so that it can be given other weights."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph, self._counting = graph, _Counting(graph)

    def forward(self, images: Tensor) -> dict[fx.Node, int]:
        self._counting.run(images)
        return self._counting.numbers


def _numbers(trunk: Trunk) -> dict[fx.Node, int]:
    """Return how many numbers the map of each node has, without computing any."""
    counted = _Counted(trunk.graph)
    side, first = max(SIDE, trunk.geometry.min_size), first_convolution(trunk.graph)
    images = torch.empty(1, first.in_channels, side, side, dtype=first.weight.dtype, device="meta")
    named = [*counted.named_parameters(), *counted.named_buffers()]
    with torch.inference_mode(False), torch.no_grad():
        weights = {name: torch.empty_like(each, device="meta") for name, each in named}
        found: dict[fx.Node, int] = torch.func.functional_call(counted, weights, (images,))
    return found
