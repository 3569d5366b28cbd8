"""Whether an image fits into memory whole, and how it is cut where it does not.

Two ways, both exact. Stage by stage (:mod:`fullconv.inference.tiled.staged`) is the rule: it computes little twice. Tiles
through the whole net (:mod:`fullconv.inference.tiled.windows`) are for engines and nets that cannot be taken apart.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from fullconv.errors import DataError
from fullconv.geometry.tiles import AxisPlan, check_local, overhead, spans, tiles
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.blended import OVERLAP, predict_blended
from fullconv.inference.tiled.memory import SPARE, largest_fitting, largest_weight, peak_of, window_bytes, work_of
from fullconv.inference.tiled.part import Part, Read, check_tileable
from fullconv.inference.tiled.rolling import padded_size
from fullconv.inference.tiled.staged import STRIP, WIDE, StagePlan, can_stage, predict_staged
from fullconv.inference.tiled.windows import predict_windows
from fullconv.nn.fcn import FCN
from fullconv.nn.stages import stages_of

SAMPLE = 64
"""Entries along each side of the maps that a stage's bytes and work are counted at."""
STEP = 64
"""Sides of windows that are blended are multiples of it, in pixels."""
WORKING = 0.2
"""Share of the memory for the tile that is computed; the rest is for the rows that are kept."""
ENOUGH = 0.003
"""Gain in work, as a share of the whole image's, below which more memory is not worth it."""


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

    def parts(self, predictor: Predictor, read: Read, size: tuple[int, int], **how: Any) -> Iterator[Part]:
        """Return the parts; see :func:`fullconv.inference.tiled.windows.predict_windows`."""
        if isinstance(self.way, int):
            predict = predict_blended if self.approximate else predict_windows
            return predict(predictor, read, size, tile=self.way, **how)
        return predict_staged(predictor, read, size, self.way, **how)

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
        way = self.way if isinstance(self.way, int) else [list(self.way.chunks), list(self.way.wide)]
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
    DataError
        When there is no such little memory that would do; it says how much is needed.
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


def _blend(model: FCN, head: str, size: tuple[int, int], memory: int, tile: int | None) -> Cut:
    """Return windows to be blended, each the largest that fits beside a row's sums.

    Raises
    ------
    DataError
        When not even windows of the smallest side do.
    """

    def taken(side: int) -> int:
        window = min(side, size[0]), min(side, size[1])
        return window_bytes(model, head, window) + 8 * (model.heads[head] + 1) * window[0] * (size[1] + window[1])

    side = tile or largest_fitting(lambda side: taken(side) <= memory, STEP, max(size))
    if not side:
        raise DataError(_too_little(memory, taken(STEP)))
    step = side - side // OVERLAP
    windows = [1 + max(0, math.ceil((length - side) / step)) for length in size]
    work = math.prod(count * min(side, length) / length for count, length in zip(windows, size, strict=True))
    return Cut(side, work, taken(side), approximate=True)


def _tile_side(model: FCN, head: str, size: tuple[int, int], memory: int) -> int:
    """Return the largest side of a tile whose window fits.

    Raises
    ------
    DataError
        When not even the smallest does.
    """
    geometry = model.geometry
    step = max(AxisPlan(geometry, axis, size[axis]).period for axis in (0, 1))

    def window(side: int) -> tuple[int, int]:
        found = [max(one.end - one.begin for one in spans(geometry, axis, size[axis], side)[:3]) for axis in (0, 1)]
        return found[0], found[1]

    side = largest_fitting(lambda side: window_bytes(model, head, window(side)) <= memory, step, max(size))
    if not side:
        raise DataError(_too_little(memory, window_bytes(model, head, window(step))))
    return side


def _too_little(memory: int, needed: int) -> str:
    return (
        f"{max(memory, 0) / 1e6:.0f} MB of memory are left for an image, and its smallest part takes {needed / 1e6:.0f} MB; "
        "allow more by --max-memory, or take a smaller model"
    )


@dataclass(frozen=True)
class _Costs:
    """What a stage takes, all in entries of its own map where nothing else is said."""

    size: tuple[int, int]
    stride: int  # of its map on the image
    own: int  # of its map on the one before it
    halo: tuple[int, int]  # entries of the map before, over both ends
    row: int  # bytes of one kept row
    logits: int  # bytes of one row of its level's logits
    entry: float  # bytes at work for an entry of the map before
    fixed: int  # bytes of its largest weight
    work: float  # share of the whole


