"""How much each stage computes at once: what it costs in work and in memory, and what pays most.

A stage that computes more rows at once computes fewer of them twice, and the rows that it reads are kept for longer. Filtered
convolutions give several rows at a time, so with fewer there is less to gain by them. All that adds up over the stages, so how
many rows each gets is found step by step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fullconv.inference.tiled.ahead import STRIP, ahead_of
from fullconv.inference.tiled.memory import TooLittleMemoryError, largest_fitting
from fullconv.inference.tiled.stage_costs import Costs, Way, costs_of
from fullconv.inference.tiled.staged import WIDE, StagePlan
from fullconv.nn.fcn import FCN
from fullconv.nn.stages import stages_of

WORKING = 0.2
"""Share of the memory for the tile that is computed; the rest is for the rows that are kept."""
COPYING = (0.2, 0.3, 0.4)
"""The same of stages that copy weights for every tile, to be tried: fewer tiles copy less."""
TILE = 32_000_000
"""Bytes of a tile at work, at most: larger ones get their memory anew from the system each time, which took SqueezeNet a third of
its time (benchmarks/tiling.py large)."""
MOST = 2 * STRIP
"""Rows of the image that a stage computes at once, at most, and a band has then: who is stopped computes a band twice."""
ROWS = (32, 16, 8, 4)
"""Rows of the image that all stages keep step by, the most that fit: fewer take more time for as much work."""
MORE = (2, 4)
"""Times as many rows that a stage is tried with: filtered convolutions gain by two steps at once where one gains nothing."""
NARROWEST = 32
"""Columns of a stage's tile, at least: narrower ones take more time than memory is saved."""
ENOUGH = 0.00075
"""Gain in work, as a share of the whole image's, below which more memory is not worth it."""


