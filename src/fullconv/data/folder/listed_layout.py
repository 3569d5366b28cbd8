"""Folders whose pairs stand in a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from fullconv.data.folder.splits import SPLITS
from fullconv.data.text import read_text
from fullconv.errors import DataError
from fullconv.spec import FolderSpec

TRAIN, VAL, TEST = ("train", "training", "trainval"), ("val", "valid", "validation", "dev"), ("test", "testing")
"""What splits are called, the commonest first."""


def listed_layout(root: Path) -> tuple[FolderSpec, str, str] | None:
    """Return folder and splits of a folder with a table of pairs: ``pairs.csv``, else the only one with such columns."""
    named = root / "pairs.csv"
    tables = [named] if named.is_file() else sorted(root.glob("*.csv"))
    fit = [(path, columns) for path in tables if {"image", "mask"} <= {*(columns := _columns(path))}]
    if named.is_file() and not fit:
        raise DataError(f"{named}: the first line must name the columns image, mask and split; it is {','.join(_columns(named))}")
    if len(fit) != 1:
        return None  # several tables: none says that it is the one
    path = fit[0][0]
    train, val = split_names(_splits(path)) or (SPLITS[0], SPLITS[1])
    return FolderSpec(pairs=Path(path.name)), train, val


def split_names(there: Sequence[str]) -> tuple[str, str] | None:
    """Return what the training and the validation split are called among names; ``None`` where none is called as training.

    Examples
    --------
    >>> split_names(["test", "Train", "valid"]), split_names(["trainval", "test"]), split_names(["train"]), split_names(["a"])
    (('Train', 'valid'), ('trainval', 'test'), ('train', 'train'), None)
    """
    known = {name.strip().casefold(): name for name in sorted(there, reverse=True)}
    first = next((known[name] for name in TRAIN if name in known), None)
    if first is None:
        return None
    return first, next((known[name] for name in (*VAL, *TEST) if name in known), first)


def _rows(path: Path) -> list[list[str]]:
    text = read_text(path)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=separator)]


def _columns(path: Path) -> list[str]:
    return next((row for row in _rows(path) if any(row)), [])


def _splits(path: Path) -> list[str]:
    columns, *rows = [row for row in _rows(path) if any(row)]
    at = columns.index("split") if "split" in columns else None
    return list(dict.fromkeys(row[at] for row in rows if at is not None and len(row) > at and row[at]))
