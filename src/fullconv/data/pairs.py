"""Pairs of an image and its mask, and the list that may say which they are.

A list is a CSV file as spreadsheets and scripts write them. What is understood: commas, semicolons, tabs or bars between the
cells, spaces around them, quotes, upper case in the header, UTF-8 with or without a mark in front and UTF-16 with one, line
ends of any system, backslashes in paths, empty lines. ``Train`` and ``"train "`` are ``train``. What cannot be decided
is refused.
"""

import csv
import io
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fullconv.data.drawn_mask import DrawnMask
from fullconv.data.rasters.windows import MapWindow, WindowMask
from fullconv.data.text import listed_path, plain_split, read_text
from fullconv.errors import DataError

COLUMNS = ("image", "mask", "split")
DEPTH_COLUMN = "depth"
"""A further column of lists whose images have depth."""
GROUP_COLUMN = "group"
"""A further column of lists whose splits are drawn: images of one group fall to one side."""
NAME_COLUMN = "name"
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Pair:
    """An image, its mask, and its depth map where one is known; ``name`` is what reports call them.

    ``group`` is what a list says that the image belongs to.
    """

    name: str
    image: Path | MapWindow
    mask: Path | DrawnMask | WindowMask
    depth: Path | None = None
    group: str = ""


@dataclass(frozen=True)
class PairList:
    """The pairs of a list, sorted by name, and the split of each; no splits where the list leaves them to be drawn."""

    pairs: tuple[Pair, ...]
    splits: tuple[str, ...]


def of_split(path: Path, found: PairList, split: str) -> list[Pair]:
    """Return the pairs of a split of a list, whose case and outer spaces do not matter.

    Raises
    ------
    DataError
        When there is none.
    """
    chosen = [pair for pair, its in zip(found.pairs, found.splits, strict=True) if its == plain_split(split)]
    if not chosen:
        raise DataError(
            f"{path}: no line has the split {split!r}; there are {', '.join(sorted(set(found.splits))) or 'no lines'}"
        )
    return chosen


def read_list(path: Path) -> PairList:
    """Return the pairs of a CSV file with the columns image and mask, and split, depth and group if there are any.

    Paths are relative to the file, or absolute. Whether files exist is not looked at.

    Raises
    ------
    DataError
        When the list cannot be read, lacks a column or a cell, names an image twice, or has splits for some lines only.
    """
    rows = list(_rows(path, ("image", "mask")))
    for line, row in rows:
        for column in ("image", "mask"):
            if not row[column]:
                raise DataError(f"{path}, line {line}: the cell of the column {column} is empty; fill it or take the line out")
    _refuse_twice(path, rows)
    splits = [plain_split(row.get("split", "")) for _, row in rows]
    if any(splits) and not all(splits):
        line = rows[splits.index("")][0]
        raise DataError(
            f"{path}, line {line}: the split is empty, as in {splits.count('')} of {len(splits)} lines; fill them, or leave the "
            "whole column out to have the splits drawn"
        )
    names = _names([row["image"] for _, row in rows])
    pairs = [_pair(path.parent, name, row) for name, (_, row) in zip(names, rows, strict=True)]
    order = sorted(range(len(pairs)), key=lambda place: pairs[place].name)
    return PairList(tuple(pairs[place] for place in order), tuple(splits[place] for place in order) if any(splits) else ())


