"""Many pictures in, many label maps out: which files are meant, where results go, and what became of each."""

import glob
import itertools
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import read_mask
from fullconv.data.pictures import SUFFIXES, read_picture
from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.inference.annotations import Labelled
from fullconv.inference.outputs import OUTPUTS, SUMMARIES, WITH_SCORES, Result
from fullconv.inference.predictor import Predictor
from fullconv.labels import LabelSet
from fullconv.pictures import shares


@dataclass(frozen=True)
class Job:
    """A picture and where its results go.

    Parameters
    ----------
    source
        The picture.
    out
        Folder of all results.
    name
        The picture's path below its own folder, such as ``sea/b.PNG``; results lie in the same place below ``out``.
    """

    source: Path
    out: Path
    name: Path

    def path(self, output: str) -> Path:
        """Return the path of one of :data:`fullconv.inference.outputs.OUTPUTS`."""
        return self.out / self.name.with_name(self.name.stem + OUTPUTS[output][0])


@dataclass
class Outcome:
    """What became of all pictures: per-class shares (0 to 1) of those that were predicted, and why others were not.

    Pictures are named as they were given; ``written`` holds the files of each, ``summaries`` those of all together.
    """

    predicted: dict[str, dict[str, float]] = field(default_factory=dict)
    written: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    summaries: list[str] = field(default_factory=list)


def find_jobs(inputs: Sequence[str], out: Path, outputs: Collection[str] = ()) -> list[Job]:
    """Return the pictures that are meant, in alphabetical order within each input.

    Parameters
    ----------
    inputs
        Files, folders (searched through, results mirror their tree; links to folders are not followed) or glob patterns.
        What cannot be read is among the jobs, so that it is reported and the others go on.
    out
        Folder of the results.
    outputs
        What will be written beside the labels, see :mod:`fullconv.inference.outputs`; no two results may meet.

    Raises
    ------
    DataError
        When an input matches nothing; when two pictures would get the same result file, or one would be overwritten by a
        result. The files are named.

    Examples
    --------
    >>> find_jobs(["holiday/beach.jpg"], Path("labels"))[0].path("labels")
    PosixPath('labels/beach.png')
    """
    found = [Job(path, out, name) for item in inputs for path, name in _matches(item, out)]
    jobs = list({(job.path("labels"), _real(job.source)): job for job in found}.values())
    sources = {_real(job.source) for job in jobs}
    taken: dict[Path, str] = {out / SUMMARIES[name][0]: "all pictures" for name in outputs if name in SUMMARIES}
    for job in jobs:
        for result in (job.path(name) for name in _each(outputs)):
            if result in taken:
                raise DataError(
                    f"{taken[result]} and {job.source} would both be written to {result}; predict them into two folders"
                )
            taken[result] = str(job.source)
    for result in taken:
        if _real(result) in sources:
            raise DataError(f"{result} is one of the pictures and would be overwritten; choose another folder for the results")
    return jobs


def _each(outputs: Collection[str]) -> list[str]:
    """Return what is written for each picture: the labels, and those of ``outputs`` that are no summaries."""
    return [name for name in OUTPUTS if name == "labels" or name in outputs]


