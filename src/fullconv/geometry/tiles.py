"""Which parts of an image to compute, one after another, so that together they are what the whole image gives: exact tiling.

A net of local layers is a function of windows: an output depends on the pixels of its receptive field and on nothing else. Two
things make a part of an image differ from the whole, and both are arithmetic on the coordinate maps:

- **The halo.** At an edge that is none of the image's, layers pad with zeros where the whole image has pixels. So a window
  reaches as far around the part that is kept as its outputs depend on pixels
  (:meth:`~fullconv.geometry.graph.Geometry.depends_on`).
- **The grid.** A pooling of stride 2 pairs pixels from the window's first one on. So windows begin at multiples of the coarsest
  stride, where the windows of every layer begin in the whole image too.

Where the image ends a window ends with it, padding and all. What is padded behind an image may depend on its size; windows that
end there are begun so early that all their maps end as the whole image's do.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Place
from fullconv.geometry.graph import Geometry


class Span(NamedTuple):
    """A tile along one axis, in pixels of the image; ends are left out.

    Parameters
    ----------
    first, last
        What is kept: ``first`` to ``last - 1``.
    begin, end
        What is computed for it: ``begin`` to ``end - 1``.
    """

    first: int
    last: int
    begin: int
    end: int

    @property
    def kept(self) -> slice:
        """Where what is kept lies within what is computed."""
        return slice(self.first - self.begin, self.last - self.begin)


class Tile(NamedTuple):
    """A rectangle of the image that is kept, and the window that is computed for it."""

    rows: Span
    columns: Span


def tiles(geometry: Geometry, size: tuple[int, int], core: tuple[int, int]) -> list[Tile]:
    """Return the tiles of an image, row by row; what they keep covers it once.

    Parameters
    ----------
    geometry
        Of a net whose outputs lie on the image's pixels, such as ``FCN.geometry``.
    size
        (height, width) of the image in pixels.
    core
        (height, width) of what a tile keeps; the last ones of a row or column keep what is left.

    Raises
    ------
    GeometryError
        When the net sees the whole image at once, or its outputs do not lie on the pixels.

    Examples
    --------
    >>> from torch import nn
    >>> from fullconv.geometry.trace import trace
    >>> pyramid = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Upsample(scale_factor=2))
    >>> [tile.columns for tile in tiles(trace(pyramid), (20, 20), (20, 8))]
    [Span(first=0, last=8, begin=0, end=10), Span(first=8, last=16, begin=6, end=18), Span(first=16, last=20, begin=14, end=20)]
    """
    check_local(geometry)
    rows, columns = (spans(geometry, axis, size[axis], core[axis]) for axis in (0, 1))
    return [Tile(down, across) for down in rows for across in columns]


def spans(geometry: Geometry, axis: int, side: int, core: int) -> list[Span]:
    """Return the tiles along one axis of an image with ``side`` pixels, of which each keeps ``core``; errors as :func:`tiles`."""
    if core < 1:
        raise GeometryError(f"a tile keeps {core} px; accepted is 1 and more")
    plan = AxisPlan(geometry, axis, side)
    return [plan.span(first, min(first + core, side)) for first in range(0, side, core)]


def overhead(parts: Sequence[Tile], size: tuple[int, int]) -> float:
    """Return how many pixels are computed for each of an image of ``size`` (height, width): 1 is none twice."""
    worked = sum((rows.end - rows.begin) * (columns.end - columns.begin) for rows, columns in parts)
    return worked / (size[0] * size[1])


class AxisPlan:
    """Windows of one net along one axis of an image.

    Parameters
    ----------
    geometry, axis
        The net, and 0 for rows or 1 for columns.
    side
        Pixels of the image along it.
    """

    def __init__(self, geometry: Geometry, axis: int, side: int) -> None:
        self.geometry, self.axis, self.side = geometry, axis, side
        self._layers = [i for i in range(len(geometry.layers)) if geometry.place(i, axis) is not None]
        self.strides = [_placed(geometry, i, axis).stride for i in self._layers]
        self.period = math.lcm(*(stride.numerator for stride in self.strides))
        self.stride = self.strides[-1]
        self._whole = geometry.sizes_along(axis, side, self._layers)
        self.size = self._whole[-1]

    def span(self, first: int, last: int) -> Span:
        """Return the window, in pixels, for the entries ``first`` to ``last - 1`` of the net's output map."""
        low, high = self._needs(first, last - 1)
        begin = low // self.period * self.period
        end = min(math.ceil((high + 1) / self.period) * self.period, self.side)
        while begin and end == self.side and not self._ends_alike(begin):
            begin -= self.period
        while end < self.side and not self._fits(end - begin):
            end = min(end + self.period, self.side)
        return Span(first, last, begin, end)

    def _needs(self, first: int, last: int) -> tuple[int, int]:
        """Return the pixels that outputs depend on, beyond mirrored ones too."""
        found = [self.geometry.depends_on(-1, (first, last), self.axis, side) for side in (None, self.side)]
        known = [span for span in found if span is not None]
        if not known:  # they read nothing but padding
            pixel = min(max(int(first * self.stride), 0), self.side - 1)
            return pixel, pixel
        low, high = min(a for a, _ in known), max(b for _, b in known)
        return min(max(low, 0), self.side - 1), max(min(high, self.side - 1), 0)

    def _ends_alike(self, begin: int) -> bool:
        """Whether all maps of a window from ``begin`` to the image's end are those of the whole image from there on."""
        try:
            found = self.geometry.sizes_along(self.axis, self.side - begin, self._layers)
        except GeometryError:
            return False
        return all(
            Fraction(whole - part) * stride == begin for whole, part, stride in zip(self._whole, found, self.strides, strict=True)
        )

    def _fits(self, side: int) -> bool:
        try:
            self.geometry.sizes_along(self.axis, side, self._layers)
        except GeometryError:
            return False
        return True


def _placed(geometry: Geometry, layer: int, axis: int) -> Place:
    place = geometry.place(layer, axis)
    assert place is not None  # those without one were left out
    return place


def check_local(geometry: Geometry) -> None:
    """Make sure that a net can be tiled exactly.

    Raises
    ------
    GeometryError
        When it sees the whole image at once, with the layers that do; when its outputs do not lie on the image's pixels.
    """
    if geometry.is_global[-1]:
        named = geometry.global_layers
        more = f" and {len(named) - 2} more" if len(named) > 2 else ""
        raise GeometryError(
            f"the net sees the whole image at once (by {', '.join(named[:2])}{more}), so no part gives what the whole does; "
            "tile it by approximation (--approximate), or take a net without such layers"
        )
    for axis in (0, 1):
        place = geometry.place(-1, axis)
        if place != Place(Fraction(1), Fraction(0)):
            raise GeometryError(
                f"the net's outputs lie at {place} and not on the image's pixels, so tiles of pixels do not fit it"
            )
