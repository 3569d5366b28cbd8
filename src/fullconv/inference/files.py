"""Many pictures in, many label maps out: which files are meant, where results go, and what became of each."""

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fullconv.errors import DataError, FullconvError
from fullconv.files import replacing
from fullconv.inference.pictures import SUFFIXES, read_picture
from fullconv.inference.predictor import Predictor
from fullconv.pictures import shares


@dataclass(frozen=True)
class Job:
    """A picture and the path, without suffix, that its results get."""

    source: Path
    target: Path


@dataclass
class Outcome:
    """What became of all pictures: per-class shares (0 to 1) of those that were predicted, and why others were not."""

    predicted: dict[str, dict[str, float]] = field(default_factory=dict)
    written: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def find_jobs(inputs: Sequence[str], out: Path) -> list[Job]:
    """Return the pictures that are meant, in alphabetical order within each input.

    Parameters
    ----------
    inputs
        Files, folders (searched through, results mirror their tree) or glob patterns.
    out
        Folder of the results.

    Raises
    ------
    DataError
        When an input matches nothing, or two pictures would get the same result file; both are named.
    """
    jobs = [Job(path, out / relative.with_suffix("")) for item in inputs for path, relative in _matches(item)]
    taken: dict[Path, Path] = {}
    for job in jobs:
        if taken.setdefault(job.target, job.source) != job.source:
            raise DataError(
                f"{taken[job.target]} and {job.source} would both be written to {job.target}.png; predict them into two folders"
            )
    return list({job.target: job for job in jobs}.values())


def _matches(item: str) -> Iterator[tuple[Path, Path]]:
    """Yield each picture with its path relative to the input's own folder."""
    path = Path(item)
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()]
        if not found:
            raise DataError(f"{item}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}")
        yield from ((file, file.relative_to(path)) for file in found)
    elif path.exists() or not glob.has_magic(item):
        yield path, Path(path.name)  # a missing file is reported like a broken one, and the others go on
    else:
        found = [path for path in sorted(_expand(path)) if path.is_file()]
        if not found:
            raise DataError(f"{item}: no file matches this pattern")
        yield from ((file, Path(file.name)) for file in found)


def _expand(pattern: Path) -> Iterator[Path]:
    return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))


def predict_files(
    predictor: Predictor,
    jobs: Sequence[Job],
    *,
    overlay: bool = False,
    scores: bool = False,
    head: str | None = None,
    progress: Callable[[int, int, str | None], None] = lambda done, of, problem: None,
) -> Outcome:
    """Predict every picture and write the results; a broken picture is noted and the others go on.

    Parameters
    ----------
    predictor, jobs
        The model, and what :func:`find_jobs` found.
    overlay
        Also write ``NAME-overlay.png``.
    scores
        Also write ``NAME-scores.npy``: float16 (K, H, W), probabilities 0 to 1.
    head
        Which output of the model.
    progress
        Called after each picture with (done, of, what was wrong).

    Raises
    ------
    FullconvError
        When a result cannot be written, as further ones could not either.
    """
    outcome = Outcome()
    for done, job in enumerate(jobs, start=1):
        problem = None
        try:
            image = read_picture(job.source)
        except DataError as error:
            problem = str(error)
            outcome.failed[str(job.source)] = problem
        else:
            found = predictor.predict(image, head, scores=scores)
            written = [job.target.with_name(f"{job.target.name}.png")]
            _refuse_source(written[0], job)
            found.save(written[0])
            if overlay:
                written.append(job.target.with_name(f"{job.target.name}-overlay.png"))
                with replacing(written[-1]) as temporary:
                    found.overlay(image).save(temporary, format="PNG")
            if found.scores is not None:
                written.append(job.target.with_name(f"{job.target.name}-scores.npy"))
                with replacing(written[-1]) as temporary:
                    np.save(temporary, found.scores.astype(np.float16))
            outcome.predicted[str(job.source)] = shares(found.labels, found.label_set)
            outcome.written[str(job.source)] = [str(path) for path in written]
        progress(done, len(jobs), problem)
    return outcome


def _refuse_source(target: Path, job: Job) -> None:
    if target.exists() and target.samefile(job.source):
        raise FullconvError(f"{target} is the picture itself; choose another --out, so that it is not overwritten")