def _matches(item: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each picture with its path relative to the input's own folder (of a pattern: to the part without wildcards)."""
    path = Path(item)
    if not item:
        raise DataError("a picture's name is empty; give files, folders or patterns")
    try:
        folder, exists = path.is_dir(), path.exists()
    except OSError:  # such as a name that is too long; reading it will say so
        folder = exists = False
    if folder:
        found = _within(path, out)
        if not found:
            raise DataError(f"{item}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}")
        yield from ((file, file.relative_to(path)) for file in found)
    elif exists or not glob.has_magic(item):
        yield path, Path(path.name)  # a missing file is reported like a broken one, and the others go on
    else:
        fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
        try:
            found = sorted(file for file in fixed.glob(str(path.relative_to(fixed))) if file.is_file())
        except ValueError as error:
            raise DataError(f"{item}: {str(error).lower()}, such as pictures/**/*.jpg") from error
        if not found:
            raise DataError(f"{item}: no file matches this pattern")
        yield from ((file, file.relative_to(fixed)) for file in found)


def _within(folder: Path, out: Path) -> list[Path]:
    """Return a folder's pictures, without hidden files and without earlier results where ``out`` lies inside it."""
    results, searched = _real(out), _real(folder)
    denied: list[OSError] = []
    found: list[Path] = []
    for here, folders, files in os.walk(folder, onerror=denied.append):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is(Path(here, name), results, searched)]
        found += (Path(here, name) for name in files if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."))
    found += (Path(error.filename) for error in denied)  # reading such a folder as a picture will say what is wrong
    return sorted(found)


def _is(folder: Path, results: Path, searched: Path) -> bool:
    return results != searched and _real(folder) == results


def _real(path: Path) -> Path:
    """Return the path that links lead to; of links in a circle, the path itself."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def predict_files(
    predictor: Predictor,
    jobs: Sequence[Job],
    outputs: Collection[str] = (),
    *,
    head: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int, str | None], None] = lambda done, of, problem: None,
) -> Outcome:
    """Predict every picture and write the results; a broken picture is noted and the others go on.

    Parameters
    ----------
    predictor, jobs
        The model, and what :func:`find_jobs` found.
    outputs
        What to write beside the labels: names of :data:`fullconv.inference.outputs.OUTPUTS`, for each picture, and of
        :data:`~fullconv.inference.outputs.SUMMARIES`, for all of them and also for those that are skipped.
    head
        Which output of the model.
    overwrite
        Predict pictures again whose results are all there; otherwise they are skipped.
    progress
        Called after each picture with (done, of, what was wrong); skipped ones are not counted.

    Raises
    ------
    FullconvError
        When a result cannot be written, as further ones could not either.
    """
    wanted = _each(outputs)
    outcome = Outcome()
    todo = []
    for job in jobs:
        if overwrite or not all(job.path(name).is_file() for name in wanted):
            todo.append(job)
        else:
            outcome.skipped.append(str(job.source))
    for done, (job, image) in enumerate(_read_ahead(todo), start=1):
        problem = None
        try:
            if isinstance(image, DataError):
                raise image
            found = predictor.predict(image, head, scores=not WITH_SCORES.isdisjoint(wanted))
        except DataError as error:
            problem = outcome.failed[str(job.source)] = _named(job, error)
        else:
            outcome.written[str(job.source)] = _write(job, Result(job.source, image, found), wanted)
            outcome.predicted[str(job.source)] = shares(found.labels, found.label_set)
        progress(done, len(todo), problem)
    if jobs:
        _summarise(jobs, outputs, predictor.labels[predictor.head(head)], outcome)
    return outcome


def _summarise(jobs: Sequence[Job], outputs: Collection[str], label_set: LabelSet, outcome: Outcome) -> None:
    for name, (file, write) in SUMMARIES.items():
        if name in outputs:
            path = jobs[0].out / file
            with replacing(path) as temporary:
                write(temporary, _labelled(jobs, label_set, outcome), label_set)
            outcome.summaries.append(str(path))


def _labelled(jobs: Sequence[Job], label_set: LabelSet, outcome: Outcome) -> Iterator[Labelled]:
    """Yield what was predicted, now or earlier, from its files, so that memory does not grow with their number."""
    for job in jobs:
        if str(job.source) not in outcome.failed:
            yield job.name.as_posix(), read_mask(job.path("labels"), label_set)


def _named(job: Job, error: DataError) -> str:
    return str(error) if str(job.source) in str(error) else f"{job.source}: {error}"


def _read_ahead(jobs: Sequence[Job]) -> Iterator[tuple[Job, NDArray[np.uint8] | DataError]]:
    """Yield each job with its picture, or with what is wrong with it; a thread reads the next one meanwhile."""
    with ThreadPoolExecutor(1, "reader") as reader:
        ahead = [reader.submit(_read, job) for job in jobs[:1]]
        for job, following in itertools.zip_longest(jobs, jobs[1:]):
            image = ahead.pop().result()
            if following is not None:
                ahead.append(reader.submit(_read, following))
            yield job, image


def _read(job: Job) -> NDArray[np.uint8] | DataError:
    try:
        return read_picture(job.source)
    except DataError as error:
        return error


def _write(job: Job, result: Result, wanted: Sequence[str]) -> list[str]:
    for name in wanted:
        with replacing(job.path(name)) as temporary:
            OUTPUTS[name][1](result, temporary)
    return [str(job.path(name)) for name in wanted]
