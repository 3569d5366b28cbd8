"""PNG files written some rows at a time, of any height, and the same to the last byte however the rows came.

Each piece of rows is compressed by itself and ends at a whole byte, so pieces can be made at different times, kept, and put
together later. Source: the PNG specification, sections 5 (chunks), 9 (filters) and 10 (compression); RFC 1950 and 1951.

Letters: H height, W width.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3
"""Colour types."""
LONGEST = 2**31 - 1
"""Of a side in pixels, as the format has it."""
HEADER = b"\x78\x9c"
"""Of a stream of zlib in its usual setting."""
LAST = b"\x03\x00"
"""An empty block that ends a stream."""
LEVEL = 6


@dataclass(frozen=True)
class Piece:
    """Rows of an image, compressed.

    Parameters
    ----------
    packed
        The bytes.
    checksum, length
        Adler-32 and number of the bytes before compression.
    """

    packed: bytes
    checksum: int
    length: int


def pack(rows: NDArray[np.integer]) -> Piece:
    """Return rows (h, W) or (h, W, 3) of uint8, or (h, W) of uint16, as a piece; no filter is applied, which suits labels."""
    plain = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">"))
    lines = plain.view(np.uint8).reshape(len(rows), -1)
    content = np.concatenate([np.zeros((len(rows), 1), np.uint8), lines], 1).tobytes()
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)
    return Piece(packed, zlib.adler32(content), len(content))


def write_png(
    file: BinaryIO,
    size: tuple[int, int],
    pieces: Iterable[Piece],
    *,
    bits: int = 8,
    color: int = GREY,
    palette: bytes = b"",
    text: dict[str, str] | None = None,
) -> None:
    """Write a PNG of pieces that follow upon each other.

    Parameters
    ----------
    file
        Opened for writing bytes.
    size
        (H, W).
    bits, color
        Of a number, 8 or 16, and one of :data:`GREY`, :data:`RGB` and :data:`PALETTE`.
    palette
        Three bytes a colour.
    text
        Key and value, in Latin-1.

    Raises
    ------
    DataError
        When a side is longer than the format allows.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> labels = np.arange(12, dtype=np.uint8).reshape(4, 3)
    >>> file = io.BytesIO()
    >>> write_png(file, (4, 3), [pack(labels[:3]), pack(labels[3:])])
    >>> np.array_equal(np.asarray(Image.open(file)), labels)
    True
    """
    height, width = size
    if max(size) > LONGEST:
        raise DataError(f"an image of {height}×{width} px is larger than a PNG can be; accepted are {LONGEST} px along a side")
    file.write(SIGNATURE)
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    if palette:
        _chunk(file, b"PLTE", palette)
    for key, value in (text or {}).items():
        _chunk(file, b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1"))
    _chunk(file, b"IDAT", HEADER)
    checksum = 1
    for piece in pieces:
        _chunk(file, b"IDAT", piece.packed)
        checksum = joined_checksum(checksum, piece.checksum, piece.length)
    _chunk(file, b"IDAT", LAST + struct.pack(">I", checksum))
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))


def joined_checksum(first: int, second: int, length: int) -> int:
    """Return the Adler-32 of bytes followed by ``length`` others, from those of both parts.

    Examples
    --------
    >>> joined_checksum(zlib.adler32(b"fully "), zlib.adler32(b"convolutional"), 13) == zlib.adler32(b"fully convolutional")
    True
    """
    prime = 65521
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)
    return (high % prime) << 16 | low % prime
