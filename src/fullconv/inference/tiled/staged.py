"""Stage by stage through a large image: what each layer computes twice is a few rows, and no map is ever kept whole.

A band of the image goes through the first stage, tile by tile, each with the few pixels around it that this stage depends on. Its
map is kept where the second stage will read it, and so on down to the coarsest map; rows that nobody needs any more are dropped.
So an image of any height takes memory for some rows of each map, and the work is that of the whole image but for narrow halos.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from fullconv.errors import SpecError
from fullconv.geometry.tiles import check_local
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.packed import packed
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.ahead import STRIP, ahead_of
from fullconv.inference.tiled.filtered import Room, can_be_fast, filtered, is_packed
from fullconv.inference.tiled.kept_rows import KeptRows
from fullconv.inference.tiled.memory import channels_of
from fullconv.inference.tiled.part import Look, Part, Read, Wanted, check_tileable, part_of
from fullconv.inference.tiled.rolling import RollingMap, Source, padded_image
from fullconv.nn.stages import Joining, Score, Stage, joined_rows, stages_of

WIDE = 2048
"""Columns of logits that are upsampled at once."""
SIDE = 256
"""Of maps without numbers that are sent through the stages to see how many channels come out."""


@dataclass(frozen=True)
class StagePlan:
    """How much each stage computes at once, in entries of its own map.

    Parameters
    ----------
    chunks
        Rows, from the first stage to the last.
    wide
        Columns of a tile.
    band
        Rows of the image after which rows of maps are kept, a multiple of :data:`STRIP`. No stage computes more rows for a band
        than it has, where its chunks divide it.
    filtered
        Which stages' convolutions are filtered, see :mod:`fullconv.inference.tiled.filtered`; none by default.
    room
        Numbers of moved weights that are held at once.
    """

    chunks: Sequence[int]
    wide: Sequence[int]
    band: int = STRIP
    filtered: Sequence[bool] = ()
    room: int = 0

    @property
    def key(self) -> list[Any]:
        """It as JSON."""
        return [list(self.chunks), list(self.wide), self.band, list(self.filtered), self.room]


def can_stage(predictor: Predictor) -> bool:
    """Return whether a predictor's net can be run stage by stage: one trunk, in float32, by PyTorch itself."""
    engine = predictor.engine
    return isinstance(engine, EagerEngine) and engine.precision == "fp32" and len(engine.model.trunks) == 1


def predict_staged(
    predictor: Predictor,
    read: Read,
    size: tuple[int, int],
    plan: StagePlan,
    *,
    head: str | None = None,
    maps: Collection[str] = (),
    first_row: int = 0,
    look: Look | None = None,
    between: KeptRows | None = None,
) -> Iterator[Part]:
    """Yield the parts of an image's prediction, :data:`STRIP` rows after one another, each as wide as :data:`WIDE` at most.

    Parameters and errors are those of :func:`fullconv.inference.tiled.windows.predict_windows`, and:

    Parameters
    ----------
    plan
        From :func:`fullconv.inference.tiled.stage_plan.plan_stages`.
    first_row
        A multiple of :data:`STRIP`.
    between
        Keeps the rows that stages have between two bands, and an image that is begun further down goes on with them. They are
        put there when more is asked for than a band's last part: whoever asks has put away what came before.

    Raises
    ------
    SpecError
        When the net has several trunks or another engine runs it.
    """
    check_tileable(predictor)
    name = predictor.head(head)
    wanted = Wanted(name, maps, look)
    if not can_stage(predictor):
        raise SpecError(
            "a net is run stage by stage by the engine eager, in fp32, and only where it has one trunk; tile it whole"
        )
    model = predictor.model
    check_local(model.geometry)
    if first_row >= size[0]:
        return
    with torch.inference_mode():
        rolling, levels = _rolling_maps(predictor, read, size, plan, name)
        down, across = (Joining(model.alignment.steps, [level.size[axis] for level in levels]) for axis in (0, 1))
        at = None if between is None else between.restore(rolling, first_row, predictor.device)
        if at is None:
            _start(levels, rolling[-1], [a for a, _ in down.window(first_row, first_row + 1)[1]])
            at = first_row - plan.band * max(each.ahead.bands(plan.band) for each in rolling)
    for top in range(at, size[0], STRIP):
        bottom = min(top + STRIP, size[0])
        with torch.inference_mode():
            for each in reversed(rolling):
                each.make_for(bottom)
        if bottom > first_row:
            yield from _strip(predictor, levels, (down, across), (top, bottom), size[1], wanted)
            for level, (a, _) in zip(levels, down.window(bottom, bottom + 1)[1], strict=True):
                level.logits.drop(a)
        if between is not None and bottom % plan.band == 0 and bottom < size[0]:
            between.keep(rolling, bottom)


