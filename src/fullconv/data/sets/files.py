"""The files of a published data set: its folder, its lists, and whether every sample of a split is there."""

import contextlib
import csv
import tarfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from fullconv.data.sets.cards import CARDS
from fullconv.errors import DataError, some


def folder_of(name: str, root: Path | None) -> Path:
    """Return the folder that a data set was given.

    Raises
    ------
    DataError
        When it was given none, or it does not exist.
    """
    if root is None or not root.is_dir():
        card = CARDS.get(name)
        where = f"; get it from {card.source} ({card.size}), `fullconv data sets {name}` shows how it must look" if card else ""
        raise DataError(f"{name} needs its folder (train: --data.root DIR, evaluate: --root DIR); got {root}{where}")
    return root


def packaged_list(name: str) -> list[str]:
    """Return the ids of a list that comes with fullconv, such as ``siftflow-test``."""
    return (resources.files("fullconv.data.sets") / "lists" / f"{name}.txt").read_text(encoding="utf-8").split()


def packaged_rows(name: str) -> list[list[str]]:
    """Return the rows of a table that comes with fullconv, such as ``ade20k-classes``."""
    text = (resources.files("fullconv.data.sets") / "lists" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))


def check_files(name: str, root: Path, patterns: Sequence[str], ids: Sequence[str], advice: str = "complete the copy") -> None:
    """Look whether every sample of a split has its files, before hours of training find out.

    Parameters
    ----------
    name
        The data set and split, which opens the message.
    root
        Folder that the patterns start from.
    patterns
        Such as ``JPEGImages/ID.jpg``, where ``ID`` is put for; one file of each is expected for each id.
    ids
        Of the split.
    advice
        What to do, which ends the message.

    Raises
    ------
    DataError
        When ids have no file, with counts and names for each pattern.
    """
    # one listing a folder: asking for each of some thousand files is slow on network disks
    lacking = {pattern: _lacking(root / pattern, ids) for pattern in patterns}
    faults = [f"{len(missing)} of {len(ids)} {pattern} ({some(missing)})" for pattern, missing in lacking.items() if missing]
    if faults:
        raise DataError(f"{name}: files are missing in {root}: {'; '.join(faults)}; {advice}")


def _lacking(pattern: Path, ids: Sequence[str]) -> list[str]:
    present = {entry.name for entry in pattern.parent.iterdir()} if pattern.parent.is_dir() else set()
    return [name for name in ids if f"{name}{pattern.suffix}" not in present]


@contextlib.contextmanager
def fetching(name: str, root: Path) -> Iterator[None]:
    """Turn what goes wrong while torchvision fetches a data set into a :class:`DataError`."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, tarfile.TarError) as error:
        raise DataError(f"torchvision could not fetch {name} to {root}: {error}; check network and disk") from error
