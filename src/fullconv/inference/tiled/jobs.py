"""Which of many images are too large for the memory, and one of them after another in parts."""

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import upright_size
from fullconv.drawing import shares_of
from fullconv.errors import DataError, GeometryError, SpecError
from fullconv.files import replacing
from fullconv.inference.jobs import Job
from fullconv.inference.outputs import OUTPUTS, Result
from fullconv.inference.predictor import Predictor
from fullconv.inference.remote import Place
from fullconv.inference.results import Done, How, Todo, read_job
from fullconv.inference.rgbd import Loaded
from fullconv.inference.segmentation import Segmentation
from fullconv.inference.tiled.bands import Bands
from fullconv.inference.tiled.large import Order, check_outputs, fingerprint, predict_large
from fullconv.inference.tiled.memory import free_for, window_bytes
from fullconv.inference.tiled.part import MAPS
from fullconv.inference.tiled.plan import Cut, cut_within, fits_whole

SMALL = 1_000_000
"""Pixels up to which nobody asks whether an image fits, where no limit was given."""
READING = 6
"""Bytes for each pixel of an image while it is read from its file."""


@dataclass(frozen=True)
class Tiling:
    """How images are predicted that do not fit into memory whole.

    Parameters
    ----------
    memory
        Bytes that the whole process may take; by default what is free.
    tile
        Side of tiles in pixels, in place of what the memory suggests.
    verify
        Windows of every such image that are computed once more, and compared.
    approximate
        Blend windows where a net sees the whole image at once.
    say
        Is told in a line how each image is predicted, and what verifying it found.
    """

    memory: int | None = None
    tile: int | None = None
    verify: int = 0
    approximate: bool = False
    say: Callable[[str], None] = lambda line: None


PLAIN = Tiling()


def too_large(predictor: Predictor, head: str, jobs: Sequence[Job], tiling: Tiling = PLAIN) -> set[Job]:
    """Return the images that are to be predicted in parts; of what cannot be read nothing is said here.

    Parts of what lies in a storage are not read, so such images are predicted whole.

    Raises
    ------
    DataError
        When it is said how images are to be cut, and this predictor takes them only whole.
    """
    if why := _only_whole(predictor):
        if tiling.tile is not None or tiling.memory is not None:
            raise DataError(f"{why}, so images cannot be cut into parts; leave --tile and --max-memory out")
        return set()
    fits = functools.cache(lambda size, memory: fits_whole(predictor, head, size, memory))
    about = functools.cache(lambda: _about(predictor, head))
    found = set()
    for job in jobs:
        if not (isinstance(job.source, Path) and isinstance(job.out, Path)):
            continue
        try:
            height, width = upright_size(job.source)
        except DataError:
            continue
        pixels = height * width
        if tiling.tile is not None:
            parts = max(height, width) > tiling.tile
        else:
            memory = free_for(predictor.device, tiling.memory) - READING * pixels
            clear = pixels <= SMALL and tiling.memory is None
            # most images fit by far, and need no closer look
            far = clear or about()[0] + 2 * about()[1] * pixels <= memory
            parts = not far and not fits((height, width), _rounded(memory))
        if parts:
            found.add(job)
    return found


def _about(predictor: Predictor, head: str) -> tuple[float, float]:
    """Return the bytes that any image takes, and those of each of its pixels, about."""
    small, large = (window_bytes(predictor.model, head, (side, side)) for side in (256, 1024))
    a_pixel = (large - small) / (1024**2 - 256**2)
    return small - a_pixel * 256**2, a_pixel


def _only_whole(predictor: Predictor) -> str | None:
    """Return why a predictor takes images only whole."""
    if not hasattr(predictor.engine, "model"):
        return "an exported file does not say what its outputs depend on"
    if predictor.scale != 1:
        return f"the model was trained on images at {predictor.scale:g} times their size"
    return "--tta averages over views of the whole image" if predictor.tta is not None else None


def _rounded(memory: int) -> int:
    """Return bytes in steps of a sixteenth, so that many images of one size are looked at once."""
    step = max(1 << max(memory.bit_length() - 5, 0), 1)
    return memory // step * step


def predict_large_jobs(predictor: Predictor, todo: Todo, how: How, tiling: Tiling = PLAIN) -> Generator[Done, None, None]:
    """Yield what became of each of some large images, which are predicted in parts one after another, in this process.

    Parameters
    ----------
    predictor, todo, how
        As for :func:`fullconv.inference.results.predict_jobs`.
    tiling
        How they are cut.
    """
    for job, names in todo.items():
        try:
            loaded = read_job(job, predictor, how.depths)
            if isinstance(loaded, DataError):
                raise loaded
            counts = predict_in_parts(predictor, job, names, loaded, how, tiling)
        except DataError as error:
            yield Done.failed(job, error)
        except MemoryError:
            yield Done.failed(job, DataError("no memory for this image's results"))
        else:
            yield Done(
                job, [str(job.path(name)) for name in names], shares_of(counts, predictor.labels[how.head], int(counts.sum()))
            )


def predict_in_parts(
    predictor: Predictor, job: Job, names: Sequence[str], loaded: Loaded, how: How, tiling: Tiling = PLAIN
) -> NDArray[np.int64]:
    """Predict one large image and write its results; return how many pixels each class has.

    Parameters
    ----------
    names
        Of the results, see :data:`fullconv.inference.outputs.OUTPUTS`.
    loaded
        The image.
    how
        How it is predicted and written.
    tiling
        How it is cut.

    Raises
    ------
    DataError
        When it cannot be done in parts, with the reason.
    """
    head, way, values = how.head, how.way, how.values
    source = _path(job.source)
    size = (loaded.image.shape[0], loaded.image.shape[1])
    check_outputs(names)
    if how.crf is not None:
        raise DataError(f"a CRF refines whole images, and {size[0]}×{size[1]} px do not fit into memory; leave --refine out")

    def read(top: int, left: int, height: int, width: int) -> Mapping[str, NDArray[np.generic]]:
        return {name: pixels[top : top + height, left : left + width] for name, pixels in loaded.inputs.items()}

    def plan() -> Cut:
        try:
            return cut_within(predictor, size, tiling.memory, head, tiling.tile, tiling.approximate)
        except (GeometryError, SpecError) as error:
            raise DataError(f"{size[0]}×{size[1]} px do not fit into memory whole, and in parts: {error}") from error

    def further(bands: Bands) -> None:
        others = [name for name in names if name not in ("labels", *MAPS)]
        if others:
            found = Segmentation(bands.layer("labels", size[1])[:], None, predictor.labels[head], predictor.label_maps.get(head))
            for name in others:
                with replacing(_path(job.path(name))) as temporary:
                    OUTPUTS[name][1](Result(source, loaded.image, found, way, values), temporary)

    facts = source.stat()
    order = Order(
        *(_path(job.path("labels")), head),
        maps={name: _path(job.path(name)) for name in MAPS if name in names},
        way=way,
        values=values,
        identity=[
            *(fingerprint(predictor), type(predictor.engine).__name__, facts.st_size, facts.st_mtime_ns),
            *(tiling.memory, tiling.tile, tiling.approximate),
        ],
        labels="labels" in names,
        verify=tiling.verify,
        say=lambda line: tiling.say(f"{job.source}: {line}"),
    )
    return predict_large(predictor, read, size, plan, order, further).counts


def _path(place: Place) -> Path:
    assert isinstance(place, Path)  # what lies in a storage is predicted whole
    return place
