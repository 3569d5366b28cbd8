"""How a camera held an image: EXIF's note of a rotation, read without a word of damage.

PIL's own reader of EXIF data warns of damaged ones, and warnings can only be silenced for all threads at once.

Source: EXIF 2.3, tag 274; TIFF 6.0, section 2, for the directory that it stands in.
"""

import re
import struct
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112
"""EXIF's tag of a rotation."""
SIDEWAYS = range(5, 9)
"""Its values that swap height and width."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by the value; 1 is upright."""
_SHORT = 3
_MARK = b"Exif\0\0"


Pixels = TypeVar("Pixels", bound=NDArray[np.generic])


def turned(image: Pixels, orientation: int) -> Pixels:
    """Return an array (H, W) or (H, W, C) upright, by EXIF's 1 to 8.

    Examples
    --------
    >>> turned(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation not in TURNS:
        return image
    rows = image.swapaxes(0, 1) if orientation in SIDEWAYS else image
    # of 5 nothing else is turned; each of the others mirrors the columns, the rows or both
    left, up = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(rows[:: -1 if up else 1, :: -1 if left else 1])  # type: ignore[return-value]  # same kind


def orientation_in(exif: bytes) -> int:
    """Return EXIF's orientation, 1 to 8; 1, upright, where there is none or the data are damaged.

    Examples
    --------
    >>> exif = Image.Exif()
    >>> exif[ORIENTATION] = 6
    >>> orientation_in(exif.tobytes()), orientation_in(exif.tobytes()[:15]), orientation_in(b"")
    (6, 1, 1)
    """
    exif = exif.removeprefix(_MARK)
    order = {b"II": "<", b"MM": ">"}.get(exif[:2], "")
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if tag == ORIENTATION:
                return value if order and kind == _SHORT and value in TURNS else 1
    except struct.error:  # the data end before what they promise
        return 1
    return 1


def orientation_of(info: dict[str | tuple[int, int], Any]) -> int:
    """Return the orientation that stands in what PIL keeps of a file, its EXIF data or else its XMP data; 1 is upright."""
    found = orientation_in(info.get("exif") or b"")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    note = re.search(rb'tiff:Orientation(?:="|>)([1-8])', xmp if isinstance(xmp, bytes) else str(xmp).encode())
    return int(note[1]) if found == 1 and note else found


def without_exif(jpeg: bytes) -> tuple[bytes, int]:
    """Return a JPEG file with its EXIF data renamed, so that PIL passes over them, and the orientation that stood in them."""
    at = 2
    while jpeg[at : at + 1] == b"\xff" and jpeg[at + 1 : at + 2] != b"\xda":  # up to the pixels
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1 : at + 2] == b"\xe1" and jpeg[at + 4 : at + 10] == _MARK:
            exif = jpeg[at + 4 : at + 2 + size]
            return jpeg[: at + 4] + b"none\0\0" + jpeg[at + 10 :], orientation_in(exif)
        at += 2 + max(size, 2)
    return jpeg, 1
