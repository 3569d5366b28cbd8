"""How much each stage computes at once: what it costs in work and in memory, and what pays most.

A stage that computes more rows at once computes fewer of them twice, and the rows that it reads are kept for longer. Both add up
over the stages, so how many rows each gets is found step by step.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from fullconv.errors import DataError
from fullconv.geometry.tiles import AxisPlan
from fullconv.inference.tiled.ahead import STRIP, ahead_of
from fullconv.inference.tiled.memory import SPARE, largest_weight, peak_of, work_of
from fullconv.inference.tiled.staged import WIDE, StagePlan
from fullconv.nn.fcn import FCN
from fullconv.nn.stages import InSlices, stages_of

SAMPLE = 64
"""Entries along each side of the maps that a stage's bytes and work are counted at."""
WORKING = 0.2
"""Share of the memory for the tile that is computed; the rest is for the rows that are kept."""
TILE = 32_000_000
"""Bytes of a tile at work, at most: larger ones get their memory anew from the system each time, which took SqueezeNet a third of
its time (benchmarks/tiling.py large)."""
MOST = 2 * STRIP
"""Rows of the image that a stage computes at once, at most, and a band has then: who is stopped computes a band twice."""
COPY = 100
"""Multiplications that take as long as to copy a weight."""
ROWS = (32, 16, 8, 4)
"""Rows of the image that all stages keep step by, the most that fit: fewer take more time for as much work."""
NARROWEST = 32
"""Columns of a stage's tile, at least: narrower ones take more time than memory is saved."""
ENOUGH = 0.00075
"""Gain in work, as a share of the whole image's, below which more memory is not worth it."""


def too_little(memory: int, needed: int) -> str:
    """Return in words that so many bytes are left where more are needed."""
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
    halo: tuple[int, int]  # entries of the map before that are read around, over both ends
    twice: tuple[int, int]  # of them those at which is computed once more
    row: int  # bytes of one kept row
    logits: int  # bytes of one row of its level's logits
    entry: float  # bytes at work for an entry of the map before
    fixed: int  # bytes of its largest weight
    packed: int  # bytes of the weights that are copied once for all
    work: float  # share of the whole
    copies: float  # what to copy the large weights for one tile takes, as a share of the whole work


