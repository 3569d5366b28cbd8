"""A network as coordinate maps: for every layer its stride, receptive field, offset, size and the pixels it depends on.

A :class:`Geometry` is a list of :class:`Layer` in the order of execution. Layers that see the whole image (global pooling,
squeeze-and-excitation, group norm) are known, and so is what depends on them: such maps have a stride and an offset when they also
have a local path, and an unbounded receptive field. Where maps are merged whose pixels do not lie on each other, sizes and
intervals are still defined, and positions are not: whoever asks for one is told which merge it is.

Axes are named by number: 0 is vertical (height), 1 horizontal (width).
"""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

from fullconv.errors import GeometryError
from fullconv.geometry.axis import EVERYTHING, Pad, Place, Whole
from fullconv.geometry.layer import Layer, has_positions, places, sees_everything
from fullconv.geometry.smallest import smallest

Interval = tuple[int, int]

__all__ = ["Geometry", "Interval", "Layer"]


class Geometry:
    """Coordinate maps of a whole network, from the image to every layer.

    Parameters
    ----------
    layers
        In the order of execution; the image comes first.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.index = {layer.name: i for i, layer in enumerate(self.layers)}
        self._global = [sees_everything(self.layers, axis) for axis in (0, 1)]
        self._local = [has_positions(self.layers, axis) for axis in (0, 1)]
        self._places = [places(self.layers, axis) for axis in (0, 1)]

    def place(self, layer: int | str, axis: int = 0) -> Place | None:
        """Return stride and offset of a layer's map on the image; ``None`` when it has no position (global).

        Raises
        ------
        GeometryError
            When it is computed from merged maps whose pixels do not lie on each other.
        """
        place = self._places[axis][self._at(layer)]
        if isinstance(place, str):
            raise GeometryError(place)
        return place

    @property
    def is_global(self) -> list[bool]:
        """Whether each layer depends on the whole image along an axis."""
        return [vertical or horizontal for vertical, horizontal in zip(*self._global, strict=True)]

    @property
    def global_layers(self) -> list[str]:
        """Names of the layers that read their whole input at once."""
        return [layer.name for layer in self.layers if layer.sees_all]

    def _at(self, layer: int | str) -> int:
        if isinstance(layer, int):
            return layer % len(self.layers)
        if layer not in self.index:
            raise GeometryError(f"no layer is called {layer!r}; there are {', '.join(self.index)}")
        return self.index[layer]

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the (height, width) of every layer's map for an image of ``size`` (height, width).

        Raises
        ------
        GeometryError
            When the image is too small for a layer, or merged maps differ in size.
        """
        vertical, horizontal = (self._axis_sizes(axis, size[axis]) for axis in (0, 1))
        return list(zip(vertical, horizontal, strict=True))

    def _axis_sizes(self, axis: int, n: int) -> list[int]:
        sizes: list[int] = []
        local = self._local[axis]
        for layer in self.layers:
            if not layer.inputs:
                sizes.append(n)
                continue
            # a value of the whole image is spread over what it is merged with
            incoming = {sizes[i] for i in layer.inputs if local[i] or sizes[i] > 1} or {1}
            if len(incoming) > 1:
                raise GeometryError(f"{layer.name} merges maps of {sorted(incoming)} entries for an image side of {n} px")
            try:
                out = layer.maps[axis].size(incoming.pop())
            except GeometryError as error:
                raise GeometryError(f"an image side of {n} px does not fit {layer.name}: {error}") from error
            if layer.like is not None:
                out = min(out, sizes[layer.like[0]] - layer.like[1])
            if out < 1:
                raise GeometryError(f"an image side of {n} px is too small: nothing is left after {layer.name}")
            sizes.append(out)
        return sizes

    def sizes_along(self, axis: int, side: int, layers: Sequence[int]) -> list[int]:
        """Return the extents of some layers' maps along one axis for an image side in pixels; errors as :meth:`sizes`."""
        sizes = self._axis_sizes(axis, side)
        return [sizes[i] for i in layers]

    def fits(self, n: int) -> bool:
        """Return whether an image side of ``n`` px leaves at least one entry in every layer, along either axis."""
        return self._fits(0, n) and self._fits(1, n)

    def _fits(self, axis: int, n: int) -> bool:
        try:
            self._axis_sizes(axis, n)
        except GeometryError:
            return False
        return True

    @functools.cached_property
    def min_size(self) -> int:
        """The smallest image side, in pixels, from which on every size passes through all layers.

        Raises
        ------
        GeometryError
            When there is none: the net takes multiples of a number only, or nothing.
        """
        axes = (0,) if all(layer.maps[0] == layer.maps[1] for layer in self.layers) else (0, 1)
        return max(smallest(functools.partial(self._fits, axis), self._period(axis)) for axis in axes)

    def _period(self, axis: int) -> int:
        """Return after how many pixels more every layer has a whole number of entries more."""
        strides = [Fraction(1)]
        for layer in self.layers[1:]:
            unit = layer.maps[axis].compose(Place(Fraction(1), Fraction(0)))
            strides.append(max(strides[k] for k in layer.inputs) * (unit.stride if unit else 1))
        return math.lcm(*(stride.numerator for stride in strides))

    def depends_on(self, layer: int | str, at: Interval, axis: int = 0, side: int | None = None) -> Interval | None:
        """Return the interval of image pixels that the entries ``at`` of a layer's map depend on.

        Parameters
        ----------
        layer
            Name or position.
        at
            First and last index on that layer's map.
        axis
            0 for vertical, 1 for horizontal.
        side
            The image's extent in pixels: intervals are then cut to the maps. Without it they may reach into padding.

        Returns
        -------
        tuple of int or None
            ``None`` when nothing is read, or when the layer depends on the whole image without bound.
        """
        end = self._at(layer)
        sizes = self._axis_sizes(axis, side) if side is not None else None
        wanted: dict[int, Interval] = {end: at}
        for i in range(end, 0, -1):
            if i not in wanted:
                continue
            a, b = _cut(wanted.pop(i), sizes[i] if sizes else None)
            if a > b:
                continue
            own = self.layers[i].maps[axis]
            if isinstance(own, Whole) and sizes is None:
                return None
            a, b = own.sources(a, b)
            for k in self.layers[i].inputs:
                span = (a, b) if self._local[axis][k] else (0, EVERYTHING)
                if sizes and isinstance(own, Pad):
                    span = own.fold(*span, sizes[k])
                wanted[k] = (min(wanted[k][0], span[0]), max(wanted[k][1], span[1])) if k in wanted else span
        found = _cut(wanted[0], side) if 0 in wanted else (0, -1)
        return found if found[0] <= found[1] else None

    def changes(self, pixels: Interval, layer: int | str, axis: int = 0, side: int | None = None) -> Interval | None:
        """Return the interval of a layer's map that the image pixels ``pixels`` can change; see :meth:`depends_on`."""
        end, local = self._at(layer), self._local[axis]
        sizes = self._axis_sizes(axis, side) if side is not None else None
        changed: dict[int, Interval] = {0: _cut(pixels, side)}
        for i in range(1, end + 1):
            own = self.layers[i].maps[axis]
            spans = [changed[k] for k in self.layers[i].inputs if k in changed]
            if not spans:
                continue
            span = min(a for a, _ in spans), max(b for _, b in spans)
            if isinstance(own, Whole) or (local[i] and any(not local[k] for k in self.layers[i].inputs if k in changed)):
                if sizes is None and local[i]:
                    return None
                span = 0, EVERYTHING
            elif sizes and isinstance(own, Pad):
                span = own.unfold(*span, sizes[self.layers[i].inputs[0]])
            else:
                span = own.targets(*span)
            span = _cut(span, sizes[i] if sizes else None)
            if span[0] <= span[1]:
                changed[i] = span
        return changed.get(end)

    def clear_of_padding(self, layer: int | str, side: int, axis: int = 0) -> Interval | None:
        """Return the interval of a layer's map whose entries read no padding, at that layer or any before it.

        What lies behind the last entry of a map counts as padding: the last window of a pooling in ceil mode, when it is cut, is
        not clear. Everything inside would be the same on a larger image that has this one as a part.

        Parameters
        ----------
        layer, axis
            As for :meth:`depends_on`.
        side
            The image's extent in pixels.

        Returns
        -------
        tuple of int or None
            First and last index; ``None`` when every entry reads padding, or the layer sees the whole image, borders and all.

        Raises
        ------
        GeometryError
            As :meth:`sizes`.
        """
        end = self._at(layer)
        sizes = self._axis_sizes(axis, side)
        if self._global[axis][end]:
            return None
        clear: list[Interval] = [(0, side - 1)]
        for i in range(1, end + 1):
            spans = [clear[k] for k in self.layers[i].inputs] or [(0, -1)]
            a, b = max(first for first, _ in spans), min(last for _, last in spans)
            # what reads nothing before a and nothing behind b
            own = self.layers[i].maps[axis]
            clear.append(_cut((own.targets(a - 1, a - 1)[1] + 1, own.targets(b + 1, b + 1)[0] - 1), sizes[i]))
        return clear[end] if clear[end][0] <= clear[end][1] else None

    def receptive_field(self, layer: int | str, axis: int = 0) -> int | None:
        """Return how many image pixels in a row an entry of a layer's map can depend on; ``None`` when all of them."""
        spans = self._spans(self._at(layer), axis)
        return max(b - a + 1 for _, (a, b) in spans) if spans else None

    def reach(self, layer: int | str = -1, axis: int = 0) -> int | None:
        """Return how far away, in pixels, the farthest image pixel lies that an entry of a layer can depend on."""
        spans = self._spans(self._at(layer), axis)
        return math.floor(max(max(x - a, b - x) for x, (a, b) in spans)) if spans else None

    def _spans(self, end: int, axis: int) -> list[tuple[Fraction, Interval]]:
        """Centre and pixels read of one entry for every phase that entries of this layer can have on the coarsest map."""
        place = self.place(end, axis)
        if place is None or self._global[axis][end]:
            return []
        strides = [other.stride for other in self._places[axis][: end + 1] if isinstance(other, Place)]
        phases = math.lcm(*((place.stride / stride).denominator for stride in strides))
        found = ((i, self.depends_on(end, (i, i), axis)) for i in range(phases))
        return [(place.stride * i + place.offset, span) for i, span in found if span is not None]


def _cut(span: Interval, size: int | None) -> Interval:
    return span if size is None else (max(span[0], 0), min(span[1], size - 1))
