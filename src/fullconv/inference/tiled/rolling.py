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
from fullconv.inference.tiled.ahead import Ahead
from fullconv.inference.tiled.part import Read, read_batch
from fullconv.nn.stages import Stage, input_of


class Rows:
    """Rows of a map (1, C, h, w), from the first that is still needed to the last that is made.

    They lie in one piece of memory, which is taken once and grows to the most that are ever needed together: many pieces that
    come and go would leave gaps between them, which no other map fits into.
    """

    def __init__(self) -> None:
        self._first = self._last = 0
        self._at = 0  # in the memory, of the first row
        self._memory: Tensor | None = None  # (h, w, C), as the net computes with its channels last

    def make(self, first: int, last: int, width: int, like: Tensor) -> None:
        """Add the rows ``first`` to ``last - 1``, to be filled by :meth:`put`; they follow upon those that are there."""
        if self._first == self._last:
            self._first = self._last = first
            self._at = 0
        kept, needed = self._last - self._first, last - self._first
        old = self._memory
        if old is None or needed > len(old):
            self._memory = like.new_empty(needed, width, like.shape[1])
        if old is not None and kept and (old is not self._memory or self._at + needed > len(old)):
            here = old[self._at : self._at + kept]
            assert self._memory is not None  # it was made above
            self._memory[:kept] = here if self._at >= kept or old is not self._memory else here.clone()
            self._at = 0
        self._last = last

    def _view(self) -> Tensor:
        assert self._memory is not None  # rows were made
        kept = self._memory[self._at : self._at + self._last - self._first]
        return kept.permute(2, 0, 1)[None]

    def put(self, row: int, column: int, maps: Tensor) -> None:
        """Fill a rectangle (1, C, h, w) that begins at a row and column."""
        begin = row - self._first
        self._view()[:, :, begin : begin + maps.shape[2], column : column + maps.shape[3]] = maps

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return a copy of a rectangle; ends are left out."""
        found = self._view()[:, :, rows[0] - self._first : rows[1] - self._first, slice(*columns)]
        return found.clone(memory_format=torch.channels_last)

    def held(self) -> tuple[int, Tensor | None]:
        """Return the first row and all rows that are there, (h, w, C) in one piece; ``None`` where there are none."""
        if self._memory is None or self._first == self._last:
            return self._first, None
        return self._first, self._memory[self._at : self._at + self._last - self._first]

    def hold(self, first: int, rows: Tensor | None) -> None:
        """Take what :meth:`held` gave, in place of what is there."""
        self._first, self._last, self._at = first, first + (0 if rows is None else len(rows)), 0
        self._memory = rows

    def drop(self, before: int) -> None:
        """Forget the rows before one."""
        gone = min(max(before, self._first), self._last) - self._first
        self._first, self._at = self._first + gone, self._at + gone


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


class NormalisedImage:
    """The image as the trunk sees it, without what is around; read by windows, nothing is kept."""

    def __init__(self, predictor: Predictor, read: Read, size: tuple[int, int]) -> None:
        self._predictor, self._read, self.size = predictor, read, size
        (self._stream,) = predictor.model.trunks

    def start(self, row: int) -> None:
        """Do nothing, as any window can be read at any time."""

    def make(self, last: int) -> None:
        """Do nothing."""

    def drop(self, before: int) -> None:
        """Do nothing."""

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return (1, C, h, w)."""
        height, width = rows[1] - rows[0], columns[1] - columns[0]
        batch = read_batch(self._predictor, self._read, rows[0], columns[0], height, width)
        model, device = self._predictor.model, self._predictor.device
        images = {name: model.normaliser(name)(image.to(device)) for name, image in batch.items()}
        return input_of(self._stream, images).contiguous(memory_format=torch.channels_last)


