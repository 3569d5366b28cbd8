"""Image files and what people hold of images in memory, as arrays; errors name the file.

:func:`read_image` takes whatever a camera, an editor or a satellite writes and returns it upright.
:func:`read_image_as_stored` takes the pixels of a data set as they lie in the file, because masks lie on them.

Letters: C channels, H height, W width.
"""

import os
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.opening import Opened, Source, name_of, opened, reading
from fullconv.data.orientation import SIDEWAYS, TURNS, turned
from fullconv.data.ranges import PAPER, prepared
from fullconv.data.stored import Stored
from fullconv.errors import DataError
from fullconv.spec import ImageSpec
from fullconv.spec.image import PLAIN

SUFFIXES = frozenset(
    {
        *(".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
        *(".jfif", ".jpe", ".jp2", ".j2k", ".jpx", ".avif", ".pnm", ".pbm", ".tga", ".apng"),
    }
)
"""What counts as an image when a folder is searched; a file that is named itself may be called anything."""

UNREAD = frozenset(
    {
        *(".heic", ".heif", ".jxl", ".exr", ".hdr", ".dcm", ".nii", ".ecw", ".svg", ".pdf", ".psd", ".xcf"),
        *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
    }
)
"""Images that are not read: they are told of where they are passed over."""


def read_image(source: Source | NDArray[np.generic], how: ImageSpec = PLAIN) -> NDArray[np.uint8]:
    """Return an image as uint8 (H, W, 3) RGB, upright; of other bands than colour uint8 (H, W, C).

    Parameters
    ----------
    source
        A path, the bytes of a file, a file opened in mode ``rb`` (read from its start), a PIL image, or an array uint8
        (H, W, 3) RGB or (H, W) grey. The rotation that a camera notes in EXIF is applied; transparent pixels are laid on
        white; grey, palette and CMYK are converted. Of an array uint8 the bands are taken for chosen already; of another dtype
        they are chosen and scaled as those of a file.
    how
        Which bands, which range of values and which pages. Without it a TIFF file of four bands, which may or may not be
        transparency, is refused, and so is 16-bit content that does not reach beyond half of its range.

    Raises
    ------
    DataError
        When the file is missing, no image, cut short, a pipe or a device, or so large that it may be an attack (twice
        PIL's limit) or that the memory ends; when it has other bands, depths or pages than ``how`` says; when an array has
        another dtype or shape. The file is named.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source, how)
    name = name_of(source)
    with reading(name), opened(source) as found:
        return _upright(found, name, how)


def picture_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3) to look at: the first three of an image's channels (H, W, C), or the first in grey."""
    return np.ascontiguousarray(image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2))


def read_image_as_stored(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return the image at ``path`` as uint8 (H, W, 3) RGB, rows as stored; grey, palette and CMYK are converted.

    Raises
    ------
    DataError
        When the file is missing, no image, cut short, or has more than 8 bits a channel.
    """
    image = decode(path)
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: {image.mode} pixels (more than 8 bits); images must have 8 bits a channel, convert it first")
    image.info.pop("transparency", None)  # dropped anyway; PIL would warn about it
    return np.array(image.convert("RGB"))


def read_both_ways(path: str | os.PathLike[str], how: ImageSpec = PLAIN) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return an image as :func:`read_image` does, and as it is stored where EXIF turns it, else ``None``."""
    with reading(str(path)), opened(path) as found:
        orientation = found.orientation
        plain = _prepared(found, str(path), how)
        return turned(plain, orientation), plain if orientation in TURNS else None


@runtime_checkable
class Drawn(Protocol):
    """What stands in for a file of an image and is drawn when it is read, such as a mask of annotations."""

    def draw(self) -> Image.Image:
        """Return the image."""


def decode(path: str | os.PathLike[str]) -> Image.Image:
    """Return the image at ``path``, read whole, with the mode and the rows that are stored.

    Raises
    ------
    DataError
        When the file is missing, no image or cut short; when it has several pages.
    """
    if isinstance(path, Drawn):
        return path.draw()
    with reading(str(path)), opened(path) as found:
        if found.pages > 1 and found.format in ("TIFF", "GIF"):
            raise DataError(f"{path}: {found.pages} pages, of which only one would be read; {_MASK_PAGES}")
        image = found.image
        image.load()
        return image


_MASK_PAGES = (
    "of masks say by data.folder.mask_pages: classes (page k marks class k) or first what they are; other files save page by page"
)


@dataclass(frozen=True)
class Bands:
    """How many pages a file has, and what its first one stores; ``None`` for 8 bits of grey or colour."""

    pages: int
    stored: Stored | None


def bands_of(path: str | os.PathLike[str]) -> Bands:
    """Return what a file stores besides 8-bit grey or colour.

    Raises
    ------
    DataError
        When the file is missing, no image or cut short.
    """
    with reading(str(path)), opened(path) as found:
        plain = found.pil is not None and not found.pil.mode.startswith(("I", "F"))
        return Bands(found.pages, None if plain else found.stored())


def upright_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) of an image after the rotation that EXIF notes; errors are those of :func:`decode`."""
    with reading(str(path)), opened(path) as found:
        height, width = (found.pil.height, found.pil.width) if found.pil is not None else found.stored().values.shape[:2]
        return (width, height) if found.orientation in SIDEWAYS else (height, width)


def is_image(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as an image that can be read, whatever it is called."""
    try:
        with reading(str(path)), opened(path):
            return True
    except DataError:
        return False


