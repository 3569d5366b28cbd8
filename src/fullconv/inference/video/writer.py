"""A labelled video: H.264 in MP4, each frame shown when the one that it was made from is."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import FullconvError
from fullconv.files import replacing
from fullconv.inference.video.frames import Frame, Source, av

QUALITY = "18"
"""Of x264, 0 to 51: smaller is better and larger."""

Add = Callable[[NDArray[np.uint8], Frame], None]
"""Adds a picture uint8 (H, W, 3) that is shown when a frame is."""


@contextlib.contextmanager
def video_writer(path: Path, source: Source) -> Iterator[Add]:
    """Yield a function that adds frames to a new video; the file is there, whole, when the block ends.

    Parameters
    ----------
    path
        Ends in ``.mp4``.
    source
        What the frames are from: times, rate and the shape of pixels are taken over.

    Raises
    ------
    FullconvError
        When the folder cannot be written or the disk is full.
    """
    errors = av().error
    with replacing(path) as temporary:
        try:
            with av().open(str(temporary), "w", format="mp4") as container:
                stream: Any = None
                durations: dict[int, int] = {}

                def mux(packets: Any) -> None:
                    for packet in packets:
                        packet.duration = durations.pop(packet.pts)  # x264 says of all that of the average rate
                        container.mux(packet)

                def add(picture: NDArray[np.uint8], frame: Frame) -> None:
                    nonlocal stream
                    if stream is None:
                        stream = _stream(container, source, picture.shape[:2])
                    shown = av().VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                    shown.pts, shown.time_base, shown.duration = frame.ticks, source.time_base, frame.duration
                    durations[frame.ticks] = frame.duration
                    mux(stream.encode(shown))

                yield add
                if stream is not None:
                    mux(stream.encode(None))
        except (errors.FFmpegError, ValueError) as error:
            raise FullconvError(f"cannot write {path}: {error}; free space or choose another --out") from error


def _stream(container: Any, source: Source, size: tuple[int, int]) -> Any:
    # without frames that are made of later ones, so that the last one written is the last one shown, and its end the video's
    options = {"crf": QUALITY, "preset": "veryfast", "bf": "0"}
    stream = container.add_stream("libx264", rate=source.rate, options=options)
    stream.height, stream.width = size
    # players know 4:2:0 best, which has half of the colours' pixels in each direction and so needs even sizes
    stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
    stream.codec_context.time_base = source.time_base
    stream.time_base = source.time_base
    if source.aspect != 1:
        stream.codec_context.sample_aspect_ratio = source.aspect
    return stream