def plan_stages(model: FCN, head: str, size: tuple[int, int], memory: int) -> tuple[StagePlan, float, int]:
    """Return how much each stage computes at once, the work that makes as a multiple of the whole image's, and its bytes.

    From the least on, that stage gets more rows which saves the most time a byte, until nothing fits or is worth it. That is done
    with filtered convolutions where they are faster, and without, and for some shares of the memory; what is fastest is taken.

    Raises
    ------
    TooLittleMemoryError
        When the memory is too small for the least.
    """
    costs = costs_of(model, head, size)
    plain = _Search(costs, model.heads[head], memory, False, COPYING[0])
    found = [(plain, chunks) for chunks in plain.best()[:1]]
    ways = [way for cost in costs for way in cost.ways]
    if any(map(_filters, ways)) or any(map(_copies, ways)):
        for copying in COPYING:
            search = _Search(costs, model.heads[head], memory, True, copying)
            found += [(search, chunks) for chunks in search.best()]
    if not found:
        raise TooLittleMemoryError(memory, _least(plain))
    search, chunks = min(found, key=lambda pair: pair[0].price(pair[1]) // ENOUGH)
    return _plan(model, search, chunks)


def _filters(way: Way) -> bool:
    return bool(way.filters)


def _copies(way: Way) -> bool:
    return way.copies > 0


def _plan(model: FCN, search: "_Search", chunks: Sequence[int]) -> tuple[StagePlan, float, int]:
    costs, parts = search.costs, search.parts(chunks)
    (trunk,) = model.trunks.values()
    band = max([STRIP, *(rows * cost.stride for rows, cost in zip(chunks, costs, strict=True) if rows < cost.size[0])])
    band = -(-band // STRIP) * STRIP
    ahead = ahead_of(stages_of(trunk), model.alignment.steps, chunks, band)
    work = sum(
        cost.ways[0].work * cost.again(len(range(each.rows % rows or rows, cost.size[0], rows)), part.wide)
        for each, rows, cost, part in zip(ahead, chunks, costs, parts, strict=True)
    )
    room, more = search.rooms(chunks)
    taken = search.bytes(chunks)
    if taken + more - room <= search.memory:
        room, taken = more, taken + more - room
    filtered = [_filters(part.way) for part in parts]
    return StagePlan(list(chunks), [part.wide for part in parts], band, filtered, room // 4), work, taken


@dataclass(frozen=True)
class _Part:
    """What a stage computes at once: how, how many columns, and the time that takes as a share of the whole image's."""

    way: Way
    wide: int
    price: float


class _Search:
    """Finds the rows that stages compute at once.

    Parameters
    ----------
    costs
        Of each stage.
    classes
        Of the head.
    memory
        Bytes.
    filtering
        Whether convolutions may be filtered.
    copying
        Of :data:`COPYING`.
    """

    def __init__(self, costs: Sequence[Costs], classes: int, memory: int, filtering: bool, copying: float) -> None:
        self.costs, self.classes, self.memory, self.filtering, self.copying = costs, classes, memory, filtering, copying
        self._parts: dict[tuple[int, int], _Part] = {}

    def best(self) -> list[list[int]]:
        """Return the rows of each stage, found from each step that fits on, from the most rows to the fewest."""
        return [self._best(chunks) for chunks in self.first()]

    def _best(self, chunks: list[int]) -> list[int]:
        while True:
            now, holds = self.price(chunks), self.bytes(chunks)
            tried = []
            for more in self._more(chunks):
                taken, gain = self.bytes(more), now - self.price(more)
                if taken <= self.memory and gain > ENOUGH:
                    tried.append((gain / (1 + max(taken - holds, 0)), more))
            if not tried:
                return chunks
            chunks = max(tried)[1]

    def first(self) -> list[list[int]]:
        """Return rows of the image that all stages can keep step by, the most first, in rows of each."""
        found = ([max(1, min(cost.size[0], together // cost.stride)) for cost in self.costs] for together in ROWS)
        return [chunks for chunks in found if self.bytes(chunks) <= self.memory]

    def _more(self, chunks: Sequence[int]) -> Iterator[list[int]]:
        """Yield the same with more rows of one stage."""
        for i, cost in enumerate(self.costs):
            most = min(cost.size[0], MOST // cost.stride)
            for rows in sorted({min(times * chunks[i], most) for times in MORE}):
                if rows > chunks[i]:
                    yield [*chunks[:i], rows, *chunks[i + 1 :]]

    def parts(self, chunks: Sequence[int]) -> list[_Part]:
        """Return what each stage computes at once."""
        return [self._part(i, rows) for i, rows in enumerate(chunks)]

    def _part(self, i: int, rows: int) -> _Part:
        """Return how a stage computes so many rows fastest."""
        if (i, rows) not in self._parts:
            cost = self.costs[i]
            found = []
            for way in cost.ways if self.filtering else cost.ways[:1]:
                wide = self._wide(cost, way, rows)
                found.append(_Part(way, wide, cost.price(way, rows, wide)))
            self._parts[i, rows] = min(found, key=lambda part: part.price)
        return self._parts[i, rows]

    def _wide(self, cost: Costs, way: Way, rows: int) -> int:
        """Return the columns of a stage's tiles that the working share of the memory allows."""
        room = self.copying * self.memory if _copies(way) else min(WORKING * self.memory, TILE + way.fixed)
        found = largest_fitting(lambda columns: cost.at_work(way, rows, columns) <= room, 1, cost.size[1])
        return min(max(found, NARROWEST), cost.size[1])

    def price(self, chunks: Sequence[int]) -> float:
        """Return the time that everything takes, as a multiple of the whole image's by direct convolutions."""
        return sum(part.price for part in self.parts(chunks))

    def rooms(self, chunks: Sequence[int]) -> tuple[int, int]:
        """Return the bytes of moved weights at once: of one stage at a time, and of all."""
        found = [part.way.room for part in self.parts(chunks)]
        return max(found), sum(found)

    def bytes(self, chunks: Sequence[int]) -> int:
        """Return the bytes that everything takes at most."""
        kept, ahead, parts = 0.0, 0, self.parts(chunks)
        # from the last stage on: how many rows of the image each map is ahead of what has been put out
        for i in range(len(self.costs) - 1, -1, -1):
            cost = self.costs[i]
            kept += cost.logits * (ahead + 2 * STRIP + 64) / cost.stride
            if i + 1 < len(self.costs):
                following = self.costs[i + 1]
                held = _together(chunks[i + 1] * following.own, chunks[i]) + following.halo[0]
                kept += cost.row * min(held, cost.size[0])
            ahead += cost.halo[0] * cost.stride // cost.own
        work = [cost.at_work(part.way, rows, part.wide) for cost, part, rows in zip(self.costs, parts, chunks, strict=True)]
        first = self.costs[0]
        last = 4 * self.classes * STRIP * min(WIDE, first.size[1] * first.stride) * 3
        weights = sum(part.way.kept for part in parts) + self.rooms(chunks)[0]
        return int(kept + max(*work, last)) + weights


def _together(read: int, made: int) -> int:
    """Return how many rows are held where so many are read at once, and so many made: both end together, from time to time."""
    more, fewer = max(read, made), min(read, made)
    return more if more % fewer == 0 else more + fewer


def _least(search: _Search) -> int:
    """Return the bytes from which on it can be done."""

    def fits(memory: int) -> bool:
        return _Search(search.costs, search.classes, memory, search.filtering, search.copying).first() != []

    low, high = search.memory, max(2 * search.memory, 2**20)
    while not fits(high):
        low, high = high, 2 * high
    while high - low > high // 256:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
