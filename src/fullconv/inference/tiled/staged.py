"""Stage by stage through a large image: what each layer computes twice is a few rows, and no map is ever kept whole.

A band of the image goes through the first stage, tile by tile, each with the few pixels around it that this stage depends on. Its
map is kept where the second stage will read it, and so on down to the coarsest map; rows that nobody needs any more are dropped.
So an image of any height takes memory for some rows of each map, and the work is that of the whole image but for narrow halos.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from fullconv.errors import SpecError
from fullconv.geometry.tiles import check_local
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.packed import can_pack, packed
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.part import Look, Part, Read, Wanted, check_tileable, part_of
from fullconv.inference.tiled.rolling import RollingMap, Source, padded_image
from fullconv.nn.stages import Joining, Score, Stage, joined_rows, stages_of

STRIP = 256
"""Rows of logits that are upsampled at once."""
WIDE = 2048
"""Columns of logits that are upsampled at once."""


@dataclass(frozen=True)
class StagePlan:
    """How much each stage computes at once, in entries of its own map.

    Parameters
    ----------
    chunks
        Rows, from the first stage to the last.
    wide
        Columns of a tile.
    """

    chunks: Sequence[int]
    wide: Sequence[int]


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
) -> Iterator[Part]:
    """Yield the parts of an image's prediction, :data:`STRIP` rows after one another, each as wide as :data:`WIDE` at most.

    Parameters and errors are those of :func:`fullconv.inference.tiled.windows.predict_windows`, and:

    Parameters
    ----------
    plan
        From :func:`fullconv.inference.tiled.stage_plan.plan_stages`.
    first_row
        A multiple of :data:`STRIP`.

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
    with torch.inference_mode():
        levels, last = _rolling_maps(predictor, read, size, plan, name)
        steps = model.alignment.steps
        down, across = (Joining(steps, [level.size[axis] for level in levels]) for axis in (0, 1))
        last.align(down.window(size[0] // 2 // STRIP * STRIP, size[0])[1][0][0])
        _start(levels, last, [a for a, _ in down.window(first_row, first_row + 1)[1]])
    for top in range(first_row, size[0], STRIP):
        bottom = min(top + STRIP, size[0])
        with torch.inference_mode():
            begin, rows = down.window(top, bottom)
            for level, (_, end) in zip(levels, rows, strict=True):
                level.make(end)
        for left in range(0, size[1], WIDE):
            right = min(left + WIDE, size[1])
            with torch.inference_mode():
                edge, columns = across.window(left, right)
                logits = [level.logits.window(*pair) for level, *pair in zip(levels, rows, columns, strict=True)]
                there = (
                    (down.start + top - begin, down.start + bottom - begin),
                    (down.start + left - edge, down.start + right - edge),
                )
                found = part_of(predictor, joined_rows(model.head(name), logits, *there), wanted, (top, left))
            yield found
        for level, (a, _) in zip(levels, down.window(bottom, bottom + 1)[1], strict=True):
            level.logits.drop(a)


def _rolling_maps(
    predictor: Predictor, read: Read, size: tuple[int, int], plan: StagePlan, head: str
) -> tuple[list[RollingMap], RollingMap]:
    """Return the maps that are scored, coarse to fine, and the last of all."""
    model = predictor.model
    (trunk,) = model.trunks.values()
    stages = _fast(predictor, stages_of(trunk))
    source: Source = padded_image(predictor, read, size)
    scored: dict[int, RollingMap] = {}
    for stage, chunk, wide in zip(stages, plan.chunks, plan.wide, strict=True):
        score = None if stage.level is None else Score(model.head(head), stage.level)
        made = RollingMap(stage, source, chunk, wide, score, kept=stage is not stages[-1])
        if stage.level is not None:
            scored[stage.level] = made
        source = made
    return [scored[level] for level in sorted(scored)], scored[0]


def _fast(predictor: Predictor, stages: list[Stage]) -> list[Stage]:
    """Return stages whose convolutions are packed as those of the whole net are, where that can be."""
    weights = {parameter.dtype for parameter in predictor.model.parameters()}
    if not can_pack(predictor.device) or weights != {torch.float32}:
        return stages
    return [replace(stage, net=packed(stage.net, torch.float32)) for stage in stages]


def _start(levels: Sequence[RollingMap], last: RollingMap, rows: Sequence[int]) -> None:
    """Have every map begin so early that no level lacks a row."""
    last.start(rows[0])
    for level, row in zip(levels[1:], rows[1:], strict=True):
        level.start_no_later(row)
