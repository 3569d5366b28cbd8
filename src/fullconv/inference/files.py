"""Many images in, many label maps out: reading, predicting and writing file by file, and what became of each."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.crf.mean_field import CRFSpec
from fullconv.data.depth.rgbd import inputs_for
from fullconv.data.images import glance, picture_of, read_image
from fullconv.data.masks import read_labels, read_mask
from fullconv.drawing import shares
from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.formats import Labelled
from fullconv.formats.voc_submission import check_plan, check_submission
from fullconv.inference.jobs import Job, results_of_each
from fullconv.inference.outputs import OUTPUTS, SUMMARIES, WITH_PROBABILITIES, Result, way_of
from fullconv.inference.pipeline import Read, group_by_size, in_background
from fullconv.inference.predictor import Predictor
from fullconv.inference.rgbd import Depths, Loaded
from fullconv.inference.segmentation import NO_VALUES, Segmentation, Values
from fullconv.inference.threshold import check_threshold
from fullconv.labelmap import LabelMap, code_of_color
from fullconv.labels import LabelSet

Predicted = tuple[NDArray[np.uint8], Segmentation]


@dataclass
class Outcome:
    """What became of all images: per-class shares (0 to 1) of those that were predicted, and why others were not.

    Images are named as they were given; ``written`` holds the new files of each, ``summaries`` those of all together, and
    ``faults`` what is wrong with an archive for VOC's server.
    """

    predicted: dict[str, dict[str, float]] = field(default_factory=dict)
    written: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    summaries: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def fail(self, source: Path, error: DataError) -> str:
        """Note what is wrong with an image; return it as a line that names the image."""
        line = str(error) if str(source) in str(error) else f"{source}: {error}"
        self.failed[str(source)] = line
        return line


def predict_files(
    predictor: Predictor,
    jobs: Sequence[Job],
    outputs: Collection[str] = (),
    *,
    head: str | None = None,
    crf: CRFSpec | None = None,
    overwrite: bool = False,
    together: int | None = None,
    depths: Depths | None = None,
    values: Values = "labels",
    progress: Callable[[int, int, str | None], None] = lambda done, of, problem: None,
) -> Outcome:
    """Predict every image and write the results; a broken image is noted and the others go on.

    Parameters
    ----------
    predictor, jobs
        The model, and what :func:`fullconv.inference.jobs.find_jobs` found.
    outputs
        What to write beside the labels: names of :data:`fullconv.inference.outputs.OUTPUTS`, for each image, and of
        :data:`~fullconv.inference.outputs.SUMMARIES`, for all of them and also for those that are skipped.
    head
        Which output of the model.
    crf
        Refines what the model finds in each image.
    overwrite
        Write all results of all images again; otherwise only those that are missing.
    together
        How many neighbours of one size go through the net at once; by default :attr:`~fullconv.Predictor.together`.
    depths
        Where the images' depth lies, for a model that reads it.
    values
        What the labels' files hold of each class: its label, the value that the masks of training have for it, or its colour; see
        :meth:`fullconv.inference.segmentation.Segmentation.save`.
    progress
        Called after each image with (done, of, what was wrong); skipped ones are not counted.

    Raises
    ------
    DataError
        When there are results that were predicted in another way, by another head or with another CRF or values; when the model
        does not know the values of its masks; when files that were
        not predicted are where results would go, also with ``overwrite``.
    FullconvError
        When a result cannot be written, as further ones could not either; when an archive for VOC's server is asked for, and
        model or images are not VOC's.
    """
    name, together = predictor.head(head), together or predictor.together
    outcome = Outcome()
    if "comp6" in outputs:
        check_plan([job.name.stem for job in jobs], predictor.labels[name])
    back = _way_back(predictor, name, values)
    check_threshold(predictor.threshold, predictor.labels[name], name)
    way = describe_way(predictor, name, crf, values)
    wanted = results_of_each(outputs)
    todo = {job: names for job in jobs if (names := _to_write(job, wanted, way, overwrite))}
    outcome.skipped = [str(job.source) for job in jobs if job not in todo]
    images = in_background(lambda job: _read(job, predictor, depths), todo, ahead=together)
    probabilities = not WITH_PROBABILITIES.isdisjoint(one for names in todo.values() for one in names)
    made = (one for group in group_by_size(images, together) for one in _predict(predictor, group, head, probabilities, crf))
    problems = in_background(
        lambda pair: _finish(*pair[0], pair[1], (way, values), outcome), zip(todo.items(), made, strict=True), ahead=1
    )
    with contextlib.closing(problems):  # when this is interrupted, what is being written becomes whole
        for done, problem in enumerate(problems, start=1):
            progress(done, len(todo), problem)
    if jobs:
        _summarise(jobs, outputs, predictor.labels[name], back, outcome, lambda problem: progress(len(todo), len(todo), problem))
    return outcome


def describe_way(predictor: Predictor, head: str, crf: CRFSpec | None = None, values: Values = "labels") -> str:
    """Return how labels are predicted, as their file keeps it, such as ``head semantic, threshold 0.3``."""
    way = f"head {head}" + (f", CRF {crf.model_dump_json()}" if crf else "")
    way += f", threshold {predictor.threshold:g}" if predictor.threshold is not None else ""
    way += f", precision {predictor.precision}" if predictor.precision != "fp32" else ""
    return way + (f", values {values}" if values != "labels" else "")


def _way_back(predictor: Predictor, head: str, values: Values) -> LabelMap | None:
    """Return what leads from the values that are written to labels; ``None`` where labels are written."""
    label_set = predictor.labels[head]
    if values == "labels":
        return None
    if values == "colors":
        if len(set(label_set.colors)) < len(label_set):
            raise DataError("two classes of the model have one colour, so colours would not tell them apart; leave --values out")
        return LabelMap(label_set, {code_of_color(color): label for label, color in enumerate(label_set.colors)})
    if head not in predictor.label_maps:
        raise DataError(f"the model's file does not say what values its masks had; {NO_VALUES}")
    return predictor.label_maps[head]


def _summarise(
    jobs: Sequence[Job],
    outputs: Collection[str],
    label_set: LabelSet,
    back: LabelMap | None,
    outcome: Outcome,
    report: Callable[[str], None],
) -> None:
    """Write what is asked for of all images together, and check an archive for VOC's server."""
    for name in (name for name in SUMMARIES if name in outputs):
        file, write = SUMMARIES[name]
        path = jobs[0].out / file
        with replacing(path) as temporary:
            write(temporary, _labelled(jobs, label_set, back, outcome, report), label_set)
        outcome.summaries.append(str(path))
        if name == "comp6":
            sizes = {job.name.stem: glance(job.source).size for job in jobs if str(job.source) not in outcome.failed}
            outcome.faults = check_submission(path, sizes)


