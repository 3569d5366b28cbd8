"""How much the service takes: bytes, pixels, requests and seconds; what is more is refused before work is done for it.

Letters: H height, W width, K classes.
"""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import tifffile

from fullconv.data.opening import opened, reading
from fullconv.errors import DataError
from fullconv.serve.problem import Problem
from fullconv.spec import ImageSpec

MB = 2**20
STARTS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "PPM": tuple(b"P%d" % kind for kind in range(1, 7)),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
}
"""How files of the formats begin that are read; WebP and AVIF say it a few bytes later. PIL knows more formats, and some of
them call other programs: it is not asked about those."""
FORMATS = (*STARTS, "WebP", "AVIF")
BYTES_OF_PIXEL = 16
"""That a TIFF file may have: it can have any number of bands."""
PROBABILITIES = 8
"""Probabilities that are computed for a pixel of the largest image: of large images with many classes there are labels only."""


@dataclass(frozen=True)
class Limits:
    """The limits of a service; each is an option of ``fullconv serve``.

    Parameters
    ----------
    body
        Bytes of an image file.
    pixels
        Of an image, after decoding.
    queue
        Images that wait or are computed at the same time.
    held
        Bytes of image files that are in memory at the same time.
    receive_seconds
        In which an image has to arrive.
    seconds
        In which it has to be answered after that.
    connections
        That are open at the same time.
    """

    body: int = 32 * MB
    pixels: int = 4096 * 4096
    queue: int = 64
    held: int = 512 * MB
    receive_seconds: float = 30
    seconds: float = 60
    connections: int = 2000


def is_known(content: bytes) -> bool:
    """Return whether a file begins as one of :data:`FORMATS`.

    Examples
    --------
    >>> is_known(b"GIF89a..."), is_known(b"%!PS-Adobe-3.0 EPSF-3.0")
    (True, False)
    """
    if any(content.startswith(starts) for starts in STARTS.values()):
        return True
    return (content[:4] == b"RIFF" and content[8:12] == b"WEBP") or content[4:12] in (b"ftypavif", b"ftypavis")


def check_image(content: bytes, how: ImageSpec, limits: Limits) -> tuple[int, int]:
    """Return (height, width) of an image file as its header says them; no pixel is decoded.

    Raises
    ------
    Problem
        When it is of another format, damaged, or has too many pixels.
    """
    if not content:
        raise Problem("bad-request", "the body is empty; send the bytes of an image file")
    if not is_known(content):
        raise Problem("not-an-image", f"the body does not begin as an image; read are {', '.join(FORMATS)}")
    try:
        with reading("the image"), opened(content) as found:
            height, width = found.size
            pages = found.pages if how.pages == "bands" else 1
            size = _unpacked(content) * pages if found.format == "TIFF" else 0
    except DataError as error:
        raise Problem("unreadable", str(error)) from error
    if height * width * pages > limits.pixels or size > BYTES_OF_PIXEL * limits.pixels:
        shape = f"{height}×{width}" + (f" pixels on {pages} pages" if pages > 1 else " pixels")
        more = "" if height * width * pages > limits.pixels else f", {size / MB:.0f} MB unpacked"
        raise Problem(
            "too-large",
            f"the image has {shape}{more}; accepted are {limits.pixels} pixels (and {BYTES_OF_PIXEL} bytes for each): "
            "shrink it or cut it into parts",
        )
    return height, width


def _unpacked(content: bytes) -> int:
    """Return the bytes that the first page of a TIFF file takes when it is decoded."""
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        page = tiff.pages.first
        bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
        return int(page.imagewidth) * int(page.imagelength) * int(page.samplesperpixel) * max(bits // 8, 1)


def check_probabilities(classes: int, height: int, width: int, limits: Limits) -> None:
    """Refuse what would make more probabilities than fit into memory beside each other."""
    values, most = classes * height * width, PROBABILITIES * limits.pixels
    if values > most:
        raise Problem(
            "too-large",
            f"the probabilities of {classes} classes at {height}×{width} pixels are {values} numbers, and {most} are computed at "
            "most: shrink the image, or ask for labels (format png, json or overlay)",
        )


class Held:
    """The bytes of image files that are in memory, of all requests; used by the event loop alone."""

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    @contextlib.contextmanager
    def share(self) -> Iterator["Share"]:
        """Yield the share of one request, which it gives back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.now -= share.bytes


class Share:
    """What one request holds of it."""

    def __init__(self, of: Held) -> None:
        self._of, self.bytes = of, 0

    def take(self, count: int) -> None:
        """Count bytes that have come.

        Raises
        ------
        Problem
            When all requests together hold too many; these are not counted then.
        """
        if self._of.now + count > self._of.most:
            raise Problem("busy", "too many images are on their way; send this one again later", retry_after=1)
        self._of.now += count
        self.bytes += count