def plan_stages(model: FCN, head: str, size: tuple[int, int], memory: int) -> tuple[StagePlan, float, int]:
    """Return how much each stage computes at once, the work that makes as a multiple of the whole image's, and its bytes.

    From the least on, that stage gets twice the rows which saves the most time a byte, until nothing fits or is worth it.

    Raises
    ------
    DataError
        When the memory is too small for the least.
    """
    costs = _costs(model, head, size)
    for together in ROWS:
        chunks = [max(1, min(cost.size[0], together // cost.stride)) for cost in costs]
        if _bytes(costs, chunks, _widths(costs, chunks, memory), model.heads[head]) <= memory:
            break
    else:
        raise DataError(too_little(memory, _least(costs, chunks, model.heads[head])))
    while True:
        wide = _widths(costs, chunks, memory)
        now, holds = _price(costs, chunks, wide), _bytes(costs, chunks, wide, model.heads[head])
        tried = []
        for i, cost in enumerate(costs):
            if chunks[i] < min(cost.size[0], MOST // cost.stride):
                more = [*chunks[:i], min(2 * chunks[i], cost.size[0]), *chunks[i + 1 :]]
                wide = _widths(costs, more, memory)
                taken, gain = _bytes(costs, more, wide, model.heads[head]), now - _price(costs, more, wide)
                if taken <= memory and gain > ENOUGH:
                    tried.append((gain / (1 + max(taken - holds, 0)), more))
        if not tried:
            break
        chunks = max(tried)[1]
    wide = _widths(costs, chunks, memory)
    (trunk,) = model.trunks.values()
    band = max(STRIP, *(rows * cost.stride for rows, cost in zip(chunks, costs, strict=True) if rows < cost.size[0]))
    plan = StagePlan(chunks, wide, -(-band // STRIP) * STRIP)
    ahead = ahead_of(stages_of(trunk), model.alignment.steps, plan.chunks, plan.band)
    cuts = [
        len(range(each.rows % rows or rows, cost.size[0], rows)) for each, rows, cost in zip(ahead, chunks, costs, strict=True)
    ]
    return plan, _work(costs, cuts, wide), _bytes(costs, chunks, wide, model.heads[head])


def _costs(model: FCN, head: str, size: tuple[int, int]) -> list[_Costs]:
    (trunk,) = model.trunks.values()
    channels = sum(model.channels_of(name) for name in model.inputs)
    stages = stages_of(trunk)
    padding = model.fit.padding
    sides = [padding.before + side + padding.behind(side) for side in size]
    found: list[_Costs] = []
    stride, total = 1, 0.0
    for stage in stages:
        sides = [side + 2 * stage.around for side in sides]
        plans = [AxisPlan(stage.geometry, axis, sides[axis]) for axis in (0, 1)]
        own = int(plans[0].stride)
        side = SAMPLE * own
        window = torch.empty((1, channels, side, side), device="meta", memory_format=torch.channels_last)
        sample = window.shape[2] * window.shape[3]
        bordered = 4 * channels * (stage.around > 0)  # where zeros are put around a window it is copied
        entry = peak_of(stage.net, window) * (1 + SPARE) / sample + bordered
        with torch.inference_mode(False), torch.no_grad():
            channels = _channels(stage.net, window)
        work = work_of(stage.net, window) / (side - stage.edge) ** 2 * sides[0] * sides[1]
        halo = _halo(plans[0], own), _halo(plans[1], own)
        stride *= own
        sides = [plan.size for plan in plans]
        found.append(
            _Costs(
                size=(sides[0], sides[1]),
                stride=stride,
                own=own,
                halo=halo,
                twice=(max(halo[0] - stage.edge, 0), max(halo[1] - stage.edge, 0)),
                row=4 * channels * sides[1] * (stage is not stages[-1]),
                logits=4 * model.heads[head] * sides[1] * (stage.level is not None),
                entry=entry,
                fixed=largest_weight(stage.net),
                packed=sum(each.numel() * each.element_size() for each in _whole_weights(stage.net)),
                work=work,
                copies=COPY * _numbers_in_slices(stage.net),
            )
        )
        total += work
    return [replace(cost, work=cost.work / total, copies=cost.copies / total) for cost in found]


def _whole_weights(net: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the weights that are not computed with in slices."""
    sliced = {part.layer for part in net.modules() if isinstance(part, InSlices)}
    for part in net.modules():
        if part not in sliced:
            yield from part.parameters(recurse=False)


def _numbers_in_slices(net: nn.Module) -> int:
    return sum(part.layer.weight.numel() for part in net.modules() if isinstance(part, InSlices))


def _channels(net: nn.Module, window: torch.Tensor) -> int:
    parameters = {name: torch.empty_like(each, device="meta") for name, each in [*net.named_parameters(), *net.named_buffers()]}
    return int(torch.func.functional_call(net, parameters, (window,)).shape[1])


def _halo(plan: AxisPlan, own: int) -> int:
    """Return how many entries of the map before are read around what is computed, over both ends, in the middle of an image."""
    middle = plan.size // 2
    one = plan.span(middle, min(middle + plan.period // own, plan.size))
    return max(one.end - one.begin - (one.last - one.first) * own, 0)


def _widths(costs: Sequence[_Costs], chunks: Sequence[int], memory: int) -> list[int]:
    """Return the columns of each stage's tiles that the working share of the memory allows."""
    found = []
    for cost, rows in zip(costs, chunks, strict=True):
        room = WORKING * memory - cost.fixed
        if cost.fixed < TILE:  # otherwise weights are copied for every tile, and fewer are better
            room = min(room, TILE)
        allowed = room / (cost.entry * (rows * cost.own + cost.halo[0]))
        found.append(min(max(int(allowed - cost.halo[1]) // cost.own, NARROWEST), cost.size[1]))
    return found


def _bytes(costs: Sequence[_Costs], chunks: Sequence[int], wide: Sequence[int], classes: int) -> int:
    kept, ahead = 0.0, 0
    # from the last stage on: how many rows of the image each map is ahead of what has been put out
    for i in range(len(costs) - 1, -1, -1):
        cost = costs[i]
        kept += cost.logits * (ahead + 2 * STRIP + 64) / cost.stride
        if i + 1 < len(costs):
            following = costs[i + 1]
            kept += cost.row * min(_together(chunks[i + 1] * following.own, chunks[i]) + following.halo[0], cost.size[0])
        ahead += cost.halo[0] * cost.stride // cost.own
    work = [
        cost.fixed + cost.entry * (rows * cost.own + cost.halo[0]) * (columns * cost.own + cost.halo[1])
        for cost, rows, columns in zip(costs, chunks, wide, strict=True)
    ]
    last = 4 * classes * STRIP * min(WIDE, costs[0].size[1] * costs[0].stride) * 3
    return int(kept + max(*work, last)) + sum(cost.packed for cost in costs)


def _together(read: int, made: int) -> int:
    """Return how many rows are held where so many are read at once, and so many made: both end together, from time to time."""
    more, fewer = max(read, made), min(read, made)
    return more if more % fewer == 0 else more + fewer


def _least(costs: Sequence[_Costs], chunks: Sequence[int], classes: int) -> int:
    """Return bytes from which on it can be done, to a twentieth."""
    memory = _bytes(costs, chunks, _widths(costs, chunks, 0), classes)
    while _bytes(costs, chunks, _widths(costs, chunks, memory), classes) > memory:
        memory += memory // 20
    return memory


def _price(costs: Sequence[_Costs], chunks: Sequence[int], wide: Sequence[int]) -> float:
    """Return the time that everything takes, as a multiple of the whole image's work."""
    tiles = (
        math.ceil(cost.size[0] / rows) * math.ceil(cost.size[1] / columns)
        for cost, rows, columns in zip(costs, chunks, wide, strict=True)
    )
    cuts = [cost.size[0] / rows if rows < cost.size[0] else 0 for cost, rows in zip(costs, chunks, strict=True)]
    return _work(costs, cuts, wide) + sum(cost.copies * count for cost, count in zip(costs, tiles, strict=True))


def _work(costs: Sequence[_Costs], cuts: Sequence[float], wide: Sequence[int]) -> float:
    """Return the work as a multiple of the whole image's, from how often the rows of each map are cut."""
    return sum(
        cost.work
        * (1 + cost.twice[0] * count / (cost.size[0] * cost.own))
        * (1 + cost.twice[1] / (columns * cost.own) * (columns < cost.size[1]))
        for cost, count, columns in zip(costs, cuts, wide, strict=True)
    )
