"""What a file stores of an image where that is not eight bits of grey or colour: every band, of any depth, and its range.

PIL knows images of up to four channels, and more than eight bits only of a single one. TIFF files of other kinds are read by
tifffile, of 16-bit PNG files in colour PIL is asked for both bytes.

Letters: C bands, H height, W width.
"""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from fullconv.errors import DataError

_COLOR = {tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB}
"""Kinds of TIFF files whose samples are bands; PIL reads the others (palettes, CMYK, YCbCr, L*a*b*)."""
_NO_PAGE = 1 | 4
"""Bits of NewSubfileType: a smaller copy of another page, a mask of its transparency."""
_LIMITS = (("SMinSampleValue", "SMaxSampleValue"), ("MinSampleValue", "MaxSampleValue"))
_LZW = 5
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Stored:
    """The bands of an image as the file has them.

    Attributes
    ----------
    values
        (H, W, C), of any dtype.
    declared
        The values of black and white as the file says them; ``None`` where it does not.
    alpha
        The last band is transparency, by the format's own word (PNG); in TIFF it may be anything.
    nodata
        The value of pixels without a measurement.
    """

    values: NDArray[np.generic]
    declared: tuple[float, float] | None = None
    alpha: bool = False
    nodata: float | None = None


@dataclass(frozen=True)
class TiffFacts:
    """What the directory of a TIFF file says: pages, EXIF's orientation, and whether only tifffile reads its bands right."""

    pages: int
    orientation: int
    special: bool
    size: tuple[int, int]


def is_tiff(start: bytes) -> bool:
    """Return whether a file begins as a TIFF file, also as one of more than 4 GB."""
    return start.startswith(_TIFF)


def is_deep_png(start: bytes) -> bool:
    """Return whether a file begins as a PNG file of 16 bits a channel and several channels, from its first 26 bytes.

    Of such PIL keeps the upper eight bits only.
    """
    return start.startswith(_PNG) and len(start) >= 26 and start[24] == 16 and start[25] in (2, 4, 6)


def tiff_facts(file: BinaryIO) -> TiffFacts | None:
    """Return the facts of a TIFF file; ``None`` where its directory is damaged, about which PIL has better words."""
    try:
        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            page = _first(tiff)
            bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
            special = page.photometric in _COLOR and (bits > 8 or page.samplesperpixel not in (1, 3))
            tag = page.tags.get("Orientation")
            orientation = int(tag.value) if tag is not None else 1
            return TiffFacts(len(_pages(tiff)), orientation, special, (page.imagelength, page.imagewidth))
    except (tifffile.TiffFileError, struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError, ZeroDivisionError):
        return None


def read_tiff(file: BinaryIO, every_page: bool = False) -> Stored:
    """Return the bands of a TIFF file's first page, or those of all pages, one behind the other.

    Raises
    ------
    DataError
        When the file is compressed in a way that needs another package, or pages are not of one size.
    """
    file.seek(0)
    _teach_lzw()
    with tifffile.TiffFile(file) as tiff:
        page = _first(tiff)
        parts = [_bands(each) for each in (_pages(tiff) if every_page else [page])]
        if len({part.shape[:2] for part in parts}) > 1:
            raise DataError("the pages are of different sizes, so they are no bands of one image; save them as files")
        nodata = page.nodata if "GDAL_NODATA" in page.tags else None
        return Stored(np.concatenate(parts, axis=2), _declared(page), nodata=nodata)


def read_deep_png(file: BinaryIO) -> Stored:
    """Return the channels of a PNG file of 16 bits a channel.

    PIL keeps one byte of the two: the file is read for the upper ones, and again as if its bytes came in the other order.
    """
    parts = []
    for order in ("B", "L"):
        file.seek(0)
        with PngImageFile(file) as image:
            if str(image.tile[0].args).startswith("LA"):  # of which there is no other order; its four bytes are as those of RGBA
                image._mode, raw = "RGBA", "RGBA"
            else:
                raw = f"{image.mode};16{order}"
            image.tile = [tile._replace(args=raw) for tile in image.tile]
            image.load()
            parts.append(np.asarray(image).astype(np.uint16))
            if raw == "RGBA":
                return Stored(parts[0][..., ::2] << 8 | parts[0][..., 1::2], alpha=True)
    upper, lower = parts
    values = upper << 8 | lower
    return Stored(values, alpha=values.shape[2] == 4)


def stored_in_pil(image: Image.Image) -> Stored:
    """Return the channels of an image that PIL has opened; palettes and colour spaces become RGB, one bit becomes grey."""
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "F") and not image.mode.startswith("I"):
        image = image.convert("RGB")
    values = np.asarray(image)
    return Stored(values if values.ndim == 3 else values[..., None], alpha=image.mode in ("LA", "RGBA"))


def _pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """Return the pages that are images of their own: no overviews and no masks of transparency."""
    pages = [page.aspage() for page in tiff.pages]
    return [page for page in pages if not page.subfiletype & _NO_PAGE] or pages[:1]


def _first(tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    return _pages(tiff)[0] if len(tiff.pages) > 1 else tiff.pages[0].aspage()


def _bands(page: tifffile.TiffPage) -> NDArray[np.generic]:
    """Return the bands (H, W, C) of a page."""
    try:
        values = page.asarray()
    except (ValueError, KeyError) as error:
        if "imagecodecs" in str(error) or isinstance(error, KeyError):
            kind = getattr(page.compression, "name", page.compression)
            raise DataError(
                f"its compression {kind} needs the package imagecodecs (pip install imagecodecs); or save it with LZW, Deflate "
                "or no compression"
            ) from error
        raise
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and values.dtype.kind == "u":
        values = (1 << int(page.bitspersample)) - 1 - values
    if values.ndim == 2:
        return values[..., None]
    if values.ndim != 3:
        raise DataError(f"it holds a volume of {' x '.join(map(str, values.shape))}; save its slices as images")
    planes = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    return values.transpose(1, 2, 0) if planes else values


def _declared(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return the range that the tags state; one that is the whole of the type says nothing."""
    for names in _LIMITS:
        tags = [page.tags.get(name) for name in names]
        if tags[1] is not None and page.dtype is not None:
            high = float(np.max(tags[1].value))
            low = float(np.min(tags[0].value)) if tags[0] is not None else 0.0
            whole = page.dtype.kind in "ui" and high >= np.iinfo(page.dtype).max
            if low < high and not whole:
                return low, high
    bits = page.bitspersample
    return (0.0, float((1 << bits) - 1)) if isinstance(bits, int) and 8 < bits < 16 else None


def _teach_lzw() -> None:
    """Let tifffile, which decodes LZW by a package of its own only, decode it by PIL's libtiff where that is not installed."""
    codecs = tifffile.TIFF.DECOMPRESSORS
    known = getattr(codecs, "_codecs", None)  # a mapping for reading; there is no other door
    if _LZW not in codecs and isinstance(known, dict):
        known[_LZW] = _lzw


def _lzw(data: bytes, out: int) -> bytes:
    """Return a decoded strip or tile: it becomes the only row of a grey TIFF image, which PIL reads."""
    entries = [(256, out), (257, 1), (258, 8), (259, _LZW), (262, 1), (273, 8), (277, 1), (278, 1), (279, len(data))]
    start = 8 + len(data) + len(data) % 2
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    content = struct.pack("<2sHI", b"II", 42, start) + data + b"\0" * (len(data) % 2) + directory + bytes(4)
    with Image.open(io.BytesIO(content)) as image:
        return image.tobytes()
