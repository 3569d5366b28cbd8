"""Jobs in, results written: reading, predicting and writing image by image, and what became of each.

It is what every process of a run does with its share of the images; :mod:`fullconv.inference.files` says what there is to do and
gathers what was done.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.crf.mean_field import CRFSpec
from fullconv.data.depth.rgbd import inputs_for
from fullconv.data.images import picture_of, read_image
from fullconv.drawing import shares
from fullconv.errors import DataError
from fullconv.inference.jobs import Job
from fullconv.inference.outputs import OUTPUTS, WITH_PROBABILITIES, Result
from fullconv.inference.pipeline import Read, group_by_size, in_background
from fullconv.inference.predictor import Predictor
from fullconv.inference.remote import storing
from fullconv.inference.rgbd import Depths, Loaded
from fullconv.inference.segmentation import Segmentation, Values

BESIDE_CARD = min(4, os.cpu_count() or 1)
"""Threads that read, and as many that write, where a card computes: one reads some 200 photographs a second."""
Predicted = tuple[NDArray[np.uint8], Segmentation]
Todo = Mapping[Job, Sequence[str]]
"""Which results of each image to write, names of :data:`fullconv.inference.outputs.OUTPUTS`."""
_Item = tuple[Job, Sequence[str]]


@dataclass(frozen=True)
class How:
    """How all images of a run are predicted and written.

    Parameters
    ----------
    head, crf, depths, values
        As for :func:`fullconv.inference.files.predict_files`.
    way
        All that decides over the labels, in words; kept in their files.
    together
        How many images of one size go through the net at once.
    """

    head: str
    way: str
    together: int = 1
    crf: CRFSpec | None = None
    depths: Depths | None = None
    values: Values = "labels"


@dataclass(frozen=True)
class Done:
    """What became of an image: the files written and the classes' shares (0 to 1); or, in one line, what was wrong."""

    job: Job
    written: list[str] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    problem: str | None = None

    @classmethod
    def failed(cls, job: Job, error: Exception) -> "Done":
        """Return what is wrong with an image, as a line that names it."""
        said = str(error).removeprefix("the image: ")  # as what was read from a storage is called
        return cls(job, problem=said if str(job.source) in said else f"{job.source}: {said}")


Compute = Callable[[Todo, How], Generator[Done, None, None]]
"""What predicts the images of a run: this process, or others."""


def predict_jobs(predictor: Predictor, todo: Todo, how: How) -> Generator[Done, None, None]:
    """Yield what became of each image, as soon as its results are written; a broken image is one of them.

    Images keep their order where one at a time goes through the net. Reading is up to a batch ahead, in a thread of its own, and
    so is writing; beside a card, each is in several.

    Raises
    ------
    FullconvError
        When a result cannot be written, as further ones could not either.
    """
    threads = 1 if predictor.device.type == "cpu" else BESIDE_CARD
    images = in_background(lambda item: (item, read_job(item[0], predictor, how.depths)), todo.items(), how.together, threads)
    probabilities = not WITH_PROBABILITIES.isdisjoint(one for names in todo.values() for one in names)
    made = (
        pair for group in group_by_size(images, how.together) for pair in _predict_group(predictor, group, how, probabilities)
    )
    done = in_background(lambda pair: _finish(*pair, how), made, threads, threads)
    with contextlib.closing(done):  # when this is interrupted, what is being written becomes whole
        yield from done


def read_job(job: Job, predictor: Predictor, depths: Depths | None) -> Read:
    """Return the image of a job as the model reads it, and as it is drawn; or what is wrong with it."""
    try:
        source = job.source
        image = read_image(source if isinstance(source, Path) else source.read_bytes(), predictor.image)
        depth, camera = (depths.read(job.name), depths.camera) if depths else (None, None)
        return Loaded(picture_of(image), inputs_for(predictor.engine.inputs, image, depth, camera))
    except DataError as error:
        return DataError(str(error))  # without the frames that it came from, which hold on to the image


def _predict_group(
    predictor: Predictor, group: Sequence[tuple[_Item, Read]], how: How, probabilities: bool
) -> Iterator[tuple[_Item, Predicted | DataError]]:
    made = _predict(predictor, [read for _, read in group], how, probabilities)
    return zip((item for item, _ in group), made, strict=True)


def _predict(predictor: Predictor, group: Sequence[Read], how: How, probabilities: bool) -> Sequence[Predicted | DataError]:
    """Return for each image of a group what was predicted, or what is wrong with it."""
    loaded = [image for image in group if not isinstance(image, DataError)]
    try:
        found = predictor.predict_batch([each.inputs for each in loaded], how.head, probabilities, how.crf) if loaded else []
    except DataError as error:
        if len(group) == 1:
            return [DataError(str(error))]  # without the frames that it came from, which hold on to the image
        return [made for image in group for made in _predict(predictor, [image], how, probabilities)]  # alone they may fit
    return list(zip((each.image for each in loaded), found, strict=True)) or [
        image for image in group if isinstance(image, DataError)
    ]


def _finish(item: _Item, made: Predicted | DataError, how: How) -> Done:
    """Write the results of an image, and return what became of it."""
    job, names = item
    if isinstance(made, DataError):
        return Done.failed(job, made)
    image, found = made
    source = job.source if isinstance(job.source, Path) and isinstance(job.out, Path) else job.source.name
    try:
        result = Result(source, image, found, how.way, how.values)
        return Done(job, _write(job, result, names), shares(found.labels, found.label_set))
    except MemoryError:
        return Done.failed(job, DataError("no memory for the results of an image of this size; cut it into parts or write fewer"))


def _write(job: Job, result: Result, names: Sequence[str]) -> list[str]:
    for name in names:
        with storing(job.path(name)) as temporary:
            OUTPUTS[name][1](result, temporary)
    return [str(job.path(name)) for name in names]
