"""Many pictures in, many label maps out: which files are meant, where results go, and what became of each."""

import glob
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.data.pictures import SUFFIXES, read_picture
from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.inference.predictor import Predictor, Segmentation
from fullconv.pictures import shares


@dataclass(frozen=True)
class Job:
    """A picture and the path, without suffix, that its results get."""

    source: Path
    target: Path

    @property
    def results(self) -> tuple[Path, Path, Path]:
        """Paths of the label map, the overlay and the scores."""
        name = self.target.name
        return tuple(self.target.with_name(name + end) for end in (".png", "-overlay.png", "-scores.npy"))  # type: ignore[return-value]


@dataclass
class Outcome:
    """What became of all pictures: per-class shares (0 to 1) of those that were predicted, and why others were not."""

    predicted: dict[str, dict[str, float]] = field(default_factory=dict)
    written: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def find_jobs(inputs: Sequence[str], out: Path, *, overlay: bool = False) -> list[Job]:
    """Return the pictures that are meant, in alphabetical order within each input.

    Parameters
    ----------
    inputs
        Files, folders (searched through, results mirror their tree) or glob patterns.
    out
        Folder of the results.
    overlay
        Overlays will be written too; they must not meet other files either.

    Raises
    ------
    DataError
        When an input matches nothing; when two pictures would get the same result file, or one would be overwritten by a
        result. The files are named.

    Examples
    --------
    >>> find_jobs(["holiday/beach.jpg"], Path("labels"))
    [Job(source=PosixPath('holiday/beach.jpg'), target=PosixPath('labels/beach'))]
    """
    found = [Job(path, out / relative.with_suffix("")) for item in inputs for path, relative in _matches(item, out)]
    jobs = list({(job.target, _real(job.source)): job for job in found}.values())
    sources = {_real(job.source) for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        for result in job.results[: 1 + overlay]:  # scores are no pictures and cannot meet any
            if result in taken:
                raise DataError(
                    f"{taken[result]} and {job.source} would both be written to {result}; predict them into two folders"
                )
            if _real(result) in sources:
                raise DataError(
                    f"{result} is one of the pictures and would be overwritten; choose another folder for the results"
                )
            taken[result] = job.source
    return jobs


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
    files = (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file())
    results, searched = _real(out), _real(folder)
    nested = results.is_relative_to(searched) and results != searched
    own = [file for file in files if not (nested and _real(file).is_relative_to(results))]
    return [file for file in own if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def _real(path: Path) -> Path:
    """Return the path that links lead to; of links in a circle, the path itself."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


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
            found = predictor.predict(image, head, scores=scores)
        except DataError as error:
            problem = str(error) if str(job.source) in str(error) else f"{job.source}: {error}"
            outcome.failed[str(job.source)] = problem
        else:
            written = _write(job, found, found.overlay(image) if overlay else None)
            outcome.predicted[str(job.source)] = shares(found.labels, found.label_set)
            outcome.written[str(job.source)] = [str(path) for path in written]
        progress(done, len(jobs), problem)
    return outcome


def _write(job: Job, found: Segmentation, drawn: Image.Image | None) -> list[Path]:
    labels, overlay, scores = job.results
    found.save(labels)
    written = [labels]
    if drawn is not None:
        with replacing(overlay) as temporary:
            drawn.save(temporary, format="PNG")
        written.append(overlay)
    if found.scores is not None:
        with replacing(scores) as temporary:
            np.save(temporary, found.scores.astype(np.float16))
        written.append(scores)
    return written
