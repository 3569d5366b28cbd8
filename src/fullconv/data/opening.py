"""Image files opened by PIL's plugins or as TIFF, their pixels not read yet; what is wrong with one is an error that names it.

Nothing here touches the process's warning filters, which all threads share.
"""

import contextlib
import errno
import io
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from fullconv.data.orientation import ORIENTATION, TURNS, orientation_of, without_exif
from fullconv.data.stored import Stored, is_deep_png, is_tiff, read_deep_png, read_tiff, stored_in_pil, tiff_facts
from fullconv.errors import DataError
from fullconv.spec import ImageSpec

_SYSTEM = {errno.ENOENT: "no such file", errno.EISDIR: "a folder, not an image"}
_FRAMES = ("GIF", "WEBP", "PNG", "AVIF")
"""Formats that hold animations; what a telephone adds behind a JPEG image is no page."""

Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image
"""What is opened."""


@dataclass(frozen=True)
class Opened:
    """An image whose pixels may not have been read yet.

    Attributes
    ----------
    pil
        The image as PIL has it; ``None`` where PIL does not read this kind, or would lose some of it.
    given
        EXIF's orientation, 1 to 8; ``None`` where it is known after the pixels have been read.
    pages
        How many pages or frames there are.
    file
        That the image is read from, where PIL does not or there are pages.
    format
        Such as ``TIFF``.
    size
        (height, width) as stored.
    """

    pil: Image.Image | None
    given: int | None = None
    pages: int = 1
    file: BinaryIO | None = None
    format: str = ""
    size: tuple[int, int] = (0, 0)

    @property
    def image(self) -> Image.Image:
        """The image as PIL has it, also where that loses bands or depth."""
        if self.pil is not None:
            return self.pil
        assert self.file is not None  # where PIL would lose something, the file is kept
        self.file.seek(0)
        return _by_pil(self.file, str(getattr(self.file, "name", "")), self.file.read(32)).image

    @property
    def orientation(self) -> int:
        """EXIF's 1 to 8; in a PNG it may stand behind the pixels, so they are read first."""
        if self.given is not None:
            return self.given
        if self.pil is None:
            return 1
        self.pil.load()
        return orientation_of(self.pil.info)

    def stored(self) -> Stored:
        """Return all bands of the first page."""
        if self.pil is not None:
            self.pil.load()
            return stored_in_pil(self.pil)
        assert self.file is not None  # as above
        return read_tiff(self.file) if self.format == "TIFF" else read_deep_png(self.file)

    def prepared(self, how: ImageSpec) -> NDArray[np.uint8] | None:
        """Return the image as a net reads it, uint8 (H, W, C), where more than its own pixels decides on that; else ``None``."""
        return None

    def stack(self) -> Stored:
        """Return the bands of all pages, one page behind the other."""
        if self.format == "TIFF" and self.file is not None:
            return read_tiff(self.file, every_page=True)
        found = []
        for page in range(self.pages):
            self.image.seek(page)
            found.append(stored_in_pil(self.image.convert("L")).values)
        return Stored(np.concatenate(found, axis=2))


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever comes of a damaged file into a :class:`DataError` that names it."""
    try:
        yield
    except DataError as error:
        if name in str(error):
            raise
        raise DataError(f"{name}: {error}") from error
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


def name_of(source: Source) -> str:
    """Return what errors call a source."""
    if isinstance(source, str | os.PathLike):
        return str(source)
    name = getattr(source, "name", None)  # of an open file, unless it was opened by number
    return name if isinstance(name, str) else "the image"


@runtime_checkable
class PartOfFile(Protocol):
    """What stands for a file and is a part of one, such as a window of a map."""

    def open_image(self) -> Opened:
        """Return it as an opened image."""
        ...


@contextlib.contextmanager
def opened(source: Source) -> Iterator[Opened]:
    """Open an image for the time of a ``with``."""
    if isinstance(source, PartOfFile):
        yield source.open_image()
        return
    if isinstance(source, Image.Image):
        yield Opened(source, _orientation_in_memory(source), size=(source.height, source.width))
        return
    if not isinstance(source, str | os.PathLike):
        yield _identified(io.BytesIO(_content_of(source)), name_of(source))
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
        raise DataError(f"{name_of(source)} is opened as text; open an image in mode 'rb'")
    if not hasattr(source, "read"):
        raise DataError(f"an image is a path, bytes, an open file, a PIL image or an array; got {type(source).__name__}")
    if source.seekable():
        source.seek(0)
    return source.read()


def _orientation_in_memory(image: Image.Image) -> int:
    orientation = image.getexif().get(ORIENTATION, 1)
    return orientation if orientation in TURNS else 1


def _identified(file: BinaryIO, name: str) -> Opened:
    """Return the image in a file: special TIFF and PNG files as such, all others by PIL."""
    start = file.read(32)
    pages = 1
    if is_tiff(start) and (facts := tiff_facts(file)) is not None:
        _refuse_bomb(facts.size)
        pages = facts.pages
        if facts.special:
            orientation = facts.orientation if facts.orientation in TURNS else 1
            return Opened(None, orientation, pages, file, "TIFF", facts.size)
    elif is_deep_png(start):
        width, height = struct.unpack(">II", start[16:24])
        _refuse_bomb((height, width))
        with contextlib.suppress(Image.UnidentifiedImageError):
            orientation = _by_pil(file, name, start).orientation  # it may stand behind the pixels
            return Opened(None, orientation, 1, file, "PNG", (height, width))
    found = _by_pil(file, name, start)
    image = found.image
    if image.format in _FRAMES:
        pages = int(getattr(image, "n_frames", 1))
    return Opened(image, found.given, pages, file, image.format or "", (image.height, image.width))


def _by_pil(file: BinaryIO, name: str, start: bytes) -> Opened:
    """Return the image in a file, by PIL's plugins.

    ``Image.open`` does the same and warns of damaged EXIF data and of images beyond half the size that it refuses; now only of
    such TIFF files PIL warns.
    """
    if start.startswith(b"\xff\xd8\xff"):
        file.seek(0)
        content, orientation = without_exif(file.read())
        return Opened(_no_bomb(JpegImageFile(io.BytesIO(content))), orientation)
    tried: set[str] = set()
    for load_plugins in (Image.preinit, Image.init):
        load_plugins()
        for kind in [kind for kind in Image.ID if kind not in tried]:
            tried.add(kind)
            make, accepts = Image.OPEN[kind]
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):  # how a plugin says that it is another's
                if accepts and accepts(start[:16]) is not True:
                    continue
                file.seek(0)
                image = _no_bomb(make(file, name))
                if image.format == "TIFF":  # its directory is the file's own, and read by now
                    return Opened(image, _orientation_in_memory(image))
                return Opened(image)
    raise Image.UnidentifiedImageError


def _no_bomb(image: Image.Image) -> Image.Image:
    _refuse_bomb((image.height, image.width))
    return image


def _refuse_bomb(size: tuple[int, int]) -> None:
    limit, pixels = Image.MAX_IMAGE_PIXELS, size[0] * size[1]
    if limit is not None and pixels > 2 * limit:
        raise Image.DecompressionBombError(f"{pixels} pixels; the limit is {2 * limit}")
