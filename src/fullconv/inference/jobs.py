"""Which images are meant, and where the results of each go."""

import glob
import itertools
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fullconv.data.archive import is_archive
from fullconv.data.images import SUFFIXES, UNREAD
from fullconv.errors import DataError
from fullconv.inference.outputs import OUTPUTS, SUMMARIES
from fullconv.inference.remote import Place, RemotePath, is_remote


@dataclass(frozen=True)
class Job:
    """An image and where its results go.

    Parameters
    ----------
    source
        The image.
    out
        Folder of all results.
    name
        The image's path below its own folder, such as ``sea/b.PNG``; results lie in the same place below ``out``.
    """

    source: Place
    out: Place
    name: Path

    def path(self, output: str) -> Place:
        """Return the path of one of :data:`fullconv.inference.outputs.OUTPUTS`."""
        return self.out / self.name.with_name(self.name.stem + OUTPUTS[output][0])


def find_jobs(inputs: Sequence[str], out: Place, outputs: Collection[str] = ()) -> list[Job]:
    """Return the images that are meant, in alphabetical order within each input.

    Parameters
    ----------
    inputs
        Files, folders (searched through, links to folders too; results mirror their tree) or glob patterns; or URLs of them, see
        :mod:`fullconv.inference.remote`. What cannot be read is among the jobs, so that it is reported and the others go on.
    out
        Folder of the results.
    outputs
        What will be written beside the labels, see :mod:`fullconv.inference.outputs`; no two results may meet.

    Raises
    ------
    DataError
        When an input matches nothing; when two images would get the same result file, or one would be overwritten by a
        result; when the results of a folder would lie among its images, and be taken for some. The files are named.

    Examples
    --------
    >>> find_jobs(["holiday/beach.jpg"], Path("labels"))[0].path("labels")
    PosixPath('labels/beach.png')
    """
    found = [
        Job(path, out, name)
        for item in inputs
        for path, name in (_remote_matches(RemotePath(item), out) if is_remote(item) else _matches(item, out))
    ]
    jobs = list({(job.path("labels"), _real(job.source)): job for job in found}.values())
    sources = {_real(job.source) for job in jobs}
    taken: dict[Place, str] = {out / Path(SUMMARIES[name][0]): "all images" for name in outputs if name in SUMMARIES}
    for job in jobs:
        for result in (job.path(name) for name in results_of_each(outputs)):
            if result in taken:
                raise DataError(
                    f"{taken[result]} and {job.source} would both be written to {result}; predict them into two folders"
                )
            taken[result] = str(job.source)
    for result in taken:
        if _real(result) in sources:
            raise DataError(f"{result} is one of the images and would be overwritten; choose another folder for the results")
    return jobs


def results_of_each(outputs: Collection[str]) -> list[str]:
    """Return the names of what is written for each image: the labels, and those of ``outputs`` that are no summaries."""
    return [name for name in OUTPUTS if name == "labels" or name in outputs]


def _matches(item: str, out: Place) -> Iterator[tuple[Place, Path]]:
    """Yield each image with its path relative to the input's own folder (of a pattern: to the part without wildcards)."""
    path = Path(item)
    if not item or "\0" in item:
        what = "has a NUL in it; a list has one name a line" if item else "is empty; give files, folders or patterns"
        raise DataError(f"an image's name {what}")
    try:
        folder, exists = path.is_dir(), path.exists()
    except OSError:  # such as a name that is too long; reading it will say so
        folder = exists = False
    if folder:
        if _real(path) == _real(out):
            raise DataError(f"{out} is the images' own folder, where results are taken for images; choose another for them")
        found = _within(path, out)
        if not found:
            raise DataError(f"{item}: no images in this folder; looked for {', '.join(sorted(SUFFIXES))}")
        # the folder itself is among them when it cannot be listed
        yield from ((file, Path(_real(path).name) if file == path else file.relative_to(path)) for file in found)
    elif is_archive(path):
        raise DataError(f"{item}: zip archives are not opened here; unpack it and give the folder of its images")
    elif exists or not glob.has_magic(item):
        yield path, Path(path.name)  # a missing file is reported like a broken one, and the others go on
    else:
        fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
        try:
            found = sorted(file for file in fixed.glob(str(path.relative_to(fixed))) if not file.is_dir())
        except ValueError as error:
            raise DataError(f"{item}: {str(error).lower()}, such as images/**/*.jpg") from error
        if not found:
            raise DataError(f"{item}: no file matches this pattern")
        yield from ((file, file.relative_to(fixed)) for file in found)


def _remote_matches(path: RemotePath, out: Place) -> Iterator[tuple[RemotePath, Path]]:
    """Yield each image that a URL means; one that ends as images do is one, also where there is none, which is reported."""
    if "*" in path.url:
        found = path.matching()
        if not found:
            raise DataError(f"{path}: no file matches this pattern")
    elif Path(path.name).suffix.lower() in SUFFIXES:
        found = {str(path): Path(path.name)}
    else:
        if path.url.rstrip("/") == str(out).rstrip("/"):
            raise DataError(f"{out} is the images' own folder, where results are taken for images; choose another for them")
        results = f"{str(out).rstrip('/')}/"
        found = {
            url: name
            for url, name in path.files().items()
            if name.suffix.lower() in SUFFIXES
            and not url.startswith(results)
            and not any(part.startswith(".") for part in name.parts)
        }
        if not found:
            raise DataError(f"{path}: no images in this folder; looked for {', '.join(sorted(SUFFIXES))}")
    yield from ((RemotePath(url), Path(name)) for url, name in found.items())


def _within(folder: Path, out: Place) -> list[Path]:
    """Return a folder's images, without hidden files and without earlier results where ``out`` lies inside it."""
    results = _real(out)
    denied: list[OSError] = []
    found: list[Path] = []
    been: set[Place] = set()  # links may lead in circles, and two to one place
    for here, folders, files in os.walk(folder, onerror=denied.append, followlinks=True):
        been.add(_real(Path(here)))
        folders[:] = [
            name for name in sorted(folders) if not name.startswith(".") and _real(Path(here, name)) not in (results, *been)
        ]
        found += (Path(here, name) for name in files if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."))
    found += (Path(error.filename) for error in denied)  # reading such a folder as an image will say what is wrong
    return sorted(found)


def passed_over(inputs: Sequence[str]) -> dict[str, int]:
    """Return how many files in the folders among ``inputs`` are images of a kind that is not read, by suffix.

    Examples
    --------
    >>> passed_over(["beach.jpg"])
    {}
    """
    folders = [item for item in inputs if item and "\0" not in item and os.path.isdir(item)]  # noqa: PTH112  # any length of name
    walked = (name for folder in folders for _, _, names in os.walk(folder, followlinks=False) for name in names)
    return dict(
        Counter(suffix for name in walked if (suffix := Path(name).suffix.lower()) in UNREAD and not name.startswith("."))
    )


def _real(path: Place) -> Place:
    """Return the path that links lead to; of links in a circle and of a URL, the path itself."""
    if isinstance(path, RemotePath):
        return path
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()
