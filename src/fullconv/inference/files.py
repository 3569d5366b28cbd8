"""Many images in, many label maps out: what there is to do, who does it, and what became of each image."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from fullconv.crf.mean_field import CRFSpec
from fullconv.data.images import glance
from fullconv.data.masks import read_labels, read_mask
from fullconv.errors import DataError
from fullconv.formats import Labelled
from fullconv.formats.voc_submission import check_plan, check_submission
from fullconv.inference.digests import weights_digest
from fullconv.inference.jobs import Job, results_of_each
from fullconv.inference.outputs import SUMMARIES, way_of
from fullconv.inference.predictor import Predictor
from fullconv.inference.remote import Place, RemotePath, fetched, storing
from fullconv.inference.results import Compute, Done, How, predict_jobs
from fullconv.inference.rgbd import Depths
from fullconv.inference.segmentation import NO_VALUES, Values
from fullconv.inference.threshold import check_threshold
from fullconv.inference.tiled.jobs import PLAIN, Tiling, predict_large_jobs, too_large
from fullconv.labelmap import LabelMap, code_of_color
from fullconv.labels import LabelSet

MODEL = ", model "
"""In front of the digest of a model's weights, behind how labels are predicted."""
ASKING = 16
"""Requests at once to a storage about results that lie there."""


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

    def note(self, done: Done) -> None:
        """Note what became of an image."""
        source = str(done.job.source)
        if done.problem is not None:
            self.failed[source] = done.problem
        else:
            self.written[source], self.predicted[source] = done.written, done.shares