def _to_write(job: Job, wanted: Sequence[str], way: str, overwrite: bool) -> list[str]:
    """Return which results of an image to write: those that are missing, as somebody may have corrected the others, or all.

    Where the labels are not ours, nothing is taken for ours and written over.
    """
    labels = job.path("labels")
    there = [name for name in wanted if job.path(name).is_file()]
    names = [name for name in wanted if overwrite or name not in there]
    before = way_of(labels) if labels.is_file() else None
    if there and names and before is None:
        raise DataError(
            f"{job.path(there[0])} was not written by predict and would be overwritten; choose another --out, or move it away"
        )
    if before not in (None, way) and not overwrite:
        raise DataError(f"{labels} was predicted by {before}, and now by {way}; choose another --out, or --overwrite it")
    return names


def _read(job: Job, predictor: Predictor, depths: Depths | None) -> Read:
    try:
        image = read_image(job.source, predictor.image)
        depth, camera = (depths.read(job.name), depths.camera) if depths else (None, None)
        return Loaded(picture_of(image), inputs_for(predictor.engine.inputs, image, depth, camera))
    except DataError as error:
        return DataError(str(error))  # without the frames that it came from, which hold on to the image


def _predict(
    predictor: Predictor, group: Sequence[Read], head: str | None, probabilities: bool, crf: CRFSpec | None
) -> Sequence[Predicted | DataError]:
    """Return for each image of a group what was predicted, or what is wrong with it."""
    loaded = [image for image in group if not isinstance(image, DataError)]
    try:
        found = predictor.predict_batch([each.inputs for each in loaded], head, probabilities, crf) if loaded else []
    except DataError as error:
        if len(group) == 1:
            return [DataError(str(error))]  # without the frames that it came from, which hold on to the image
        return [made for image in group for made in _predict(predictor, [image], head, probabilities, crf)]  # alone they may fit
    return list(zip((each.image for each in loaded), found, strict=True)) or [
        image for image in group if isinstance(image, DataError)
    ]


def _finish(job: Job, names: Sequence[str], made: Predicted | DataError, how: tuple[str, Values], outcome: Outcome) -> str | None:
    """Write the results of an image, note what became of it, and return what was wrong."""
    if not isinstance(made, DataError):
        image, found = made
        try:
            outcome.written[str(job.source)] = _write(job, Result(job.source, image, found, *how), names)
            outcome.predicted[str(job.source)] = shares(found.labels, found.label_set)
            return None
        except MemoryError:
            made = DataError("no memory for the results of an image of this size; cut it into parts or write fewer")
    return outcome.fail(job.source, made)


def _labelled(
    jobs: Sequence[Job], label_set: LabelSet, back: LabelMap | None, outcome: Outcome, report: Callable[[str], None]
) -> Iterator[Labelled]:
    """Yield what was predicted, now or earlier, from its files, so that memory does not grow with their number."""
    for job in jobs:
        if str(job.source) in outcome.failed:
            continue
        try:
            path = job.path("labels")
            labels = read_mask(path, label_set) if back is None else read_labels(path, back)
        except DataError as error:
            report(outcome.fail(job.source, error))
        else:
            yield job.name.as_posix(), labels


def _write(job: Job, result: Result, names: Sequence[str]) -> list[str]:
    for name in names:
        with replacing(job.path(name)) as temporary:
            OUTPUTS[name][1](result, temporary)
    return [str(job.path(name)) for name in names]
