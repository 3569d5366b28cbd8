"""Image files and what people hold of images in memory, as arrays; errors name the file.

:func:`read_image` takes whatever a camera or an editor writes and returns it upright. :func:`read_image_as_stored` takes the
pixels of a data set as they lie in the file, because masks lie on them. Nothing here touches the process's warning filters,
which all threads share.

Letters: H height, W width.
"""

import contextlib
import errno
import io
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from fullconv.data.orientation import ORIENTATION, SIDEWAYS, TURNS, orientation_of, without_exif
from fullconv.errors import DataError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image when a folder is searched; a file that is named itself may be called anything."""

PAPER = (255, 255, 255)
"""What transparent pixels are laid on."""

_SYSTEM = {errno.ENOENT: "no such file", errno.EISDIR: "a folder, not an image"}


Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image
"""What :func:`read_image` reads, beside arrays."""


def read_image(source: Source | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image as uint8 (H, W, 3) RGB, upright.

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
        When the file is missing, no image, cut short, a pipe or a device, or so large that it may be an attack (twice
        PIL's limit) or that the memory ends; when an array has another dtype or shape. The file is named.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    name = _name_of(source)
    with _reading(name), _opened(source) as opened:
        return _upright_rgb(opened, name)


def _name_of(source: Source) -> str:
    """Return what errors call a source."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    name = getattr(source, "name", None)  # of an open file, unless it was opened by number
    return name if isinstance(name, str) else "the image"


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


def read_image_of_size(path: str | os.PathLike[str], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image as :func:`read_image` does, but as it is stored where only that has the (height, width) ``size``.

    A camera's rotation turns the image; a mask may have been drawn on the turned one (as viewers show it) or on the stored
    one. Where both have the mask's size, it is taken for the turned one.
    """
    with _reading(str(path)), _opened(path) as opened:
        upright = _upright_rgb(opened, str(path))
        if upright.shape[:2] == size or upright.shape[:2] != size[::-1] or opened.orientation not in SIDEWAYS:
            return upright
        return _upright_rgb(Opened(opened.image, 1), str(path))


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
        When the file is missing, no image or cut short.
    """
    if isinstance(path, Drawn):
        return path.draw()
    with _reading(str(path)), _opened(path) as opened:
        opened.image.load()
        return opened.image


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
    """

    size: tuple[int, int]
    orientation: int
    thumbnail: NDArray[np.uint8]


def glance(path: str | os.PathLike[str], side: int = 16) -> Glance:
    """Return a :class:`Glance` at an image, read to its end; of a JPEG only the grey eighth of its size is computed.

    Raises
    ------
    DataError
        When :func:`read_image` would.
    """
    with _reading(str(path)), _opened(path) as opened:
        image = opened.image
        size = (image.height, image.width)
        if image.format == "JPEG":
            drafted = image.draft("L", (2 * side, 2 * side))  # the pixels' share of its last, cut blocks is the box
            small = image.convert("L").resize((side, side), Image.Resampling.BOX, drafted[1] if drafted else None)
            thumbnail = np.array(_turned(small, opened.orientation))
        else:
            small = Image.fromarray(_upright_rgb(opened, str(path))).convert("L")
            thumbnail = np.array(small.resize((side, side), Image.Resampling.BOX))
        return Glance(size, opened.orientation, thumbnail)


def upright_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) of an image after the rotation that EXIF notes; errors are those of :func:`decode`."""
    with _reading(str(path)), _opened(path) as opened:
        size = (opened.image.height, opened.image.width)
        return size[::-1] if opened.orientation in SIDEWAYS else size


@dataclass(frozen=True)
class Opened:
    """An image whose pixels may not have been read yet, and EXIF's orientation, 1 to 8."""

    image: Image.Image
    given: int | None = None

    @property
    def orientation(self) -> int:
        """EXIF's 1 to 8; in a PNG it may stand behind the pixels, so they are read first."""
        if self.given is not None:
            return self.given
        self.image.load()
        return orientation_of(self.image.info)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn whatever comes of a damaged file into a :class:`DataError` that names it."""
    try:
        yield
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name}: cannot be read: not an image, or of a format that PIL does not read") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: more pixels than PIL lets pass ({error}); cut or shrink it first") from error
    except MemoryError as error:
        raise DataError(f"{name}: no memory for an image of this size; cut it into parts or shrink it") from error
    # the decoders of damaged files raise whatever comes: OSError, SyntaxError, ValueError, struct.error, EOFError
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # the system's answer, not the decoder's
            raise DataError(f"{name}: {_SYSTEM.get(error.errno, error.strerror)}") from error
        raise DataError(f"{name}: cannot be read ({error}); it is damaged or cut short, copy it again") from error


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[Opened]:
    if isinstance(source, Image.Image):
        yield Opened(source, _orientation_in_memory(source))
        return
    if not isinstance(source, str | os.PathLike):
        yield _identified(io.BytesIO(_content_of(source)), _name_of(source))
        return
    mode = os.stat(source).st_mode  # noqa: PTH116  # whatever names a path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening it might wait for ever; of a folder, opening says so
        raise DataError(f"{source}: a pipe or a device, not a file; copy its content into a file first")
    with open(source, "rb") as file:  # noqa: PTH123  # whatever names a path
        yield _identified(file, os.fspath(source))


def _content_of(source: bytes | BinaryIO) -> bytes:
    """Return what an image file holds, from its start."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, io.TextIOBase):
        raise DataError(f"{_name_of(source)} is opened as text; open an image in mode 'rb'")
    if not hasattr(source, "read"):
        raise DataError(f"an image is a path, bytes, an open file, a PIL image or an array; got {type(source).__name__}")
    if source.seekable():
        source.seek(0)
    return source.read()


def _orientation_in_memory(image: Image.Image) -> int:
    orientation = image.getexif().get(ORIENTATION, 1)
    return orientation if orientation in TURNS else 1


def _identified(file: IO[bytes], name: str) -> Opened:
    """Return the image in a file, by PIL's plugins.

    ``Image.open`` does the same and warns of damaged EXIF data and of images beyond half the size that it refuses; now only of
    such TIFF files PIL warns.
    """
    start = file.read(16)
    if start.startswith(b"\xff\xd8\xff"):
        content, orientation = without_exif(start + file.read())
        return Opened(_no_bomb(JpegImageFile(io.BytesIO(content))), orientation)
    tried: set[str] = set()
    for load_plugins in (Image.preinit, Image.init):
        load_plugins()
        for kind in [kind for kind in Image.ID if kind not in tried]:
            tried.add(kind)
            make, accepts = Image.OPEN[kind]
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):  # how a plugin says that it is another's
                if accepts and accepts(start) is not True:
                    continue
                file.seek(0)
                image = _no_bomb(make(file, name))
                if image.format == "TIFF":  # its directory is the file's own, and read by now
                    return Opened(image, _orientation_in_memory(image))
                return Opened(image)
    raise Image.UnidentifiedImageError


def _no_bomb(image: Image.Image) -> Image.Image:
    limit, pixels = Image.MAX_IMAGE_PIXELS, image.width * image.height
    if limit is not None and pixels > 2 * limit:
        raise Image.DecompressionBombError(f"{pixels} pixels; the limit is {2 * limit}")
    return image


def _check_array(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise DataError(
            f"an array must be uint8 (H, W, 3) RGB or (H, W) grey with at least one pixel; got {array.dtype} {array.shape}"
        )
    return array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _upright_rgb(opened: Opened, name: str) -> NDArray[np.uint8]:
    opened.image.load()
    image = _turned(opened.image, opened.orientation)
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
