"""Pairs of an image and its mask, and the list that may say which they are."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fullconv.data.drawn_mask import DrawnMask
from fullconv.errors import DataError

COLUMNS = ("image", "mask", "split")
DEPTH_COLUMN = "depth"
"""A further column of lists whose images have depth."""


@dataclass(frozen=True)
class Pair:
    """An image, its mask, and its depth map where one is known; ``name`` is what reports call them."""

    name: str
    image: Path
    mask: Path | DrawnMask
    depth: Path | None = None


def listed_pairs(path: Path, split: str) -> list[Pair]:
    """Return the pairs of a split, sorted by name, from a CSV file with the columns image, mask and split, depth if there is any.

    Paths are relative to the file.

    Raises
    ------
    DataError
        When the list cannot be read, lacks a column or a cell, or has no line of the split.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column {', '.join(missing)}; the first line must be {','.join(COLUMNS)}")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a list of pairs ({error})") from error
    chosen = [row for row in rows if row["split"] == split]
    if not chosen:
        there = ", ".join(sorted({row["split"] or "" for row in rows}))
        raise DataError(f"{path}: no line has the split {split!r}; there are {there or 'no lines'}")
    empty = [column for row in chosen for column in ("image", "mask") if not (row[column] or "").strip()]
    if empty:
        raise DataError(
            f"{path}: {len(empty)} cells of the split {split!r} are empty, the first in the column {empty[0]}; fill them"
        )
    return sorted((_pair(path.parent, row) for row in chosen), key=lambda pair: pair.name)


def _pair(root: Path, row: Mapping[str, str]) -> Pair:
    depth = (row.get(DEPTH_COLUMN) or "").strip()
    name = PurePosixPath(row["image"]).with_suffix("").as_posix()
    return Pair(name, root / row["image"], root / row["mask"], root / depth if depth else None)