def predict_files(
    predictor: Predictor,
    jobs: Sequence[Job],
    outputs: Collection[str] = (),
    *,
    head: str | None = None,
    crf: CRFSpec | None = None,
    overwrite: bool = False,
    together: int | None = None,
    compute: Compute | None = None,
    depths: Depths | None = None,
    values: Values = "labels",
    tiling: Tiling = PLAIN,
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
        How many images of one size go through the net at once; by default :attr:`~fullconv.Predictor.together`.
    compute
        What predicts: this process by default; others, see :mod:`fullconv.inference.cluster`.
    depths
        Where the images' depth lies, for a model that reads it.
    values
        What the labels' files hold of each class: its label, the value that the masks of training have for it, or its colour; see
        :meth:`fullconv.inference.segmentation.Segmentation.save`.
    tiling
        How images are predicted that do not fit into memory.
    progress
        Called after each image with (done, of, what was wrong); skipped ones are not counted.

    Raises
    ------
    DataError
        When there are results that were predicted in another way: by another model or head, with another CRF or values; when
        the model does not know the values of its masks; when files that were not predicted are where results would go, also with
        ``overwrite``.
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
    way = describe_way(predictor, name, crf, values) + by_model(predictor, getattr(predictor.engine, "file", ""))
    how = How(name, way, together, crf, depths, values)
    todo = _still_to_do(jobs, results_of_each(outputs), way, overwrite)
    outcome.skipped = [str(job.source) for job in jobs if job not in todo]
    of = len(todo)
    large = {job: todo.pop(job) for job in too_large(predictor, name, list(todo), tiling)}
    done = count(1)
    for results in ((compute or partial(predict_jobs, predictor))(todo, how), predict_large_jobs(predictor, large, how, tiling)):
        with contextlib.closing(results):  # when this is interrupted, what is being written becomes whole
            for result in results:
                outcome.note(result)
                progress(next(done), of, result.problem)
    if jobs:
        _summarise(jobs, outputs, predictor.labels[name], back, outcome, lambda problem: progress(of, of, problem))
    return outcome


def describe_way(predictor: Predictor, head: str, crf: CRFSpec | None = None, values: Values = "labels") -> str:
    """Return how labels are predicted, as their file keeps it, such as ``head semantic, threshold 0.3``."""
    way = f"head {head}" + (f", CRF {crf.model_dump_json()}" if crf else "")
    way += f", threshold {predictor.threshold:g}" if predictor.threshold is not None else ""
    way += f", TTA {predictor.tta}" if predictor.tta is not None else ""
    way += f", precision {predictor.precision}" if predictor.precision != "fp32" else ""
    return way + (f", values {values}" if values != "labels" else "")


def by_model(predictor: Predictor, file: str | Path) -> str:
    """Return which model predicts, to stand behind :func:`describe_way`; ``file`` is that of an exported one."""
    digest = weights_digest(predictor, file)
    return f"{MODEL}{digest[:12]}" if digest else ""


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
        path = jobs[0].out / Path(file)
        with storing(path) as temporary:
            write(temporary, _labelled(jobs, label_set, back, outcome, report), label_set)
        outcome.summaries.append(str(path))
        if name == "comp6":
            outcome.faults = _check_submission(path, [job for job in jobs if str(job.source) not in outcome.failed])


def _check_submission(path: Place, jobs: Sequence[Job]) -> list[str]:
    sizes = {}
    for job in jobs:
        with fetched(job.source) as image:
            sizes[job.name.stem] = glance(image).size
    with fetched(path) as archive:
        return check_submission(archive, sizes)


def _still_to_do(jobs: Sequence[Job], wanted: Sequence[str], way: str, overwrite: bool) -> dict[Job, list[str]]:
    """Return the jobs with the results to write of each, see :func:`_to_write`; those without any are left out."""
    folder = jobs[0].out if jobs else None
    listed = frozenset(folder.files()) if isinstance(folder, RemotePath) else None  # one request, and not one for each file
    with ThreadPoolExecutor(1 if listed is None else ASKING) as threads:
        found = threads.map(lambda job: _to_write(job, wanted, way, overwrite, listed), jobs)
        return {job: names for job, names in zip(jobs, found, strict=True) if names}


def _to_write(job: Job, wanted: Sequence[str], way: str, overwrite: bool, listed: Collection[str] | None) -> list[str]:
    """Return which results of an image to write: those that are missing, as somebody may have corrected the others, or all.

    Where the labels are not ours, nothing is taken for ours and written over.
    """
    labels = job.path("labels")
    there = [name for name in wanted if _is_there(job.path(name), listed)]
    names = [name for name in wanted if overwrite or name not in there]
    before = way_of(labels) if _is_there(labels, listed) else None
    if there and names and before is None:
        raise DataError(
            f"{job.path(there[0])} was not written by predict and would be overwritten; choose another --out, or move it away"
        )
    if before is not None and not overwrite:
        _check_same(labels, before, way)
    return names


def _check_same(labels: Place, before: str, now: str) -> None:
    """Make sure that labels were predicted as they would be now; files of earlier versions do not say by which model."""
    (was, _, model_before), (is_now, _, model) = before.partition(MODEL), now.partition(MODEL)
    if was != is_now:
        raise DataError(f"{labels} was predicted by {was}, and now by {is_now}; choose another --out, or --overwrite it")
    if model_before and model_before != model:
        raise DataError(
            f"{labels} was predicted by another model, whose weights have the digest {model_before}, and this one's {model}; "
            "choose another --out, or --overwrite it"
        )


def _is_there(path: Place, listed: Collection[str] | None) -> bool:
    return path.is_file() if isinstance(path, Path) else str(path) in (listed or ())


def _labelled(
    jobs: Sequence[Job], label_set: LabelSet, back: LabelMap | None, outcome: Outcome, report: Callable[[str], None]
) -> Iterator[Labelled]:
    """Yield what was predicted, now or earlier, from its files, so that memory does not grow with their number."""
    for job in jobs:
        if str(job.source) in outcome.failed:
            continue
        try:
            with fetched(job.path("labels")) as path:
                labels = read_mask(path, label_set) if back is None else read_labels(path, back)
        except DataError as error:
            failed = Done.failed(job, error)
            outcome.note(failed)
            report(failed.problem or "")
        else:
            yield job.name.as_posix(), labels
