"""By approximation: nets that see the whole image at once see a window of it instead, and overlapping windows are blended.

It is for nets with global pooling or squeeze-and-excitation alone, whose parts can never be what the whole image gives: what
such a layer averages over a window differs from what it averages over the image. Logits of neighbouring windows are averaged
with weights that fall to the windows' edges, so that no seam shows; that hides the difference, and does not remove it.

Letters: K classes, h w window, W width of the image.
"""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from fullconv.inference.device import memory_for
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.part import Look, Part, Read, Wanted, check_tileable, part_of, read_batch

OVERLAP = 4
"""A window overlaps its neighbour by one part in so many."""


def predict_blended(
    predictor: Predictor,
    read: Read,
    size: tuple[int, int],
    *,
    tile: int,
    head: str | None = None,
    maps: Collection[str] = (),
    first_row: int = 0,
    look: Look | None = None,
) -> Iterator[Part]:
    """Yield whole rows of an image's prediction by blended windows of ``tile`` pixels a side.

    Parameters and errors are those of :func:`fullconv.inference.tiled.windows.predict_windows`, but that nets which see the whole
    image are taken.
    """
    check_tileable(predictor)
    wanted = Wanted(predictor.head(head), maps, look)
    tops, lefts = (_starts(side, tile) for side in size)
    sums: Tensor | None = None
    begin = 0
    for number, top in enumerate(tops):
        following = tops[number + 1] if number + 1 < len(tops) else size[0]
        after = tops[number + 2] if number + 2 < len(tops) else size[0]
        if max(following, min(after, top + tile)) <= first_row:
            continue  # nothing of this row of windows reaches what is wanted
        height = min(tile, size[0] - top)
        with torch.inference_mode():
            fresh = _row_of_windows(predictor, read, (top, height), lefts, (tile, size), wanted.head)
            if sums is not None and sums.shape[1] > top - begin:
                kept = sums[:, top - begin :]
                fresh[:, : kept.shape[1]] += kept
            sums, begin = fresh, top
        if top >= first_row:
            rows = sums[:, : following - top]
            yield part_of(predictor, (rows[:-1] / rows[-1:])[None], wanted, (top, 0))


def _row_of_windows(
    predictor: Predictor, read: Read, rows: tuple[int, int], lefts: list[int], sides: tuple[int, tuple[int, int]], head: str
) -> Tensor:
    """Return weighted sums of the logits of the windows in a row, (K + 1, h, W); the last is the sum of the weights."""
    (top, height), (tile, size) = rows, sides
    sums: Tensor | None = None
    for left in lefts:
        width = min(tile, size[1] - left)
        batch = read_batch(predictor, read, top, left, height, width)
        with memory_for(next(iter(batch.values()))):
            logits = predictor.engine(batch)[head][0].float()
        weights = (_ramp(height).to(logits)[:, None] * _ramp(width).to(logits))[None]
        if sums is None:
            sums = logits.new_zeros(len(logits) + 1, height, size[1])
        sums[:, :, left : left + width] += torch.cat([logits * weights, weights])
    assert sums is not None  # an image has one window at least
    return sums


def _starts(side: int, tile: int) -> list[int]:
    """Return where windows begin along a side; the last one ends with it."""
    step = max(tile - tile // OVERLAP, 1)
    regular = list(range(0, max(side - tile, 0), step))
    return sorted({*regular, max(side - tile, 0)})


def _ramp(length: int) -> Tensor:
    """Return weights that rise from an edge over the overlap and fall to the other."""
    away = torch.arange(1, length + 1)
    return torch.minimum(away, away.flip(0)).clamp(max=max(length // OVERLAP, 1)).float()