def columns_of(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file in lower case; none where it has no line.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    text = read_text(path).lstrip("\r\n")
    first = text.splitlines()[:1]
    return [cell.strip().lower() for cell in next(csv.reader(first, delimiter=_separator(first), skipinitialspace=True), [])]


def read_splits(path: Path) -> dict[str, str]:
    """Return the splits of images by name, from a CSV file with the columns name and split.

    Raises
    ------
    DataError
        When it cannot be read, a cell is empty, or a name stands in two splits.
    """
    found: dict[str, str] = {}
    for line, row in _rows(path, (NAME_COLUMN, "split")):
        name, split = row[NAME_COLUMN], plain_split(row["split"])
        if not name or not split:
            raise DataError(f"{path}, line {line}: the name or its split is empty; fill it or take the line out")
        if found.setdefault(name, split) != split:
            raise DataError(f"{path}, line {line}: {name} is in {found[name]} and in {split}; keep one")
    return found


def refuse_missing(path: Path, pairs: Sequence[Pair]) -> None:
    """Stop with a DataError that names files of a list that are not there."""
    missing = [file for pair in pairs for file in (pair.image, pair.mask) if not file.is_file()]
    if missing:
        shown = ", ".join(map(str, missing[:3])) + (", …" if len(missing) > 3 else "")
        raise DataError(
            f"{path}: {len(missing)} of the files that it names are not there: {shown}; paths are relative to the list"
        )


def _rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, cells by column) of a CSV file with a header, without empty lines; cells are stripped."""
    text = read_text(path)
    separator = _separator(text.lstrip("\r\n").splitlines()[:1])
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        columns: list[str] = []
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if not any(row):
                continue
            if not columns:
                columns = [cell.lower() for cell in row]
                _check_header(path, columns, needed)
                continue
            if any("\n" in cell for cell in row):
                raise DataError(f"{path}: a quote that is opened before line {reader.line_num} is not closed; mend it")
            if any(row[len(columns) :]):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} cells, but the header has {len(columns)}; put a cell that holds "
                    f"{separator!r} into quotes"
                )
            yield reader.line_num, dict(zip(columns, [*row, *[""] * len(columns)], strict=False))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: cannot be read as CSV ({error}); mend the quotes") from error
    if not columns:
        raise DataError(f"{path}: the list is empty; the first line must be {','.join(needed)}")


def _separator(header: Sequence[str]) -> str:
    return max(DELIMITERS, key=header[0].count) if header else ","


def _check_header(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    missing = [column for column in needed if column not in columns]
    twice = [column for column, count in Counter(columns).items() if count > 1 and column]
    if missing:
        all_of = [*needed, *([] if "split" in needed else ["split"])]
        raise DataError(
            f"{path}: no column {', '.join(missing)}; there are {', '.join(columns)}; the first line must be {','.join(all_of)}"
        )
    if twice:
        raise DataError(f"{path}: the column {twice[0]} stands twice in the first line; keep one")


def _refuse_twice(path: Path, rows: Sequence[tuple[int, dict[str, str]]]) -> None:
    first: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in rows:
        whole = posixpath.join(path.parent.absolute().as_posix(), _posix(row["image"]))
        before, known = first.setdefault(posixpath.normpath(whole), (line, row))
        if before != line:
            same = _posix(known["mask"]) == _posix(row["mask"])
            masks = "" if same else f", with the masks {known['mask']} and {row['mask']}"
            raise DataError(f"{path}: the image {row['image']} stands in lines {before} and {line}{masks}; keep one of them")


def _posix(cell: str) -> str:
    """Return a path with the slashes of all systems, and without ``./`` and ``a/../``."""
    return posixpath.normpath(cell.replace("\\", "/"))


def _names(images: Sequence[str]) -> list[str]:
    """Return what images are called: their paths without suffix, with it where two would have one name."""
    whole = [_posix(image) for image in images]
    short = [image.removesuffix(PurePosixPath(image).suffix) for image in whole]
    often = Counter(short)
    return [name if often[name] == 1 else path for name, path in zip(short, whole, strict=True)]


def _pair(root: Path, name: str, row: dict[str, str]) -> Pair:
    depth = row.get(DEPTH_COLUMN)
    image, mask = (listed_path(root, row[column]) for column in ("image", "mask"))
    return Pair(name, image, mask, listed_path(root, depth) if depth else None, row.get(GROUP_COLUMN, ""))
