"""From a torch module to its :class:`Geometry`: every operation of its torch.fx graph is given its coordinate map.

An operation without a rule is an error that names it and the reason; nothing is guessed. The graph is walked through at two image
sizes without memory (:mod:`fullconv.geometry.read`), so that every shape is known, and which axes run along height and width
(:mod:`fullconv.geometry.layout`): maps that differ between the sizes are refused, and so are sizes that the maps do not give.

A module of our own that is more than a composition of known layers states its map itself by a method ``axis_maps() -> (vertical,
horizontal)``; when it cuts its first input to the extent of the second, its attribute ``like_start`` says where the second's index
0 is. Batch normalisation counts as what it is while the net predicts, whatever its mode.
"""

from collections import Counter

from torch import fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.graph import Geometry
from fullconv.geometry.layout import KEPT
from fullconv.geometry.read import Reader, Walk
from fullconv.geometry.tracer import Tracer

__all__ = ["Tracer", "from_graph", "node_names", "trace"]

SIZE = (512, 448)
"""Of the images that a net is read at, in pixels: divisible by every usual stride, and large enough for every usual net."""

LARGEST = 8 * SIZE[0]
"""Height of the largest images that a net is tried with, for want of pixels."""


def trace(module: nn.Module, size: tuple[int, int] | None = None) -> Geometry:
    """Return the coordinate maps of every layer of ``module``, which takes images (N, C, H, W), one or several of one size.

    Parameters
    ----------
    module
        The net; traceable by torch.fx.
    size
        (height, width) in pixels, for a net that takes images of one size only, such as a classifier with dense layers.

    Raises
    ------
    GeometryError
        When the graph holds an operation without a coordinate map, or one that depends on the image's size; it is named.

    Examples
    --------
    >>> geometry = trace(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)))
    >>> geometry.receptive_field(-1), str(geometry.place(-1).stride)
    (8, '2')
    """
    return from_graph(Tracer().trace(module), module, size)


def node_names(graph: fx.Graph) -> dict[fx.Node, str]:
    """Return a unique name for every node: its module's path where only one node calls that module, else fx's own name."""
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    return {node: str(node.target) if calls[node.target] == 1 and node.op == "call_module" else node.name for node in graph.nodes}


def from_graph(graph: fx.Graph, module: nn.Module, size: tuple[int, int] | None = None) -> Geometry:
    """Return the coordinate maps of a graph already traced from ``module``; see :func:`trace`.

    Its layers have the names of :func:`node_names`, the images together that of ``image``; nodes that are no maps, such as sizes
    and constants, are left out.
    """
    reader = Reader(graph, module, node_names(graph), _is_pointwise)
    height, width = size or SIZE
    first = reader.walk((height, width))
    while first.too_small and size is None and height < LARGEST:
        height, width = 2 * height, 2 * width
        first = reader.walk((height, width))
    if first.error is not None:
        raise first.error
    if not first.layers:
        raise GeometryError(f"{type(module).__name__} has no input; expected are images (N, C, H, W)")
    geometry = Geometry(first.layers)
    _compare(geometry, first)
    odd = reader.walk((2 * height + 1, 2 * width + 1))
    _same_maps(first, odd)
    if odd.error is None:
        _compare(geometry, odd)
    elif size is None:  # a net may take some sizes only, if its geometry knows it; it then has to take twice the first
        _both_refuse(geometry, odd)
        double = reader.walk((2 * height, 2 * width))
        if double.error is not None:
            raise double.error
        _same_maps(first, double)
        _compare(geometry, double)
    return geometry


def _same_maps(first: Walk, other: Walk) -> None:
    for one, two in zip(first.layers, other.layers, strict=False):
        if one != two:
            raise GeometryError(
                f"no coordinate map is known for {one.name} ({one.kind}): it depends on the image's size, {one.maps} at {first.size} px "
                f"and {two.maps} at {other.size}; give it numbers that do not come from the size"
            )


def _compare(geometry: Geometry, walk: Walk) -> None:
    """Refuse a geometry that gives other sizes than the net."""
    for layer, said, true in zip(geometry.layers, geometry.sizes(walk.size), walk.sizes, strict=True):
        if any(n is not None and n != m for n, m in zip(true, said, strict=True)):
            raise GeometryError(
                f"{layer.name} ({layer.kind}) gives {true} entries for {walk.size} px; its coordinate maps say {said}"
            )


def _both_refuse(geometry: Geometry, walk: Walk) -> None:
    try:
        geometry.sizes(walk.size)
    except GeometryError:
        return
    assert walk.error is not None
    raise walk.error


def _is_pointwise(module: nn.Module) -> bool:
    """Return whether a module, as it is in eval mode, keeps every position to itself."""
    graph = Tracer().trace_eval(module)
    return all(layer.maps == KEPT for layer in from_graph(graph, module).layers)
