"""The frames of a video or of an image sequence, one by one, upright, with their times.

Letters: H height, W width of a frame.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import SUFFIXES, picture_of, read_image, upright_size
from fullconv.errors import DataError, SpecError
from fullconv.extras import extra_module
from fullconv.spec import ImageSpec

TICKS = 90_000
"""Of a second, in which frames of an image sequence are timed."""
GAP = Fraction(1, 2)
"""Seconds by which a video may end before its header says so, or three frames: some programs note the last one's end by guess."""


class CutShortError(DataError):
    """A video that ends, or cannot be read on, before its header says that it ends; what came before is whole."""


@dataclass(frozen=True)
class Frame:
    """A frame.

    Parameters
    ----------
    image
        uint8 (H, W, 3) RGB, upright.
    given
        What a net is given, uint8 (H, W, C); of a video the image itself.
    ticks, duration
        When it is shown and for how long, in units of the video's time base.
    """

    image: NDArray[np.uint8]
    given: NDArray[np.uint8]
    ticks: int
    duration: int


class Source(Protocol):
    """A video or an image sequence.

    Attributes
    ----------
    path
        Of the file or folder.
    time_base
        Seconds of a tick.
    rate
        Frames a second, on average.
    aspect
        Width of a pixel over its height.
    """

    path: Path
    time_base: Fraction
    rate: Fraction
    aspect: Fraction

    @property
    def count(self) -> int | None:
        """About how many frames there are; ``None`` where nobody knows before the end."""
        ...

    @property
    def pixels(self) -> int | None:
        """About how many pixels all frames have together; ``None`` as for :attr:`count`."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in the order in which they are shown.

        Raises
        ------
        CutShortError
            After the last frame that can be read, where more were expected.
        DataError
            When nothing can be read.
        """
        ...


def av() -> ModuleType:
    """Return PyAV.

    Raises
    ------
    SpecError
        When it is not installed.
    """
    return extra_module("av", "video")


class VideoFile:
    """A file that FFmpeg reads: MP4, MOV, MKV, WebM, AVI and so on; its first video stream.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    DataError
        When it is missing, damaged from the start, or holds no video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opened(path) as container:
            stream = _stream(container, path)
            self.time_base = Fraction(stream.time_base)
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
            self._frames = int(stream.frames or 0)
            self._area = stream.width * stream.height
            self.has_sound = bool(container.streams.audio)
            self._end = _declared_end(container, stream)

    @property
    def count(self) -> int | None:
        """About how many frames there are."""
        if self._frames:
            return self._frames
        return None if self._end is None else round(self._end * self.rate)

    @property
    def pixels(self) -> int | None:
        """About how many pixels all frames have together."""
        return None if self.count is None else self.count * self._area

    def frames(self) -> Iterator[Frame]:
        """Yield the frames; errors as of :class:`Source`."""
        usual = max(1, round(1 / (self.rate * self.time_base)))
        done, following = 0, 0
        error: Exception | None = None
        with _opened(self.path) as container:
            stream = _stream(container, self.path)
            stream.thread_type = "AUTO"
            decoded = container.decode(stream)
            while True:
                try:
                    found = next(decoded)
                except StopIteration:
                    break
                except av().error.FFmpegError as broken:
                    error = broken
                    break
                ticks = following if found.pts is None else int(found.pts)
                duration = int(found.duration or usual)
                image = _upright(found)
                yield Frame(image, image, ticks, duration)
                done, following = done + 1, ticks + duration
        end = following * self.time_base
        if error is not None or (self._end is not None and end + max(GAP, 3 / self.rate) < self._end) or not done:
            why = "" if error is None else f" ({error})"
            expected = "" if self._end is None else f" of {float(self._end):.2f} s"
            raise CutShortError(
                f"{self.path} is cut short or damaged{why}: it can be read to {float(end):.2f} s{expected}, {done} frames; "
                "copy it again"
            )


class ImageSequence:
    """Images of one size in a folder, in the order of the numbers in their names.

    Parameters
    ----------
    path
        Of the folder.
    rate
        Images a second.
    how
        How they are read.

    Raises
    ------
    DataError
        When there are none.
    SpecError
        When the rate is not known, or not above 0.
    """

    has_sound = False

    def __init__(self, path: Path, rate: float | None, how: ImageSpec) -> None:
        if rate is None:
            raise SpecError(
                f"{path} is a folder of images, which does not say how fast they follow each other; give --fps, such as 25"
            )
        if not 0 < rate <= TICKS:
            raise SpecError(f"--fps {rate:g} is no number of images a second; give one above 0, such as 25")
        self.path, self.how = path, how
        self.rate = Fraction(rate).limit_denominator(1001)
        self.time_base, self.aspect = Fraction(1, TICKS), Fraction(1)
        inside = (each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and not each.name.startswith("."))
        self.images = sorted(inside, key=lambda each: natural(each.name))
        if not self.images:
            raise DataError(f"{path}: no images in this folder; looked for {', '.join(sorted(SUFFIXES))}")

    @property
    def count(self) -> int | None:
        """How many images there are."""
        return len(self.images)

    @property
    def pixels(self) -> int | None:
        """How many pixels all images have together, which are of one size."""
        try:
            height, width = upright_size(self.images[0])
        except DataError:  # told when it is read
            return None
        return height * width * len(self.images)

    def frames(self) -> Iterator[Frame]:
        """Yield the images as frames; errors as of :class:`Source`."""
        first: tuple[int, int] | None = None
        for place, path in enumerate(self.images):
            given = read_image(path, self.how)
            first = first or given.shape[:2]
            if given.shape[:2] != first:
                (height, width), (high, wide) = given.shape[:2], first
                raise DataError(
                    f"{path}: {height}×{width}, but {self.images[0].name} is {high}×{wide} (H×W); frames of a video are of one "
                    "size: `fullconv predict` takes images of any"
                )
            begin, end = (round(number * TICKS / self.rate) for number in (place, place + 1))
            yield Frame(picture_of(given), given, begin, end - begin)


def natural(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by so that their numbers count as numbers.

    Examples
    --------
    >>> sorted(["a10.png", "a9.png", "a1.png"], key=natural)
    ['a1.png', 'a9.png', 'a10.png']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a video, or a folder of images")
    try:
        return av().open(str(path))
    except (av().error.FFmpegError, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as a video ({error}); it is damaged, cut short or of another kind; copy it again"
        ) from error


def _stream(container: Any, path: Path) -> Any:
    kinds = {stream.type for stream in container.streams}
    if kinds <= {"data"}:  # what an MP4 holds is said at its end, which one that was cut short lacks
        raise DataError(f"{path}: nothing in this file can be played; it is cut short, damaged, or no video: copy it again")
    if not container.streams.video:
        raise DataError(f"{path}: no video in this file, only {', '.join(sorted(kinds))}")
    return container.streams.video[0]


def _declared_end(container: Any, stream: Any) -> Fraction | None:
    """Return the time at which the video ends by the file's word; where it says it for all streams at once, of a single one."""
    if stream.duration:
        return (stream.duration + (stream.start_time or 0)) * Fraction(stream.time_base)
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration + max(container.start_time or 0, 0), av().time_base)
    return None


def _upright(frame: Any) -> NDArray[np.uint8]:
    image: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4  # a telephone notes how the picture is to be turned, counterclockwise
    return np.ascontiguousarray(np.rot90(image, turns))
