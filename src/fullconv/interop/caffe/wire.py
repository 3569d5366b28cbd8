"""Protobuf's wire format as far as finding a blob's numbers in a mapped file needs it; nothing is copied.

A message is a row of fields: a key (number and wire type) and a value, an integer, 4 or 8 bytes, or a length and as many bytes.
Source: protobuf's documentation, "Encoding".
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import WeightsError

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
LONGEST_VARINT = 10
FIXED = {EIGHT: 8, FOUR: 4}


@dataclass(frozen=True)
class Field:
    """One field: its number and wire type, and where it and its value lie in the file, in bytes."""

    number: int
    wire: int
    start: int
    value: int
    end: int


class Span:
    """A message in a file: bytes ``start`` to ``end`` of ``data`` uint8 (n,), called ``what`` in errors."""

    def __init__(self, data: NDArray[np.uint8], start: int, end: int, what: str) -> None:
        self.data, self.start, self.end, self.what = data, start, end, what

    def fields(self, most: int) -> Iterator[Field]:
        """Yield the fields in order; a run of single numbers of one field counts as one and is found by :meth:`run_end`.

        Raises
        ------
        WeightsError
            When a field is cut short or not of the format, or there are more than ``most``.
        """
        at, count = self.start, 0
        while at < self.end:
            count += 1
            if count > most:
                raise WeightsError(f"{self.what} has more than {most:,} fields, which no net has; copy the file again")
            field = self._field(at)
            yield field
            at = self.run_end(field) if field.wire in FIXED else field.end

    def _field(self, at: int) -> Field:
        key, value = self._varint(at)
        number, wire = key >> 3, key & 7
        if not number or wire not in (VARINT, EIGHT, BYTES, FOUR):
            raise WeightsError(
                f"{self.what} is damaged: byte {at:,} starts no field of a protobuf message; give a .caffemodel, or copy it again"
            )
        if wire == VARINT:
            return Field(number, wire, at, value, self._varint(value)[1])
        length = FIXED.get(wire, 0)
        if wire == BYTES:
            length, value = self._varint(value)
        if length > self.end - value:
            raise WeightsError(
                f"{self.what} is cut short or damaged: byte {at:,} says that {length:,} bytes follow, and {self.end - value:,} "
                "are left; copy the file again"
            )
        return Field(number, wire, at, value, value + length)

    def _varint(self, at: int) -> tuple[int, int]:
        """Return an integer and where it ends."""
        result = 0
        for i in range(LONGEST_VARINT):
            if at + i >= self.end:
                raise WeightsError(f"{self.what} is cut short at byte {self.end:,}; copy the file again")
            byte = int(self.data[at + i])
            result |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                return result, at + i + 1
        raise WeightsError(f"{self.what} is damaged: byte {at:,} starts a number without an end; copy the file again")

    def run_end(self, field: Field) -> int:
        """Return where the last of the fields of the same key that follow ``field``, one a number, ends."""
        width, head = field.end - field.start, field.value - field.start
        key = self.data[field.start : field.value]
        at, rows = field.end, 64
        # in steps that double, so that a short run at the start of a long message is found at once
        while count := min(rows, (self.end - at) // width):
            others = (self.data[at : at + count * width].reshape(count, width)[:, :head] != key).any(1)
            if others.any():
                return at + int(others.argmax()) * width
            at, rows = at + count * width, 2 * rows
        return at

    def numbers(self, field: Field, kind: str) -> NDArray[np.floating]:
        """Return a view (n,) of the numbers of a field, packed or one after the other; ``kind`` is ``<f4`` or ``<f8``."""
        width = int(kind[-1])
        if field.wire == BYTES:
            if (field.end - field.value) % width:
                raise WeightsError(f"{self.what} is damaged: {field.end - field.value} bytes are no whole numbers of {width}")
            return self.data[field.value : field.end].view(kind)
        if FIXED.get(field.wire) != width:
            raise WeightsError(f"{self.what} is damaged: its numbers are stored as another type")
        stride, head = field.end - field.start, field.value - field.start
        rows = self.data[field.start : self.run_end(field)].reshape(-1, stride)
        return rows[:, head:].view(kind)[:, 0]