class Bordered:
    """A map with zeros around it.

    Parameters
    ----------
    source
        The map.
    before, behind
        Zeros in front of it on both axes, and (below, to the right of) it.
    """

    def __init__(self, source: Source, before: int, behind: tuple[int, int]) -> None:
        self._source, self._before = source, before
        self.size = before + source.size[0] + behind[0], before + source.size[1] + behind[1]

    def _inside(self, entry: int, axis: int = 0) -> int:
        return min(max(entry - self._before, 0), self._source.size[axis])

    def start(self, row: int) -> None:
        """Begin with a row."""
        self._source.start(min(self._inside(row), self._source.size[0] - 1))

    def make(self, last: int) -> None:
        """Have all rows before ``last``."""
        self._source.make(self._inside(last))

    def drop(self, before: int) -> None:
        """Forget the rows before one."""
        self._source.drop(self._inside(before))

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return (1, C, h, w), zero where the map does not reach."""
        top, bottom = (self._inside(row) for row in rows)
        left, right = (self._inside(column, 1) for column in columns)
        if top == bottom or left == right:  # the image's padding may be larger than a window
            corner = self._source.window((0, 1), (0, 1))
            return corner.new_zeros(1, corner.shape[1], rows[1] - rows[0], columns[1] - columns[0])
        found = self._source.window((top, bottom), (left, right))
        across = left + self._before - columns[0], columns[1] - right - self._before
        down = top + self._before - rows[0], rows[1] - bottom - self._before
        return F.pad(found, (*across, *down)) if any((*across, *down)) else found


def padded_image(predictor: Predictor, read: Read, size: tuple[int, int]) -> Source:
    """Return an image as the trunk sees it: normalised, with zeros around."""
    padding = predictor.model.fit.padding
    image = NormalisedImage(predictor, read, size)
    return Bordered(image, padding.before, (padding.behind(size[0]), padding.behind(size[1])))


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
    ahead
        By how much it is ahead of the image's rows that are put out, see :mod:`fullconv.inference.tiled.ahead`.

    Attributes
    ----------
    end
        How many rows are made.
    maps, logits
        Those of them that somebody still needs.
    """

    def __init__(
        self, stage: Stage, source: Source, chunk: int, wide: int, score: nn.Module | None, kept: bool, ahead: Ahead
    ) -> None:
        source = Bordered(source, stage.around, (stage.around, stage.around)) if stage.around else source
        self._stage, self._source, self._chunk, self._score, self._kept = stage, source, chunk, score, kept
        self._down, across = (AxisPlan(stage.geometry, axis, source.size[axis]) for axis in (0, 1))
        self.size = (self._down.size, across.size)
        self._stride = int(self._down.stride)
        self._across = spans_of(across, wide)
        self.ahead, self._offset, self.end = ahead, ahead.rows % chunk, 0
        self.maps, self.logits = Rows(), Rows()

    def settle(self, channels: int) -> None:
        """Compute a tile of zeros of so many channels, as most tiles are.

        oneDNN chooses for the first tile how packed weights lie, and with it how sums are rounded. So all runs, wherever in the
        image they begin, give the same numbers.
        """
        middle = max(self._chunk_of(self.size[0] // 2), 0)
        down, across = self._down.span(middle, min(middle + self._chunk, self.size[0])), self._across[len(self._across) // 2]
        window = torch.zeros(1, channels, down.end - down.begin, across.end - across.begin)
        self._stage.net(window.contiguous(memory_format=torch.channels_last))

    def _chunk_of(self, row: int) -> int:
        """Return the first row of the chunk that holds a row."""
        return (row - self._offset) // self._chunk * self._chunk + self._offset

    def start(self, row: int) -> None:
        """Begin with the chunk that holds a row; chunks lie where they lie when an image is begun from the top."""
        self.end = max(self._chunk_of(row), 0)
        self._source.start(self._span().begin)

    def start_no_later(self, row: int) -> None:
        """Begin with that row's chunk where it comes before the one that was begun with."""
        if row < self.end:
            self.start(row)

    def _span(self) -> Span:
        return self._down.span(self.end, min(self._chunk_of(self.end) + self._chunk, self.size[0]))

    def make_for(self, row: int) -> None:
        """Have what is there in the middle of an image when its rows above ``row`` are put out; it may be negative."""
        self.make(min(self.ahead.at(row), self.size[0]))

    def make(self, last: int) -> None:
        """Have all rows before ``last``."""
        while self.end < last:
            self._make_chunk()

    def _make_chunk(self) -> None:
        down = self._span()
        self._source.make(down.end)
        for number, across in enumerate(self._across):
            found = self._stage.net(self._source.window((down.begin, down.end), (across.begin, across.end)))
            found = found[:, :, _kept(down, self._stride), _kept(across, self._stride)]
            scored = None if self._score is None else self._score(found)
            for rows, maps in ((self.maps, found if self._kept else None), (self.logits, scored)):
                if maps is not None:
                    if number == 0:
                        rows.make(down.first, down.last, self.size[1], maps)
                    rows.put(down.first, across.first, maps)
        self.end = down.last
        self._source.drop(self._span().begin if self.end < self.size[0] else self._source.size[0])

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Return (1, C, h, w) of rows and columns, ends left out."""
        return self.maps.window(rows, columns)

    def drop(self, before: int) -> None:
        """Forget the rows of the map, not of its logits, before one."""
        self.maps.drop(before)


def _kept(span: Span, stride: int) -> slice:
    return slice(span.first - span.begin // stride, span.last - span.begin // stride)


def spans_of(plan: AxisPlan, wide: int) -> Sequence[Span]:
    """Return the tiles of a stage's map along one axis."""
    return [plan.span(first, min(first + wide, plan.size)) for first in range(0, plan.size, wide)]
