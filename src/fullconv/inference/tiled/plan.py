"""Whether an image fits into memory whole, and how it is cut where it does not.

Two ways, both exact. Stage by stage (:mod:`fullconv.inference.tiled.staged`) is the rule: it computes little twice. Tiles
through the whole net (:mod:`fullconv.inference.tiled.windows`) are for engines and nets that cannot be taken apart.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fullconv.geometry.tiles import AxisPlan, check_local, overhead, spans, tiles
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.blended import OVERLAP, predict_blended
from fullconv.inference.tiled.kept_rows import KeptRows
from fullconv.inference.tiled.memory import TooLittleMemoryError, advice_for, free_for, largest_fitting, window_bytes
from fullconv.inference.tiled.part import Part, Read, check_tileable
from fullconv.inference.tiled.stage_plan import plan_stages
from fullconv.inference.tiled.staged import StagePlan, can_stage, predict_staged
from fullconv.inference.tiled.windows import predict_windows
from fullconv.nn.fcn import FCN

STEP = 64
"""Sides of windows that are blended are multiples of it, in pixels."""


@dataclass(frozen=True)
class Cut:
    """How an image is predicted in parts.

    Parameters
    ----------
    way
        What each stage computes at once, or the side of tiles in pixels.
    overhead
        Work divided by that of the whole image.
    memory
        Bytes that it takes at its peak, beside the weights.
    approximate
        Tiles are windows that are blended, see :mod:`fullconv.inference.tiled.blended`.
    """

    way: StagePlan | int
    overhead: float
    memory: int
    approximate: bool = False

    def parts(
        self, predictor: Predictor, read: Read, size: tuple[int, int], *, between: KeptRows | None = None, **how: Any
    ) -> Iterator[Part]:
        """Return the parts; see :func:`fullconv.inference.tiled.windows.predict_windows`.

        Stage by stage, rows of maps are kept ``between`` two bands; tiles have none.
        """
        if isinstance(self.way, int):
            predict = predict_blended if self.approximate else predict_windows
            return predict(predictor, read, size, tile=self.way, **how)
        return predict_staged(predictor, read, size, self.way, between=between, **how)

    @property
    def about(self) -> str:
        """It in words."""
        way = f"in tiles of {self.way}×{self.way} px" if isinstance(self.way, int) else "stage by stage"
        if self.approximate:
            way = f"by approximation, in blended windows of {self.way}×{self.way} px, which differ from the whole image"
        return f"{way}, {self.overhead:.2f} times the work of the whole image, {self.memory / 1e6:.0f} MB beside the weights"

    @property
    def key(self) -> list[Any]:
        """It as JSON; two cuts of one key give the same numbers to the last bit."""
        way = self.way if isinstance(self.way, int) else self.way.key
        return [way, self.overhead, self.memory, self.approximate]


def fits_whole(predictor: Predictor, head: str, size: tuple[int, int], memory: int) -> bool:
    """Return whether an image (height, width) can be predicted at once in so many bytes."""
    return window_bytes(predictor.model, head, size) <= memory


def cut_of(key: Sequence[Any]) -> Cut:
    """Return the cut of a :attr:`Cut.key`."""
    way, *others = key
    return Cut(way if isinstance(way, int) else StagePlan(*way), *others)


def cut(
    predictor: Predictor,
    size: tuple[int, int],
    memory: int,
    head: str | None = None,
    tile: int | None = None,
    approximate: bool = False,
) -> Cut:
    """Return how to predict an image of ``size`` (height, width) in so many bytes beside the weights.

    Parameters
    ----------
    tile
        Side of tiles in pixels, which then go through the whole net, whatever they take.
    approximate
        Blend windows where the net sees the whole image; nets that do not are tiled exactly all the same.

    Raises
    ------
    TooLittleMemoryError
        When it cannot be done in so few.
    GeometryError, SpecError
        When the net cannot be tiled exactly.
    """
    check_tileable(predictor)
    name, geometry = predictor.head(head), predictor.model.geometry
    if approximate and geometry.is_global[-1]:
        return _blend(predictor.model, name, size, memory, tile)
    check_local(geometry)
    if tile is None and can_stage(predictor):
        return Cut(*plan_stages(predictor.model, name, size, memory))
    side = tile or _tile_side(predictor.model, name, size, memory)
    parts = tiles(geometry, size, (side, side))
    largest = max(((r.end - r.begin, c.end - c.begin) for r, c in parts), key=lambda sides: sides[0] * sides[1])
    return Cut(side, overhead(parts, size), window_bytes(predictor.model, name, largest))


def cut_within(
    predictor: Predictor,
    size: tuple[int, int],
    limit: int | None,
    head: str | None = None,
    tile: int | None = None,
    approximate: bool = False,
) -> Cut:
    """Return :func:`cut` for what this process may still take.

    Parameters
    ----------
    limit
        Bytes of the whole process, see :func:`fullconv.inference.tiled.memory.free_for`.

    Raises
    ------
    TooLittleMemoryError
        When it cannot be done within the limit; it says within which it can.
    GeometryError, SpecError
        When the net cannot be tiled exactly.
    """
    torch.empty(1, device="meta").relu()  # loads what measuring needs, some 100 MB, before what is left is asked for
    try:
        return cut(predictor, size, free_for(predictor.device, limit), head, tile, approximate)
    except TooLittleMemoryError as error:
        advice = advice_for(predictor.device, limit, error.needed)
        raise TooLittleMemoryError(error.memory, error.needed, advice) from error


def _blend(model: FCN, head: str, size: tuple[int, int], memory: int, tile: int | None) -> Cut:
    """Return windows to be blended, each the largest that fits beside a row's sums.

    Raises
    ------
    TooLittleMemoryError
        When not even windows of the smallest side do.
    """

    def taken(side: int) -> int:
        window = min(side, size[0]), min(side, size[1])
        return window_bytes(model, head, window) + 8 * (model.heads[head] + 1) * window[0] * (size[1] + window[1])

    side = tile or largest_fitting(lambda side: taken(side) <= memory, STEP, max(size))
    if not side:
        raise TooLittleMemoryError(memory, taken(STEP))
    step = side - side // OVERLAP
    windows = [1 + max(0, math.ceil((length - side) / step)) for length in size]
    work = math.prod(count * min(side, length) / length for count, length in zip(windows, size, strict=True))
    return Cut(side, work, taken(side), approximate=True)


def _tile_side(model: FCN, head: str, size: tuple[int, int], memory: int) -> int:
    """Return the largest side of a tile whose window fits.

    Raises
    ------
    TooLittleMemoryError
        When not even the smallest does.
    """
    geometry = model.geometry
    step = max(AxisPlan(geometry, axis, size[axis]).period for axis in (0, 1))

    def window(side: int) -> tuple[int, int]:
        found = [max(one.end - one.begin for one in spans(geometry, axis, size[axis], side)[:3]) for axis in (0, 1)]
        return found[0], found[1]

    side = largest_fitting(lambda side: window_bytes(model, head, window(side)) <= memory, step, max(size))
    if not side:
        raise TooLittleMemoryError(memory, window_bytes(model, head, window(step)))
    return side
