"""Whether a PNG is whole: readers fill in what is missing at its end and say nothing."""

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""


def is_whole(content: bytes) -> bool:
    """Return whether all chunks of a PNG are there up to IEND, their checksums right, and every row of pixels among them.

    Interlaced files are not counted row by row.

    Source: the PNG specification, sections 5 (chunks) and 7 (rows).

    Examples
    --------
    >>> is_whole(b"GIF89a")
    False
    """
    if not content.startswith(_SIGNATURE):
        return False
    header, packed, at = b"", b"", len(_SIGNATURE)
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, data, checksum = content[at + 4 : at + 8], content[at + 8 : at + 8 + length], content[at + 8 + length :][:4]
        if checksum != zlib.crc32(kind + data).to_bytes(4, "big"):
            return False
        header = data if kind == b"IHDR" else header
        packed += data if kind == b"IDAT" else b""
        if kind == b"IEND":
            return len(header) == 13 and _has_all_rows(header, packed)
        at += 12 + length
    return False


def _has_all_rows(header: bytes, packed: bytes) -> bool:
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    row = 1 + -(-width * depth * _CHANNELS.get(color, 0) // 8)  # the filter's byte, then the pixels
    try:
        return bool(interlaced) or len(zlib.decompressobj().decompress(packed, height * row + 1)) == height * row
    except zlib.error:
        return False
