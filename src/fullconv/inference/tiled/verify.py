"""Whether the parts of an image are what the whole gives: random windows, computed once more from more than they need."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.geometry.tiles import AxisPlan
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.memory import TooLittleMemoryError
from fullconv.inference.tiled.part import Pixels, Read, read_batch
from fullconv.inference.tiled.plan import Cut, cut, fits_whole
from fullconv.inference.tiled.staged import can_stage
from fullconv.nn.stages import Stage, stages_of

SIDE = 96
"""Of a window in pixels."""
MORE = 2
"""Coarsest strides that are read around a window beyond what it depends on."""


class Verifier:
    """Remembers the logits of some windows while an image is predicted, and compares them with those of the whole image there.

    Parameters
    ----------
    size
        (height, width) of the image in pixels.
    count
        Of windows.
    first_row
        Rows above are there already and are not seen.
    seed
        Of the windows' places.
    """

    def __init__(self, size: tuple[int, int], count: int = 8, first_row: int = 0, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self._sides = (min(SIDE, size[0] - first_row), min(SIDE, size[1]))
        self._size = size
        self._places = [
            (int(draw.integers(first_row, size[0] - self._sides[0] + 1)), int(draw.integers(0, size[1] - self._sides[1] + 1)))
            for _ in range(count)
        ]
        self._seen: list[Tensor | None] = [None] * count

    def look(self, top: int, left: int, logits: Tensor) -> None:
        """See the logits (K, h, w) of a part; see :data:`fullconv.inference.tiled.part.Look`."""
        height, width = self._sides
        for i, (row, column) in enumerate(self._places):
            kept = self._seen[i]
            if kept is None:
                kept = torch.full((len(logits), height, width), torch.nan)
            if _paste(kept, (row, column), logits, (top, left)):
                self._seen[i] = kept

    def largest_difference(self, predictor: Predictor, read: Read, head: str, how: Cut) -> float:
        """Return the largest difference of any logit in any window; infinite where a part was never seen.

        Parameters
        ----------
        how
            How the image was cut. A window takes no more memory than its parts did: it is computed whole where that is enough,
            and else in parts of its own, which lie elsewhere than the image's.
        """
        found = 0.0
        for (row, column), seen in zip(self._places, self._seen, strict=True):
            if seen is None:
                return float("inf")
            sides = self._window(predictor, row, column)
            (top, bottom), (left, right) = sides

            def read_here(first: int, start: int, height: int, width: int, top: int = top, left: int = left) -> Pixels:
                return read(top + first, left + start, height, width)

            again, place = torch.full_like(seen, torch.nan), (row - top, column - left)
            _fill(again, place, (bottom - top, right - left), predictor, read_here, head, how)
            difference = (again - seen).abs()
            found = max(found, float(difference.max()) if not difference.isnan().any() else float("inf"))
        return found

    def _window(self, predictor: Predictor, row: int, column: int) -> list[tuple[int, int]]:
        """Return first and last (left out) row and column of the pixels that a window is computed from."""
        sides = []
        for axis, first in enumerate((row, column)):
            plan = AxisPlan(predictor.model.geometry, axis, self._size[axis])
            span = plan.span(first, first + self._sides[axis])
            more = MORE * plan.period
            begin, end = max(span.begin - more, 0), min(span.end + more, self._size[axis])
            if end == self._size[axis]:  # where the image ends its padding depends on where the window begins
                begin = min(begin, plan.span(first, self._size[axis]).begin)
            sides.append((begin, end))
        return sides


def _paste(kept: Tensor, place: tuple[int, int], logits: Tensor, at: tuple[int, int]) -> bool:
    """Put those of a part's logits (K, h, w) into a window's that lie in it, and return whether some do.

    Parameters
    ----------
    place, at
        First row and column of the window, and of the part.
    """
    (row, column), (top, left) = place, at
    a, b = max(row, top), min(row + kept.shape[1], top + logits.shape[1])
    c, d = max(column, left), min(column + kept.shape[2], left + logits.shape[2])
    if a >= b or c >= d:
        return False
    kept[:, a - row : b - row, c - column : d - column] = logits[:, a - top : b - top, c - left : d - left].cpu()
    return True


def _fill(
    found: Tensor, place: tuple[int, int], size: tuple[int, int], predictor: Predictor, read: Read, head: str, how: Cut
) -> None:
    """Compute the logits ``found`` (K, h, w), which lie at a place of an image of a size."""
    if fits_whole(predictor, head, size, how.memory) or how.approximate:
        with torch.inference_mode():
            _paste(found, place, _whole(predictor, read_batch(predictor, read, 0, 0, *size), head)[0], (0, 0))
        return

    def look(top: int, left: int, logits: Tensor) -> None:
        _paste(found, place, logits, (top, left))

    own = how if isinstance(how.way, int) else _smaller(predictor, size, how.memory, head)
    for _ in own.parts(predictor, read, size, head=head, look=look):
        pass


def _smaller(predictor: Predictor, size: tuple[int, int], memory: int, head: str) -> Cut:
    """Return how to compute a window in half the memory, where that is enough: what the image took is not all given back."""
    try:
        return cut(predictor, size, memory // 2, head)
    except TooLittleMemoryError:
        return cut(predictor, size, memory, head)


def _whole(predictor: Predictor, batch: Mapping[str, Tensor], head: str) -> Tensor:
    """Return the logits (1, K, h, w) of a window: by PyTorch as it is where nothing speaks against it.

    An engine may first copy all weights, for which the memory of an image in parts has no room.
    """
    if not can_stage(predictor):
        return predictor.engine(batch)[head]
    model = predictor.model
    images = {name: image.to(predictor.device) for name, image in batch.items()}
    ((stream, trunk),) = model.trunks.items()
    joined = model.coarse(images, {stream: partial(_maps, stages_of(trunk))})[head]
    return model.crop(model.head(head).upsample[-1](joined), next(iter(images.values())))


def _maps(stages: Sequence[Stage], maps: Tensor) -> list[Tensor]:
    """Return the maps of a trunk (N, C, h, w), coarse to fine, each whole and after the one before it."""
    found: dict[int, Tensor] = {}
    for stage in stages:
        maps = stage.net(F.pad(maps, (stage.around,) * 4) if stage.around else maps)
        if stage.level is not None:
            found[stage.level] = maps.clone()  # what follows may compute in place
    return [found[level] for level in sorted(found)]
