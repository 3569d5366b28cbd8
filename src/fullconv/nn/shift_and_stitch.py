"""Dense output without upsampling, first way: shift the image, run the net on every shift, stitch the maps together.

Long et al. 2015, section 3.2 (after OverFeat, Sermanet et al. 2014, and Giusti et al. 2013). A net of stride f gives a score at
every f-th pixel. Leaving out the first s rows of the image moves all its scores by s pixels, so f shifts along each axis give a
score at every pixel. The second way, filter rarefaction, is :mod:`fullconv.nn.atrous`; where neither reads padding the two give
the same numbers (:func:`defined_region`).

========================  ====================================================================================
:func:`shift_and_stitch`  (f / stride)² passes of the whole net, each over hardly less than the whole image; the memory of one
:func:`atrous`            one pass; a layer at stride s costs up to (s / stride)² times as much, in memory too, because
                          its map is that much denser. Layers before the first removed stride run once, not f² times
========================  ====================================================================================

Letters: N images, C channels, H W image, h w map, K classes.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.graph import Geometry, Interval
from fullconv.geometry.trace import from_graph
from fullconv.nn.convolutionalize import DenseClassifier
from fullconv.nn.surgery import keep_needed, read_graph
from fullconv.nn.tail_rules import flattens

AXES = ("vertical", "horizontal")


@dataclass(frozen=True)
class ScoreNet:
    """A net read as a graph from images to one map, and how much denser that map is to become.

    Parameters
    ----------
    graph
        The net's graph, without what its output does not need. It shares all modules with the net.
    geometry
        Its coordinate maps; the last layer is the map.
    stride
        In pixels, that the map is to have.
    factors
        The net's stride divided by that, vertical and horizontal: the number of shifts along each axis.
    """

    graph: fx.GraphModule
    geometry: Geometry
    stride: int
    factors: tuple[int, int]

    def phases(self, axis: int, side: int) -> list[int]:
        """Return the image side, in pixels, that is left for every shift along an axis; below 1 there is nothing left."""
        return [side - phase * self.stride for phase in range(self.factors[axis])]

    def size(self, axis: int, side: int) -> int:
        """Return how many entries of the dense map there are, along an axis, for an image side in pixels.

        Raises
        ------
        GeometryError
            When the image is too small for the net as it is.
        """
        self.geometry.sizes_along(axis, side, [len(self.geometry.layers) - 1])
        return _without_gap([self._count(axis, left) for left in self.phases(axis, side)])

    def _count(self, axis: int, side: int) -> int:
        try:
            return self.geometry.sizes_along(axis, side, [len(self.geometry.layers) - 1])[0] if side > 0 else 0
        except GeometryError:
            return 0

    def clear(self, axis: int, side: int) -> Interval | None:
        """Return the interval of the dense map along an axis that no shift computes from padding; errors as :meth:`size`."""
        size, first = self.size(axis, side), self.geometry.clear_of_padding(-1, side, axis)
        if first is None:
            return None
        ends = []
        for left in self.phases(axis, side):
            span = self.geometry.clear_of_padding(-1, left, axis) if self._count(axis, left) else None
            ends.append(first[0] if span is None else span[1] + 1)
        # every shift starts alike: what it leaves out moves the image against the padding in front
        begin, last = self.factors[axis] * first[0], min(_without_gap(ends), size) - 1
        return (begin, last) if begin <= last else None


def _without_gap(counts: list[int]) -> int:
    """Return how many entries from 0 on exist when every ``len(counts)``-th comes from one shift, which has so many."""
    return min(count * len(counts) + phase for phase, count in enumerate(counts))


def read_score_net(net: nn.Module, stride: int) -> ScoreNet:
    """Return ``net`` as :func:`shift_and_stitch` and :func:`atrous` read it.

    Raises
    ------
    GeometryError
        When the net cannot be traced, has an operation without a coordinate map, takes or gives more than one map, ends in
        vectors, or when ``stride`` does not divide its own.
    """
    name = type(net).__name__
    source = net.graph if isinstance(net, DenseClassifier) else net  # a GraphModule cannot hold a part that is called graph
    graph = read_graph(source)
    given = next(node for node in graph.graph.nodes if node.op == "output").args[0]
    if not isinstance(given, fx.Node):
        raise GeometryError(f"{name} gives {given}; a dense map is made of one score map, so choose one")
    keep_needed(graph)
    inputs = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise GeometryError(f"{name} computes its map from the inputs {inputs}; accepted is a net of one input, the images")
    for node in graph.graph.nodes:
        if flattens(graph, node):
            raise GeometryError(f"{name} flattens its map at {node.target}; make it a dense scorer by convolutionalize first")
    geometry = from_graph(graph.graph, graph)
    vertical, horizontal = (_factor(geometry, axis, stride) for axis in (0, 1))
    return ScoreNet(graph, geometry, stride, (vertical, horizontal))


def _factor(geometry: Geometry, axis: int, stride: int) -> int:
    """Return the net's stride along an axis, divided by ``stride``."""
    place, last = geometry.place(-1, axis), geometry.layers[-1].name
    if place is None:
        raise GeometryError(f"{last} sees the whole image, so its values have no place on it; choose a map that has")
    if place.stride.denominator != 1:
        raise GeometryError(f"the {AXES[axis]} stride of {last} is {place.stride} px; accepted are whole pixels")
    own = place.stride.numerator
    if stride < 1 or own % stride:
        divisors = ", ".join(str(n) for n in range(1, own + 1) if own % n == 0)
        raise GeometryError(
            f"a stride of {stride} px does not divide the net's {AXES[axis]} stride of {own}; accepted: {divisors}"
        )
    return own // stride


