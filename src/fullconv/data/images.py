"""Pictures from outside (any mode, any rotation) as upright RGB arrays.

Letters: H height, W width.
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fullconv.errors import DataError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image when a folder is searched; a file that is named itself may be called anything."""

PAPER = (255, 255, 255)

ORIENTATION, SIDEWAYS = 0x0112, range(5, 9)
"""EXIF's tag of a rotation, and its values that swap height and width."""

_SYSTEM = {errno.ENOENT: "no such file", errno.EISDIR: "a folder, not an image"}


Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image
"""What :func:`read_picture` reads, beside arrays."""


def read_picture(source: Source | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as uint8 (H, W, 3) RGB, upright.

    Unlike :func:`fullconv.data.decode.read_image`, which takes the pixels of a data set as they are stored because masks
    lie on them, this takes whatever a camera or an editor writes.

    Parameters
    ----------
    source
        A path, the bytes of a file, a file opened in mode ``rb`` (read from its start), a PIL image, or an array uint8
        (H, W, 3) RGB or (H, W) grey. The rotation that a camera notes in EXIF is applied; transparent pixels are laid on
        white; grey, palette and CMYK are converted; 16 bits become 8 (divided by 257); of an animation the first frame is
        taken.

    Raises
    ------
    DataError
        When the file is missing, no image, cut short, a pipe or a device, or so large that it may be an attack (PIL's
        limit) or that the memory ends; when an array has another dtype or shape. The file is named.

    Notes
    -----
    What Pillow warns of, such as damaged EXIF data or a picture near its limit, does not keep the pixels from being read. Its
    warnings pass through: they are filtered for the whole process, which is not a library's to do.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    name = _name_of(source)
    with _reading(name), _opened(source) as image:
        return _upright_rgb(image, name)


@dataclass(frozen=True)
class Glance:
    """What a quick look at a picture shows.

    Attributes
    ----------
    size
        (height, width) in pixels as stored.
    orientation
        EXIF's 1 to 8; 1 is upright, and what has no note counts as 1.
    thumbnail
        uint8 (side, side) grey, upright, each pixel the mean of what it covers.
    """

    size: tuple[int, int]
    orientation: int
    thumbnail: NDArray[np.uint8]


def glance(path: str | os.PathLike[str], side: int = 16) -> Glance:
    """Return a :class:`Glance` at a picture, read to its end; of a JPEG only the grey eighth of its size is computed.

    Raises
    ------
    DataError
        When :func:`read_picture` would.
    """
    with _reading(str(path)), _opened(path) as image:
        size, orientation = (image.height, image.width), image.getexif().get(ORIENTATION, 1)
        if image.format == "JPEG":
            drafted = image.draft("L", (2 * side, 2 * side))  # the pixels' share of its last, cut blocks is the box
            small = image.convert("L").resize((side, side), Image.Resampling.BOX, drafted[1] if drafted else None)
            thumbnail = np.array(ImageOps.exif_transpose(small))
        else:
            small = Image.fromarray(_upright_rgb(image, str(path))).convert("L")
            thumbnail = np.array(small.resize((side, side), Image.Resampling.BOX))
    return Glance(size, orientation if orientation in range(2, 9) else 1, thumbnail)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn whatever comes of a damaged file into a :class:`DataError` that names it."""
    try:
        yield
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image, or of a format that PIL does not read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # the latter where warnings are errors
        raise DataError(f"{name}: more pixels than PIL lets pass ({error}); cut or shrink it first") from error
    except MemoryError as error:
        raise DataError(f"{name}: no memory for a picture of this size; cut it into parts or shrink it") from error
    # the decoders of damaged files raise whatever comes: OSError, SyntaxError, ValueError, struct.error, EOFError
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # the system's answer, not the decoder's
            raise DataError(f"{name}: {_SYSTEM.get(error.errno, error.strerror)}") from error
        raise DataError(f"{name}: cannot be read ({error}); it is damaged or cut short, copy it again") from error


def read_upright(path: str | os.PathLike[str], like: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture as :func:`read_picture` does, but as it is stored where only that has the (height, width) ``like``.

    A camera's rotation turns the picture; a mask may have been drawn on the turned one (as viewers show it) or on the stored
    one. Where both have the mask's size, it is taken for the turned one.
    """
    upright = read_picture(path)
    if upright.shape[:2] == like or upright.shape[:2] != (like[1], like[0]):
        return upright
    with Image.open(path) as image:
        turned = image.getexif().get(ORIENTATION, 1) in SIDEWAYS
        return read_picture(np.array(image.convert("RGB"))) if turned else upright


def _name_of(source: Source) -> str:
    """Return what errors call a source."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    name = getattr(source, "name", None)  # of an open file, unless it was opened by number
    return name if isinstance(name, str) else "the image"


def _opened(source: Source) -> contextlib.AbstractContextManager[Image.Image]:
    if isinstance(source, str | os.PathLike):
        mode = os.stat(source).st_mode  # noqa: PTH116  # whatever names a path
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening it might wait for ever; of a folder, opening says so
            raise DataError(f"{source}: a pipe or a device, not a file; copy its content into a file first")
        return Image.open(source)
    if isinstance(source, Image.Image):
        return contextlib.nullcontext(source)
    if isinstance(source, bytes):
        return Image.open(io.BytesIO(source))
    if isinstance(source, io.TextIOBase):
        raise DataError(f"{_name_of(source)} is opened as text; open an image in mode 'rb'")
    if hasattr(source, "read"):
        return Image.open(source)
    raise DataError(f"an image is a path, bytes, an open file, a PIL image or an array; got {type(source).__name__}")


def _check_array(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise DataError(
            f"an array must be uint8 (H, W, 3) RGB or (H, W) grey with at least one pixel; got {array.dtype} {array.shape}"
        )
    return array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)


def _upright_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.max(initial=0) > 65535:
            raise DataError(f"{name}: 32-bit pixels have no agreed range; save it with 8 or 16 bits a channel")
        wide = image.mode != "I" or values.max(initial=0) > 255  # mode I holds 8 or 16 bits in 32
        grey = np.clip(values // 257 if wide else values, 0, 255)
        return _check_array(grey.astype(np.uint8))
    if image.mode == "F":
        raise DataError(f"{name}: floating point pixels have no agreed range; save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        sheet = Image.new("RGBA", image.size, (*PAPER, 255))
        image = Image.alpha_composite(sheet, image.convert("RGBA"))
    return _check_array(np.array(image.convert("RGB")))
