"""TIFF files written by hand, byte by byte: what no library of the project has had a hand in."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KINDS = {"u": 1, "i": 2, "f": 3}


def write_tiff(
    path: Path,
    pages: list[NDArray[np.generic]],
    *,
    order: str = "<",
    planar: bool = False,
    extra: dict[int, list[int]] | None = None,
    reduced: tuple[int, ...] = (),
) -> Path:
    """Write arrays (H, W, C) as the pages of an uncompressed TIFF file (TIFF 6.0); ``extra`` adds tags of SHORTs."""
    content = bytearray(struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 0))
    link = 4
    for number, page in enumerate(pages):
        height, width, bands = page.shape
        data = page.astype(page.dtype.newbyteorder(order))
        planes = [data[..., band].tobytes() for band in range(bands)] if planar else [data.tobytes()]
        offsets = []
        for plane in planes:
            offsets.append(len(content))
            content += plane + b"\0" * (len(plane) % 2)
        tags = {
            254: [1 if number in reduced else 0],
            256: [width],
            257: [height],
            258: [8 * page.dtype.itemsize] * bands,
            259: [1],
            262: [2 if bands >= 3 else 1],
            273: offsets,
            277: [bands],
            278: [height],
            279: [len(plane) for plane in planes],
            284: [2 if planar else 1],
            339: [KINDS[page.dtype.kind]] * bands,
        } | (extra or {})
        if bands > 3:
            tags[338] = [0] * (bands - 3)
        entries = b""
        for tag in sorted(tags):
            values = tags[tag]
            code, letter = (4, "I") if tag in (273, 279) else (3, "H")
            packed = struct.pack(f"{order}{len(values)}{letter}", *values)
            if len(packed) > 4:
                at = len(content)
                content += packed + b"\0" * (len(packed) % 2)
                packed = struct.pack(f"{order}I", at)
            entries += struct.pack(f"{order}HHI", tag, code, len(values)) + packed.ljust(4, b"\0")
        struct.pack_into(f"{order}I", content, link, len(content))
        content += struct.pack(f"{order}H", len(tags)) + entries
        link = len(content)
        content += bytes(4)
    path.write_bytes(content)
    return path
