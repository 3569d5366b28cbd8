"""What a stage costs in work and in memory, by direct convolutions and by filtered ones."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import fx, nn

from fullconv.geometry.tiles import AxisPlan
from fullconv.inference.engines.folded import folded
from fullconv.inference.engines.winograd import Filtering
from fullconv.inference.tiled.filtered import FilteredConv2d, Room, can_be_fast, filtered
from fullconv.inference.tiled.memory import SPARE, channels_of, largest_weight, peak_of, work_of
from fullconv.nn.fcn import FCN
from fullconv.nn.stages import InSlices, Stage, channels_at_once, stages_of

SAMPLE = 64
"""Entries along each side of the maps that a stage's bytes and work are counted at."""
COPY = 50
"""Multiplications that take as long as to copy a weight."""
MOVE = 250
"""Multiplications that take as long as to move a weight to where it is filtered with."""
READ = 100
"""Multiplications that take as long as to read a number of the map before."""
FILTERED = 1.8
"""Multiplications of a direct convolution that take as long as one of a filtered convolution."""


@dataclass(frozen=True)
class Filter:
    """A convolution of a stage that gains by filtering: how, and its channels on both sides."""

    filtering: Filtering
    read: int
    made: int

    def bytes(self, height: int, width: int) -> int:
        """Return what it takes at work for a map of a size: a copy of what it reads, and a block."""
        tiling, more = self.filtering.tiling_of(height, width), self.filtering.taps - 1
        sides = tiling.rows * self.filtering.out + more, tiling.columns * self.filtering.out + more
        return 4 * self.read * sides[0] * sides[1] + self.filtering.block_bytes(self.read, self.made, tiling)