def pages_of(path: str | os.PathLike[str]) -> list[NDArray[np.generic]]:
    """Return every page (H, W) of a file of grey pages."""
    with reading(str(path)), opened(path) as found:
        if found.pages == 1:
            return [found.stored().values[..., 0]]
        values = found.stack().values
        return [values[..., page] for page in range(values.shape[2])]


@dataclass(frozen=True)
class Kind:
    """What sort of file an image is.

    Attributes
    ----------
    format, mode
        Such as ``JPEG`` and ``RGB``, of PIL; no mode where PIL does not read it.
    bands, bits, pages
        How many there are.
    transparent
        Some of the pixels are, by the format's own word.
    """

    format: str = ""
    mode: str = ""
    bands: int = 3
    bits: int = 8
    pages: int = 1
    transparent: bool = False


@dataclass(frozen=True)
class Glance:
    """What a quick look at an image shows.

    Attributes
    ----------
    size
        (height, width) in pixels as stored.
    orientation
        EXIF's 1 to 8; 1 is upright, and what has no note counts as 1.
    thumbnail
        uint8 (side, side) grey, upright, each pixel the mean of what it covers.
    kind
        Of the file.
    """

    size: tuple[int, int]
    orientation: int
    thumbnail: NDArray[np.uint8]
    kind: Kind = Kind()


def glance(path: str | os.PathLike[str], side: int = 16, how: ImageSpec = PLAIN) -> Glance:
    """Return a :class:`Glance` at an image, read to its end; of a JPEG only the grey eighth of its size is computed.

    Raises
    ------
    DataError
        When :func:`read_image` would.
    """
    with reading(str(path)), opened(path) as found:
        if found.format == "JPEG" and how.bands is None and how.range is None:
            image = found.image
            kind = Kind("JPEG", image.mode, len(image.getbands()))
            drafted = image.draft("L", (2 * side, 2 * side))  # the pixels' share of its last, cut blocks is the box
            small = image.convert("L").resize((side, side), Image.Resampling.BOX, drafted[1] if drafted else None)
            thumbnail = turned(np.array(small), found.orientation)
        else:
            stored: list[Stored] = []
            whole = _prepared(found, str(path), how, stored)
            small = Image.fromarray(picture_of(turned(whole, found.orientation))).convert("L")
            thumbnail = np.array(small.resize((side, side), Image.Resampling.BOX))
            kind = _kind(found, stored[0] if stored else None)
        return Glance(found.size, found.orientation, thumbnail, kind)


def _kind(found: Opened, stored: Stored | None) -> Kind:
    image = found.pil
    if image is None:
        assert stored is not None  # what PIL does not read is read as its bands
        values = stored.values
        return Kind(found.format, "", values.shape[2], 8 * values.dtype.itemsize, found.pages)
    deep = image.mode.startswith(("I", "F"))
    clear = image.has_transparency_data and bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < 255)
    return Kind(found.format, image.mode, len(image.getbands()), 16 if deep else 8, found.pages, clear)


def _check_array(array: NDArray[np.generic], how: ImageSpec) -> NDArray[np.uint8]:
    channels = how.channels
    if array.dtype != np.uint8 and array.ndim in (2, 3) and array.size and how.range is not None:
        return prepared(Stored(array if array.ndim == 3 else array[..., None]), how, "the array")
    grey = array.ndim == 2 and channels == 3
    if array.dtype != np.uint8 or not array.size or not (grey or (array.ndim == 3 and array.shape[2] == channels)):
        wanted = "(H, W, 3) RGB or (H, W) grey" if channels == 3 else f"(H, W, {channels})"
        raise DataError(f"an array must be uint8 {wanted} with at least one pixel; got {array.dtype} {array.shape}")
    return np.repeat(array[:, :, None], 3, axis=2) if grey else array  # type: ignore[return-value]  # uint8 by now


def _upright(found: Opened, name: str, how: ImageSpec) -> NDArray[np.uint8]:
    return turned(_prepared(found, name, how), found.orientation)


def _prepared(found: Opened, name: str, how: ImageSpec, looked_at: list[Stored] | None = None) -> NDArray[np.uint8]:
    """Return an image uint8 (H, W, C), rows as stored; what the file had is added to ``looked_at`` where bands were looked at."""
    if found.pages > 1 and how.pages is None:
        raise DataError(
            f"{name}: {found.pages} pages or frames; a recipe says what they are by data.image.pages (first, or bands: each page "
            "a band), and a model keeps it; or save them as files"
        )
    if (window := found.prepared(how)) is not None:
        if looked_at is not None:
            looked_at.append(found.stored())
        return window
    image = found.pil
    deep = image is not None and image.mode.startswith(("I", "F"))
    if image is None or deep or how.bands is not None or how.range is not None or (found.pages > 1 and how.pages == "bands"):
        stored = found.stack() if found.pages > 1 and how.pages == "bands" else found.stored()
        if looked_at is not None:
            looked_at.append(stored)
        return _check_array(prepared(stored, how, name), how)
    image.load()
    if image.has_transparency_data:
        sheet = Image.new("RGBA", image.size, (PAPER, PAPER, PAPER, 255))
        image = Image.alpha_composite(sheet, image.convert("RGBA"))
    return _check_array(np.array(image.convert("RGB")), how)
