"""Which axes of a tensor run along the image's height and width, however it has been permuted, flattened and reshaped.

Every axis is written as a product of factors, outermost first, each of them a number of entries that run along the height, along
the width or along neither: ``(N, C, H, W)`` after ``flatten(2)`` has the axes ``N``, ``C`` and ``H·W``. So a view that joins or
splits axes can be followed, and an operation knows whether it mixes positions.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from fullconv.geometry.axis import POINTWISE, AxisMap, Blocks

AXES = ("height", "width")
Maps = tuple[AxisMap, AxisMap]
KEPT: Maps = (POINTWISE, POINTWISE)


class Refused(Exception):  # noqa: N818  # no error of its own: it becomes a GeometryError that names the layer
    """The reason why an operation has no coordinate map."""


class TooSmall(Refused):
    """Nothing is left of the map; a larger image may do."""


class Factor(NamedTuple):
    """A number of entries along ``axis``: 0 the height, 1 the width, ``None`` neither."""

    axis: int | None
    size: int


Axis = tuple[Factor, ...]
Layout = tuple[Axis, ...]


@dataclass(frozen=True)
class Map:
    """A tensor that is computed from the image.

    Parameters
    ----------
    tensor
        Of its shape and dtype, on the meta device.
    axes
        What each of its dimensions runs along; nothing for a single entry, repeated or not.
    layer
        Position, in the geometry, of the layer that gives it.
    """

    tensor: Tensor
    axes: Layout
    layer: int = -1

    def extent(self, axis: int) -> int | None:
        """Return the number of entries along the image's ``axis``; ``None`` when it runs along no dimension."""
        sizes = [factor.size for own in self.axes for factor in own if factor.axis == axis]
        return sizes[0] if sizes else None


def plain(size: int) -> Axis:
    """Return an axis of ``size`` entries that runs along neither height nor width."""
    return () if size == 1 else (Factor(None, size),)


def along(axes: Iterable[Axis]) -> set[int]:
    """Return which of height (0) and width (1) the given axes run along."""
    return {factor.axis for own in axes for factor in own if factor.axis is not None}


def pure(axis: Axis) -> int | None:
    """Return what an axis runs along; ``None`` for neither.

    Raises
    ------
    Refused
        When other things are joined in it.
    """
    if not along([axis]):
        return None
    if len(axis) > 1:
        raise Refused("works along an axis in which height or width are joined with others (flattened)")
    return axis[0].axis


def replaced(maps: dict[int, AxisMap]) -> Maps:
    """Return the maps of both axes from those that are not pointwise."""
    return maps.get(0, POINTWISE), maps.get(1, POINTWISE)


def merged(shape: Sequence[int], maps: Sequence[Map], constants: Sequence[Tensor] = ()) -> Layout:
    """Return the axes of what broadcasting gives.

    Raises
    ------
    Refused
        When height meets width or something else, or a constant with values of its own for every position.
    """
    axes: list[Axis] = []
    for back in range(len(shape), 0, -1):
        met = {one.axes[-back] for one in maps if len(one.axes) >= back and one.axes[-back]}
        spatial = {axis for axis in met if along([axis])}
        if len(spatial) > 1 or (spatial and len(met) > 1):
            raise Refused("merges maps whose height and width run along different axes")
        if spatial and any(one.ndim >= back and one.shape[-back] != 1 for one in constants):
            raise Refused("merges the map with a constant that differs from position to position, so it fits images of one size")
        axes.append(spatial.pop() if spatial else plain(shape[-back]))
    return tuple(axes)


def viewed(axes: Layout, shape: Sequence[int]) -> tuple[Layout, Maps]:
    """Return the axes after a view in row-major order, and the maps where it splits height or width into blocks.

    Raises
    ------
    Refused
        When a new axis takes a part of the height or the width that is no whole number of blocks.
    """
    factors = [factor for axis in axes for factor in axis][::-1]
    if math.prod(factor.size for factor in factors) != math.prod(shape):
        raise Refused("gives a view of a map in which entries are repeated (expand)")
    maps: dict[int, AxisMap] = {}
    found: list[Axis] = []
    for position, size in enumerate(shape):
        taken: list[Factor] = []
        missing = size
        while missing > 1:
            axis, count = factors.pop()
            part = math.gcd(count, missing)
            if part < count:  # row-major: the first of the two parts is the outer one
                if part < missing:
                    raise Refused(
                        f"gives a view of {tuple(shape)} that cuts the height, the width or the channels into uneven parts"
                    )
                factors.append(Factor(None, count // part))
                if axis is not None:
                    maps[axis] = Blocks(count // part)
            taken.append(Factor(axis, part))
            missing //= part
        ends = position == len(shape) - 1 or size == 1 or shape[position + 1] != 1
        while factors and factors[-1].size == 1 and ends and (size > 1 or not taken):
            taken.append(factors.pop())
            ends = size > 1
        found.append(_joined(taken))
    return tuple(found), replaced(maps)


def _joined(factors: list[Factor]) -> Axis:
    """Return factors as one axis, with neighbours that run along neither joined."""
    axis: list[Factor] = []
    for factor in factors:
        if factor.axis is None and axis and axis[-1].axis is None:
            axis[-1] = Factor(None, axis[-1].size * factor.size)
        else:
            axis.append(factor)
    return tuple(factor for factor in axis if factor != Factor(None, 1))