@dataclass(frozen=True)
class Way:
    """How a stage can be computed, and what that takes.

    Parameters
    ----------
    work
        Multiplications, as a share of those of the whole image by direct convolutions; those that take as long.
    copies, moves
        What it takes to copy weights for each tile and to move weights for each chunk of rows, as such shares.
    kept
        Bytes of weights that are copied once for all.
    room
        Bytes of moved weights.
    fixed
        Bytes at work whatever the size.
    read
        Bytes at work for an entry of the map before.
    entry
        Bytes at work beside them for each place that is computed at.
    filters
        What is filtered.
    """

    work: float
    copies: float
    moves: float
    kept: int
    room: int
    fixed: int
    read: int
    entry: float
    filters: tuple[Filter, ...] = ()

    def of(self, total: float) -> "Way":
        """Return the same with work as a share of so much."""
        return replace(self, work=self.work / total, copies=self.copies / total, moves=self.moves / total)

    def waste(self, length: int) -> float:
        """Return by how much more is computed of so many rows or columns, as filters give several at a time."""
        steps = [each.filtering.out for each in self.filters]
        return max((-(-length // step) * step / length for step in steps), default=1.0)


@dataclass(frozen=True)
class Costs:
    """What a stage takes, all in entries of its own map where nothing else is said.

    Parameters
    ----------
    size
        (height, width).
    stride
        Of its map on the image.
    own
        Of its map on the one before it.
    halo
        Entries of the map before that are read around, over both ends; by axis.
    edge
        Of them those at which nothing is computed.
    reading
        Time that reading the map before once takes, as a share of that of the whole image's multiplications.
    row
        Bytes of one kept row.
    logits
        Bytes of one row of its level's logits.
    ways
        By direct convolutions, and by filtered ones where some gain.
    """

    size: tuple[int, int]
    stride: int
    own: int
    halo: tuple[int, int]
    edge: int
    reading: float
    row: int
    logits: int
    ways: tuple[Way, ...]

    @property
    def twice(self) -> tuple[int, int]:
        """Entries of the halo at which is computed once more, by axis."""
        return max(self.halo[0] - self.edge, 0), max(self.halo[1] - self.edge, 0)

    def at_work(self, way: Way, rows: int, columns: int) -> float:
        """Return the bytes that a tile takes."""
        read = rows * self.own + self.halo[0], columns * self.own + self.halo[1]
        down, across = (max(side - self.edge, 1) for side in read)
        found = way.entry * down * across * way.waste(down) * way.waste(across)
        return (
            way.fixed + way.read * read[0] * read[1] + found + max((each.bytes(down, across) for each in way.filters), default=0)
        )

    def price(self, way: Way, rows: int, columns: int) -> float:
        """Return the time that all tiles of a size take, as a share of the whole image's by direct convolutions."""
        chunks, tiles = math.ceil(self.size[0] / rows), math.ceil(self.size[1] / columns)
        waste = way.waste(rows * self.own) * way.waste(columns * self.own)
        again = self.again(self.size[0] / rows if rows < self.size[0] else 0, columns)
        read = (1 + self.halo[0] / (rows * self.own)) * (1 + self.halo[1] / (columns * self.own)) - 1
        return way.work * waste * again + self.reading * read + chunks * (way.moves + tiles * way.copies)

    def again(self, cuts: float, columns: int) -> float:
        """Return the work as a multiple of the whole map's, from how often its rows are cut and how wide tiles are."""
        down = 1 + self.twice[0] * cuts / (self.size[0] * self.own)
        return down * (1 + self.twice[1] / (columns * self.own) * (columns < self.size[1]))


def costs_of(model: FCN, head: str, size: tuple[int, int]) -> list[Costs]:
    """Return what each stage takes for an image of a size."""
    (trunk,) = model.trunks.values()
    channels = sum(model.channels_of(name) for name in model.inputs)
    stages = stages_of(trunk)
    padding = model.fit.padding
    sides = [padding.before + side + padding.behind(side) for side in size]
    found: list[Costs] = []
    stride, fast = 1, can_be_fast(model)
    for stage in stages:
        sides = [side + 2 * stage.around for side in sides]
        plans = [AxisPlan(stage.geometry, axis, sides[axis]) for axis in (0, 1)]
        own = int(plans[0].stride)
        window = torch.empty((1, channels, SAMPLE * own, SAMPLE * own), device="meta", memory_format=torch.channels_last)
        entries = sides[0] * sides[1]
        ways = tuple(_ways(stage, window, entries, fast))
        channels = channels_of(stage.net, window)
        halo = _halo(plans[0], own), _halo(plans[1], own)
        stride *= own
        sides = [plan.size for plan in plans]
        found.append(
            Costs(
                size=(sides[0], sides[1]),
                stride=stride,
                own=own,
                halo=halo,
                edge=stage.edge,
                reading=READ * window.shape[1] * entries,
                row=4 * channels * sides[1] * (stage is not stages[-1]),
                logits=4 * model.heads[head] * sides[1] * (stage.level is not None),
                ways=ways,
            )
        )
    total = sum(costs.ways[0].work for costs in found)
    return [replace(costs, reading=costs.reading / total, ways=tuple(way.of(total) for way in costs.ways)) for costs in found]


def _ways(stage: Stage, window: torch.Tensor, entries: int, fast: bool) -> Iterator[Way]:
    """Yield the ways to compute a stage, direct convolutions first; work is in multiplications.

    Parameters
    ----------
    window
        Of the map before, on the meta device.
    entries
        Of that map, zeros around it included.
    fast
        Whether convolutions are packed and filtered.
    """
    side = window.shape[2]
    read = 4 * window.shape[1]
    net = filtered(stage.net, Room(0)) if fast else stage.net
    fused = _fused_bytes(stage.net, net)
    direct = Way(
        work=work_of(stage.net, window) / (side - stage.edge) ** 2 * entries,
        copies=COPY * sum(part.copied for part in stage.net.modules() if isinstance(part, InSlices)),
        moves=0,
        kept=fused + sum(each.numel() * each.element_size() for each in _whole_weights(stage.net)),
        room=0,
        fixed=largest_weight(stage.net),
        read=read + read * (stage.around > 0),  # where zeros are put around a window it is copied
        entry=_entry(_plain(stage.net) if fast else stage.net, window, stage.edge),
    )
    yield direct
    parts = [part for part in net.modules() if isinstance(part, FilteredConv2d)]
    gaining = [(part, part.filtering) for part in parts if part.filtering is not None]
    if gaining:
        yield _filtered(direct, net, gaining, fused)


def _plain(net: fx.GraphModule) -> fx.GraphModule:
    """Return a net whose convolutions do what follows them on the way, as far as memory is concerned."""
    return folded(net, torch.float32, lambda convolution, *behind: convolution)


def _entry(net: nn.Module, window: torch.Tensor, edge: int) -> float:
    """Return the bytes that a net takes at work for each place of a window that it computes at, beside those that it reads."""
    side = window.shape[2]
    return (peak_of(net, window) * (1 + SPARE) - window.nbytes) / (side - edge) ** 2


def _filtered(direct: Way, net: nn.Module, gaining: Sequence[tuple[FilteredConv2d, Filtering]], fused: int) -> Way:
    """Return what a stage takes whose convolutions are filtered where they gain.

    Parameters
    ----------
    direct
        What it takes otherwise; bytes at work but those of filters are its own.
    net
        Of :func:`fullconv.inference.tiled.filtered.filtered`.
    gaining
        Its convolutions that gain.
    fused
        Bytes of weights that are others than the net's own.
    """
    others = [part.weight.numel() for part in net.modules() if isinstance(part, FilteredConv2d) and part.filtering is None]
    sliced = [part.layer.weight.numel() for part in net.modules() if isinstance(part, InSlices)]
    work, moves, at_once, slices = 0.0, 0, 0, 0
    copies = COPY * sum(part.copied for part in net.modules() if isinstance(part, InSlices))
    for part, filtering in gaining:
        numbers, made = part.weight.numel(), channels_at_once(part.weight)
        work += numbers * FILTERED * filtering.read**2 / (filtering.taps * filtering.out) ** 2
        if made < len(part.weight):
            copies += MOVE * numbers
            slices = max(slices, int(part.weight[:made].numel() * filtering.growth))
        else:
            moves += MOVE * numbers
            at_once += int(numbers * filtering.growth)
    rest = sum(others) + sum(sliced)
    return replace(
        direct,
        work=direct.work * (work + rest) / (rest + sum(part.weight.numel() for part, _ in gaining)),
        copies=copies,
        moves=moves,
        kept=fused + 4 * sum(others),
        room=4 * max(at_once, slices),
        fixed=largest_weight(net),
        filters=tuple(Filter(filtering, part.weight.shape[1], len(part.weight)) for part, filtering in gaining),
    )


def _fused_bytes(net: nn.Module, made: nn.Module) -> int:
    """Return the bytes of weights that batch normalisations have been folded into."""
    own = {each.untyped_storage().data_ptr() for each in net.parameters()}
    weights = [part.weight for part in made.modules() if isinstance(part, FilteredConv2d)]
    return sum(each.nbytes for each in weights if each.untyped_storage().data_ptr() not in own)


def _whole_weights(net: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the weights that are not computed with in slices."""
    sliced = {part.layer for part in net.modules() if isinstance(part, InSlices)}
    for part in net.modules():
        if part not in sliced:
            yield from part.parameters(recurse=False)


def _halo(plan: AxisPlan, own: int) -> int:
    """Return how many entries of the map before are read around what is computed, over both ends, in the middle of an image."""
    middle = plan.size // 2
    one = plan.span(middle, min(middle + plan.period // own, plan.size))
    return max(one.end - one.begin - (one.last - one.first) * own, 0)