def _strip(
    predictor: Predictor,
    levels: Sequence[RollingMap],
    joining: tuple[Joining, Joining],
    rows: tuple[int, int],
    width: int,
    wanted: Wanted,
) -> Iterator[Part]:
    """Yield the parts of a strip from left to right."""
    (down, across), (top, bottom) = joining, rows
    head = predictor.model.head(wanted.head)
    begin, needed = down.window(top, bottom)
    with torch.inference_mode():
        for level, (_, end) in zip(levels, needed, strict=True):
            level.make(end)
    for left in range(0, width, WIDE):
        right = min(left + WIDE, width)
        with torch.inference_mode():
            edge, columns = across.window(left, right)
            logits = [level.logits.window(*pair) for level, *pair in zip(levels, needed, columns, strict=True)]
            there = (
                (down.start + top - begin, down.start + bottom - begin),
                (down.start + left - edge, down.start + right - edge),
            )
            found = part_of(predictor, joined_rows(head, logits, *there), wanted, (top, left))
        yield found


def _rolling_maps(
    predictor: Predictor, read: Read, size: tuple[int, int], plan: StagePlan, head: str
) -> tuple[list[RollingMap], list[RollingMap]]:
    """Return the maps of all stages in order, and those that are scored, coarse to fine."""
    model = predictor.model
    (trunk,) = model.trunks.values()
    stages, fast = stages_of(trunk), can_be_fast(model)
    channels = _channels(stages, sum(model.channels_of(each) for each in model.inputs))
    if fast:
        stages = _fast(stages, plan)
    ahead = ahead_of(stages, model.alignment.steps, plan.chunks, plan.band)
    source: Source = padded_image(predictor, read, size)
    maps: list[RollingMap] = []
    scored: dict[int, RollingMap] = {}
    for stage, chunk, wide, before, read_of in zip(stages, plan.chunks, plan.wide, ahead, channels, strict=True):
        score = None if stage.level is None else Score(model.head(head), stage.level)
        made = RollingMap(stage, source, chunk, wide, score, stage is not stages[-1], before)
        if fast and is_packed(stage.net):
            made.settle(read_of)
        if stage.level is not None:
            scored[stage.level] = made
        maps.append(made)
        source = made
    return maps, [scored[level] for level in sorted(scored)]


def _channels(stages: Sequence[Stage], channels: int) -> list[int]:
    """Return the channels of what each stage reads, the first so many."""
    found = [channels]
    for stage in stages[:-1]:
        found.append(channels_of(stage.net, torch.empty(1, found[-1], SIDE, SIDE, device="meta")))
    return found


def _fast(stages: Sequence[Stage], plan: StagePlan) -> list[Stage]:
    """Return stages that give the same, with packed convolutions, or filtered ones where the plan says so."""
    room = Room(plan.room)
    ways = plan.filtered or [False] * len(stages)
    return [
        replace(stage, net=filtered(stage.net, room) if way else packed(stage.net, torch.float32))
        for stage, way in zip(stages, ways, strict=True)
    ]


def _start(levels: Sequence[RollingMap], last: RollingMap, rows: Sequence[int]) -> None:
    """Have every map begin so early that no level lacks a row."""
    last.start(rows[0])
    for level, row in zip(levels[1:], rows[1:], strict=True):
        level.start_no_later(row)
