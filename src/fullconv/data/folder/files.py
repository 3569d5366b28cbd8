"""The files of a folder by the names that pair them.

Links to folders are followed, but never into a folder that lies above them, within the data set or above that. What systems and
tools leave behind is passed over: hidden files (so ``._a.jpg`` of a Mac, ``.ipynb_checkpoints``), ``__MACOSX``, ``@eaDir``,
``$RECYCLE.BIN``.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from fullconv.data.folder.names import key_of
from fullconv.data.text import same_split
from fullconv.errors import DataError

LEFT_BEHIND = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})


def is_left_behind(name: str) -> bool:
    """Return whether a file or folder is hidden, or what a system or a tool leaves behind.

    Examples
    --------
    >>> [is_left_behind(name) for name in ("._a.jpg", "__MACOSX", "a.jpg")]
    [True, True, False]
    """
    return name.startswith(".") or name in LEFT_BEHIND


def files_below(base: Path) -> Iterator[str]:
    """Yield every file below a folder, sorted, as its path below it with slashes; links to folders are followed.

    A link that leads nowhere is yielded as the file that it should be.

    Raises
    ------
    DataError
        When a folder cannot be read.
    """
    yield from _below(str(base), "", tuple(_ids(Path(os.path.realpath(base)))))


def _below(folder: str, before: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    # texts, as a Path for each of 100 000 files takes longer than all else here
    try:
        own = os.stat(folder)  # noqa: PTH116  # a text
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{Path(folder)}: cannot be looked into ({error.strerror or error}); change its rights or leave it out"
        ) from error
    for entry in entries:
        if is_left_behind(entry.name):
            continue
        if entry.is_dir():
            inside = (*above, (own.st_dev, own.st_ino))
            if not entry.is_symlink() or not _leads_above(entry, inside):
                yield from _below(entry.path, f"{before}{entry.name}/", inside)
        elif entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):  # noqa: PTH110  # an entry's path
            yield before + entry.name


def _leads_above(entry: os.DirEntry[str], above: tuple[tuple[int, int], ...]) -> bool:
    there = entry.stat()
    return (there.st_dev, there.st_ino) in above


def _ids(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield what tells the folders above one from others."""
    for parent in folder.parents:
        with contextlib.suppress(OSError):  # told of where the folder itself is looked into
            found = parent.stat()
            yield found.st_dev, found.st_ino


def files_by_key(root: Path, folder: str, split: str, suffixes: Iterable[str], pattern: str = "{stem}") -> dict[str, Path]:
    """Return the files below a folder by what their names share with those of their partners, such as ``street/0012``.

    Parameters
    ----------
    root, folder
        Where; ``{split}`` in ``folder`` and ``pattern`` is ``split``, however a folder writes it: ``Train`` for ``train``.
    split, suffixes
        Which files.
    pattern
        How they are called, see :func:`~fullconv.data.folder.names.key_of`.

    Raises
    ------
    DataError
        When two files have one key, two folders could be meant, or one cannot be read.
    """
    found: dict[str, Path] = {}
    for key, _, path in named_files(root, folder, split, suffixes, pattern):
        if key in found:
            raise DataError(
                f"{found[key]} and {path} would both be {key!r}; keep one of them, or name a suffix in data.folder.pattern"
            )
        found[key] = path
    return found


def named_files(root: Path, folder: str, split: str, suffixes: Iterable[str], pattern: str) -> Iterator[tuple[str, str, Path]]:
    """Yield key, class and path of the files below a folder whose names fit a pattern; see :func:`files_by_key`."""
    base, known = split_folder(root, folder, split), frozenset(suffixes)
    if not base.is_dir():
        return
    text = pattern.replace("{split}", _written(base, folder, split))
    for relative in files_below(base):
        found = key_of(relative, text, known)
        if found is not None:
            yield *found, base / relative


def split_folder(root: Path, folder: str, split: str) -> Path:
    """Return the folder of a split; upper and lower case and spaces around a name make no other split.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "Train" / "images").mkdir(parents=True)
    >>> split_folder(root, "{split}/images", "train").relative_to(root).as_posix()
    'Train/images'

    Raises
    ------
    DataError
        When several folders could be meant.
    """
    exact = root / folder.replace("{split}", split)
    if "{split}" not in folder or exact.is_dir():
        return exact
    place = root
    for part in PurePosixPath(folder).parts:
        wanted = part.replace("{split}", split)
        place = place / wanted if "{split}" not in part or (place / wanted).is_dir() else _alike(place, wanted)
    return place


def _alike(parent: Path, wanted: str) -> Path:
    names = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
    found = sorted(name for name in names if same_split(name, wanted))
    if len(found) > 1:
        raise DataError(f"{parent}: {' and '.join(map(repr, found))} could both be {wanted!r}; rename one of them")
    return parent / (found[0] if found else wanted)


def _written(base: Path, folder: str, split: str) -> str:
    """Return the split as the folder that was found writes it."""
    part = next((part for part in reversed(PurePosixPath(folder).parts) if "{split}" in part), "")
    there = next((name for name in reversed(base.parts) if part and same_split(name, part.replace("{split}", split))), "")
    before, _, after = part.partition("{split}")
    return there[len(before) : len(there) - len(after)] if there else split
