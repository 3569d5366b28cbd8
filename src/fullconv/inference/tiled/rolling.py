"""Maps of which only the rows are kept that somebody still needs: made from top to bottom, read from top to bottom, dropped.

Letters: C channels, h w map.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry.tiles import AxisPlan, Span
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.part import Read, read_batch
from fullconv.nn.align import Padding
from fullconv.nn.stages import Stage, input_of

BLOCK = 16
"""Rows that are dropped together."""


class Rows:
    """Rows of a map (1, C, h, w), from the first that is still needed to the last that is made."""

    def __init__(self) -> None:
        self._blocks: list[tuple[int, Tensor]] = []

    def make(self, first: int, last: int, width: int, like: Tensor) -> None:
        """Add the rows ``first`` to ``last - 1``, to be filled by :meth:`put`."""
        for row in range(first, last, BLOCK):
            shape = (1, like.shape[1], min(BLOCK, last - row), width)
            self._blocks.append(
                (row, torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last))
            )

    def put(self, row: int, column: int, maps: Tensor) -> None:
        """Fill a rectangle (1, C, h, w) that begins at a row and column."""
        end = row + maps.shape[2]
        for first, block in self._blocks:
            a, b = max(first, row), min(first + block.shape[2], end)
            if a < b:
                block[:, :, a - first : b - first, column : column + maps.shape[3]] = maps[:, :, a - row : b - row]

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return a copy of a rectangle; ends are left out."""
        parts = [
            block[:, :, max(rows[0] - first, 0) : rows[1] - first, slice(*columns)]
            for first, block in self._blocks
            if first < rows[1] and first + block.shape[2] > rows[0]
        ]
        return torch.cat(parts, 2).contiguous(memory_format=torch.channels_last)

    def drop(self, before: int) -> None:
        """Forget the rows before one."""
        self._blocks = [(first, block) for first, block in self._blocks if first + block.shape[2] > before]


class Source(Protocol):
    """What a stage reads."""

    size: tuple[int, int]

    def start(self, row: int) -> None:
        """Begin with a row."""

    def make(self, last: int) -> None:
        """Have all rows before ``last``."""

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return (1, C, h, w) of rows and columns, ends left out."""

    def drop(self, before: int) -> None:
        """Forget the rows before one."""


class PaddedImage:
    """The image as the trunk sees it: normalised, with zeros around; read by windows, nothing is kept."""

    def __init__(self, predictor: Predictor, read: Read, size: tuple[int, int], around: int) -> None:
        self._predictor, self._read, self._image = predictor, read, size
        model = predictor.model
        (self._stream,) = model.trunks
        self._before = model.fit.padding.before + around
        self.size = padded_size(model.fit.padding, size, around)

    def start(self, row: int) -> None:
        """Do nothing, as any window can be read at any time."""

    def make(self, last: int) -> None:
        """Do nothing."""

    def drop(self, before: int) -> None:
        """Do nothing."""

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return (1, C, h, w), zero where the image does not reach."""
        (top, bottom), (left, right) = (
            (min(max(a - self._before, 0), side), min(max(b - self._before, 0), side))
            for (a, b), side in zip((rows, columns), self._image, strict=True)
        )
        model = self._predictor.model
        if top == bottom or left == right:
            channels = sum(model.channels_of(name) for name in model.inputs)
            return model.normaliser(model.inputs[0]).mean.new_zeros(1, channels, rows[1] - rows[0], columns[1] - columns[0])
        batch = read_batch(self._predictor, self._read, top, left, bottom - top, right - left)
        images = {name: model.normaliser(name)(image.to(self._predictor.device)) for name, image in batch.items()}
        around = (left + self._before - columns[0], columns[1] - right - self._before)
        above = (top + self._before - rows[0], rows[1] - bottom - self._before)
        return F.pad(input_of(self._stream, images), (*around, *above)).contiguous(memory_format=torch.channels_last)


def padded_size(padding: Padding, size: tuple[int, int], around: int) -> tuple[int, int]:
    """Return the (height, width) of an image with the zeros that a net and its first stage want around it."""
    height, width = (padding.before + side + padding.behind(side) + 2 * around for side in size)
    return height, width


class RollingMap:
    """The map that a stage gives, and the logits of a level where its level is scored.

    Parameters
    ----------
    stage, source
        What it computes from what.
    chunk, wide
        Rows that are made at once, and columns of a tile, in entries of this map.
    score
        The score layer of its level.
    kept
        Whether a later stage reads it; otherwise its logits alone are kept.
    """

    def __init__(self, stage: Stage, source: Source, chunk: int, wide: int, score: nn.Module | None, kept: bool) -> None:
        self._stage, self._source, self._chunk, self._score, self._kept = stage, source, chunk, score, kept
        self._down, across = (AxisPlan(stage.geometry, axis, source.size[axis]) for axis in (0, 1))
        self.size = (self._down.size, across.size)
        self._stride = int(self._down.stride)
        self._across = spans_of(across, wide)
        self._end = 0
        self._maps, self.logits = Rows(), Rows()

    def start(self, row: int) -> None:
        """Begin with the chunk that holds a row; chunks lie where they lie when an image is begun from the top."""
        self._end = row // self._chunk * self._chunk
        self._source.start(self._span().begin)

    def start_no_later(self, row: int) -> None:
        """Begin with that row's chunk where it comes before the one that was begun with."""
        if row < self._end:
            self.start(row)

    def _span(self) -> Span:
        return self._down.span(self._end, min(self._end + self._chunk, self.size[0]))

    def make(self, last: int) -> None:
        """Have all rows before ``last``."""
        while self._end < last:
            self._make_chunk()

    def _make_chunk(self) -> None:
        down = self._span()
        self._source.make(down.end)
        for number, across in enumerate(self._across):
            found = self._stage.net(self._source.window((down.begin, down.end), (across.begin, across.end)))
            found = found[:, :, _kept(down, self._stride), _kept(across, self._stride)]
            scored = None if self._score is None else self._score(found)
            for rows, maps in ((self._maps, found if self._kept else None), (self.logits, scored)):
                if maps is not None:
                    if number == 0:
                        rows.make(down.first, down.last, self.size[1], maps)
                    rows.put(down.first, across.first, maps)
        self._end = down.last
        self._source.drop(self._span().begin if self._end < self.size[0] else self._source.size[0])

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return (1, C, h, w) of rows and columns, ends left out."""
        return self._maps.window(rows, columns)

    def drop(self, before: int) -> None:
        """Forget the rows of the map, not of its logits, before one."""
        self._maps.drop(before)


def _kept(span: Span, stride: int) -> slice:
    return slice(span.first - span.begin // stride, span.last - span.begin // stride)


def spans_of(plan: AxisPlan, wide: int) -> Sequence[Span]:
    """Return the tiles of a stage's map along one axis."""
    return [plan.span(first, min(first + wide, plan.size)) for first in range(0, plan.size, wide)]
