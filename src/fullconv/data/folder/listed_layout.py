"""Folders whose pairs stand in a table."""

from collections.abc import Sequence
from pathlib import Path

from fullconv.data.folder.splits import SPLITS
from fullconv.data.pairs import columns_of, read_list
from fullconv.errors import DataError
from fullconv.spec import FolderSpec

TRAIN, VAL, TEST = ("train", "training", "trainval"), ("val", "valid", "validation", "dev"), ("test", "testing")
"""What splits are called, the commonest first."""


def listed_layout(root: Path) -> tuple[FolderSpec, str, str] | None:
    """Return folder and splits of a folder with a table of pairs: ``pairs.csv``, else the only one with such columns.

    Raises
    ------
    DataError
        When that table cannot be read, see :func:`fullconv.data.pairs.read_list`.
    """
    named = root / "pairs.csv"
    fit = [named] if named.is_file() else [path for path in sorted(root.glob("*.csv")) if _lists_pairs(path)]
    if len(fit) != 1:
        return None  # several tables: none says that it is the one
    train, val = split_names(read_list(fit[0]).splits) or (SPLITS[0], SPLITS[1])
    return FolderSpec(pairs=Path(fit[0].name)), train, val


def _lists_pairs(path: Path) -> bool:
    try:
        return {"image", "mask"} <= {*columns_of(path)}
    except DataError:  # a table of something else
        return False


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