def shift_and_stitch(net: nn.Module, images: Tensor, stride: int = 1) -> Tensor:
    """Return dense scores (N, K, h, w) at every ``stride``-th pixel, by running ``net`` on shifted images.

    Index j of the result lies at pixel ``stride * j + offset``, with the net's own offset
    (``trace(net).place(-1).offset``); it ends before the first index that no shift gives. It takes (f / stride)² passes for a
    net of stride f, one after the other, each on an image that is up to f - stride pixels smaller; the memory is that of one
    pass and the result. :func:`fullconv.nn.atrous.atrous` takes one pass, which is faster the earlier in the net most of its
    work is done.

    Parameters
    ----------
    net
        From images to one score map (N, K, h', w'), such as a ``DenseClassifier``; traceable by torch.fx. Run as it is: put it
        in eval mode first, or dropout differs from shift to shift.
    images
        What the net takes, (N, C, H, W).
    stride
        In pixels; must divide the net's along both axes.

    Raises
    ------
    GeometryError
        When the net is not one from images to one map, sees the whole image at once, upsamples inside, or its stride is not a
        multiple of ``stride``; when the images are too small for it.

    Notes
    -----
    Long et al. 2015, section 3.2. Gradients flow to the net and the images as in any other use of the net.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 5, 2))
    >>> images = torch.zeros(1, 3, 20, 30)
    >>> net(images).shape, shift_and_stitch(net, images).shape
    (torch.Size([1, 5, 8, 13]), torch.Size([1, 5, 15, 25]))
    """
    plan = read_score_net(net, stride)
    _refuse_unshiftable(plan)
    down, across = plan.factors
    height, width = (plan.size(axis, images.shape[axis - 2]) for axis in (0, 1))
    result: Any = None
    for y in range(min(down, height)):
        for x in range(min(across, width)):
            scores = net(images[..., y * stride :, x * stride :])
            if result is None:
                result = scores.new_empty(*scores.shape[:-2], height, width)
            part = result[..., y::down, x::across]
            # a shift can have one score more than fits without a gap
            part.copy_(scores[..., : part.shape[-2], : part.shape[-1]])
    return result


def _refuse_unshiftable(plan: ScoreNet) -> None:
    """Refuse nets whose scores do not move along with the image."""
    if plan.geometry.global_layers:
        raise GeometryError(
            f"{', '.join(plan.geometry.global_layers[:2])} see the whole image, so the scores of a shifted image are not the "
            "shifted scores; shift and stitch needs a net of local layers"
        )
    for axis, factor in enumerate(plan.factors):
        own = factor * plan.stride
        for i, layer in enumerate(plan.geometry.layers):
            place = plan.geometry.place(i, axis)
            if place is not None and (own / place.stride).denominator != 1:
                raise GeometryError(
                    f"{layer.name} has a {AXES[axis]} stride of {place.stride} px inside a net of stride {own}: upsampled scores "
                    "do not move along with the image; take the map before the upsampling"
                )


def defined_region(net: nn.Module, size: tuple[int, int], stride: int = 1) -> tuple[Interval | None, Interval | None]:
    """Return the (rows, columns) of the dense map, first and last index, that read no padding in any layer.

    There :func:`shift_and_stitch`, :func:`fullconv.nn.atrous.atrous` and the net slid over the image pixel by pixel are the same
    function. Outside, each meets the border in its own way: a shift moves the image against the zeros in front of it, which a
    net without strides never sees. ``None`` stands for an axis along which every score reads padding.

    Parameters
    ----------
    net, stride
        As for :func:`shift_and_stitch`.
    size
        (height, width) of the image in pixels.

    Raises
    ------
    GeometryError
        As :func:`shift_and_stitch`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2))
    >>> defined_region(net, (20, 30))
    ((2, 17), (2, 27))
    """
    plan = read_score_net(net, stride)
    _refuse_unshiftable(plan)
    return plan.clear(0, size[0]), plan.clear(1, size[1])