def plan_stages(model: FCN, head: str, size: tuple[int, int], memory: int) -> tuple[StagePlan, float, int]:
    """Return how much each stage computes at once, the work that makes as a multiple of the whole image's, and its bytes.

    From the least on, that stage gets twice the rows which saves the most work a byte, until nothing fits or is worth it.

    Raises
    ------
    DataError
        When the memory is too small for the least.
    """
    costs = _costs(model, head, size)
    chunks = [max(1, min(cost.size[0], 32 // cost.stride)) for cost in costs]
    least = _bytes(costs, chunks, [1] * len(costs), model.heads[head])
    if least > memory:
        raise DataError(_too_little(memory, least))
    while True:
        wide = _widths(costs, chunks, memory)
        now, holds = _work(costs, chunks, wide), _bytes(costs, chunks, wide, model.heads[head])
        tried = []
        for i, cost in enumerate(costs):
            if chunks[i] < cost.size[0]:
                more = [*chunks[:i], min(2 * chunks[i], cost.size[0]), *chunks[i + 1 :]]
                wide = _widths(costs, more, memory)
                taken, gain = _bytes(costs, more, wide, model.heads[head]), now - _work(costs, more, wide)
                if taken <= memory and gain > ENOUGH / 4:
                    tried.append((gain / (1 + max(taken - holds, 0)), more))
        if not tried:
            break
        chunks = max(tried)[1]
    wide = _widths(costs, chunks, memory)
    return StagePlan(chunks, wide), _work(costs, chunks, wide), _bytes(costs, chunks, wide, model.heads[head])


def _costs(model: FCN, head: str, size: tuple[int, int]) -> list[_Costs]:
    (trunk,) = model.trunks.values()
    channels = sum(model.channels_of(name) for name in model.inputs)
    stages = stages_of(trunk)
    sides = list(padded_size(model.fit.padding, size, stages[0].around))
    found: list[_Costs] = []
    stride, total = 1, 0.0
    for stage in stages:
        plans = [AxisPlan(stage.geometry, axis, sides[axis]) for axis in (0, 1)]
        own = int(plans[0].stride)
        side = SAMPLE * own
        window = torch.empty((1, channels, side, side), device="meta", memory_format=torch.channels_last)
        sample = window.shape[2] * window.shape[3]
        entry = peak_of(stage.net, window) * (1 + SPARE) / sample
        with torch.inference_mode(False), torch.no_grad():
            channels = _channels(stage.net, window)
        work = work_of(stage.net, window) / sample * sides[0] * sides[1]
        halo = tuple(_halo(plan, sides[axis], own) for axis, plan in enumerate(plans))
        stride *= own
        sides = [plan.size for plan in plans]
        found.append(
            _Costs(
                size=(sides[0], sides[1]),
                stride=stride,
                own=own,
                halo=(halo[0], halo[1]),
                row=4 * channels * sides[1] * (stage is not stages[-1]),
                logits=4 * model.heads[head] * sides[1] * (stage.level is not None),
                entry=entry,
                fixed=largest_weight(stage.net),
                work=work,
            )
        )
        total += work
    return [replace(cost, work=cost.work / total) for cost in found]


def _channels(net: torch.nn.Module, window: torch.Tensor) -> int:
    parameters = {name: torch.empty_like(each, device="meta") for name, each in [*net.named_parameters(), *net.named_buffers()]}
    return int(torch.func.functional_call(net, parameters, (window,)).shape[1])


def _halo(plan: AxisPlan, side: int, own: int) -> int:
    """Return how many entries of the map before are read around what is computed, over both ends, in the middle of an image."""
    middle = plan.size // 2
    one = plan.span(middle, min(middle + plan.period // own, plan.size))
    return max(one.end - one.begin - (one.last - one.first) * own, 0)


def _widths(costs: Sequence[_Costs], chunks: Sequence[int], memory: int) -> list[int]:
    """Return the columns of each stage's tiles that the working share of the memory allows."""
    found = []
    for cost, rows in zip(costs, chunks, strict=True):
        allowed = (WORKING * memory - cost.fixed) / (cost.entry * (rows * cost.own + cost.halo[0]))
        found.append(min(max(int(allowed - cost.halo[1]) // cost.own, 1), cost.size[1]))
    return found


def _bytes(costs: Sequence[_Costs], chunks: Sequence[int], wide: Sequence[int], classes: int) -> int:
    kept, ahead = 0.0, 0.0
    # from the last stage on: how many rows of the image each map is ahead of what has been put out
    for i in range(len(costs) - 1, -1, -1):
        cost = costs[i]
        ahead += chunks[i] * cost.stride
        kept += cost.logits * (ahead + 2 * STRIP + 64) / cost.stride
        if i + 1 < len(costs):
            following = costs[i + 1]
            kept += cost.row * min(chunks[i + 1] * following.own + following.halo[0] + chunks[i], cost.size[0])
        ahead += cost.halo[0] * cost.stride / cost.own
    work = [
        cost.fixed + cost.entry * (rows * cost.own + cost.halo[0]) * (columns * cost.own + cost.halo[1])
        for cost, rows, columns in zip(costs, chunks, wide, strict=True)
    ]
    last = 4 * classes * STRIP * min(WIDE, costs[0].size[1] * costs[0].stride) * 3
    return int(kept + max(*work, last))


def _work(costs: Sequence[_Costs], chunks: Sequence[int], wide: Sequence[int]) -> float:
    """Return the work as a multiple of the whole image's."""
    return sum(
        cost.work
        * (1 + cost.halo[0] / (rows * cost.own) * (rows < cost.size[0]))
        * (1 + cost.halo[1] / (columns * cost.own) * (columns < cost.size[1]))
        for cost, rows, columns in zip(costs, chunks, wide, strict=True)
    )
