"""Lists of class names that lie beside masks, and which name belongs to which value; never a guess where two readings fit.

A list may state the values (``0: road``, Roboflow's ``_classes.csv``), the colours (CVAT's ``labelmap.txt``, ``class_dict.csv``
and ``label_colors.txt`` of CamVid's family), or nothing but names. Names alone count from 0, from 1 (0 is then what is left
over), or follow the values by rank; how many names and which values there are decides, or a person does.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fullconv.data.text import read_text
from fullconv.errors import DataError
from fullconv.labelmap import show_codes
from fullconv.labels import is_background

LISTS = (
    *("_classes.csv", "classes.csv", "class_dict.csv", "labelmap.txt", "label_colors.txt", "classes.txt", "labels.txt"),
    *("names.txt", "class_names.txt", "obj.names"),
)
"""What lists are called; the first that is there is read, in the folder itself before those in it."""
IGNORED = "__ignore__"
"""LabelMe's name of pixels that nobody labelled: it stands first and has the value -1."""
VOID = frozenset({IGNORED, "void", "ignore", "ignored", "nodata", "no data", "dontcare", "don't care"})
MOST_NAMES = 1000
COLUMN = {
    **dict.fromkeys(("id", "value", "index", "label", "label_id", "class_id", "trainid", "pixel value"), "value"),
    **dict.fromkeys(("name", "class", "class_name", "label_name", "classname"), "name"),
    **{"r": "red", "g": "green", "b": "blue"},
}
"""What columns of tables are called."""

Color = tuple[int, int, int]


@dataclass(frozen=True)
class NameList:
    """A list of class names: all ``names`` in order, and the value or colour of each where the list states it."""

    path: Path
    names: tuple[str, ...]
    values: dict[int, str] = field(default_factory=dict)
    colors: dict[Color, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """The name of each value, and in words why it is that one."""

    names: dict[int, str]
    why: str


def find_names(root: Path) -> NameList | None:
    """Return the list of names in a folder, or in a folder of it; ``None`` where there is none of :data:`LISTS`.

    Raises
    ------
    DataError
        As :func:`read_names`.
    """
    found = {name: root / name for name in reversed(LISTS) if (root / name).is_file()}
    for folder in sorted(root.glob("*/")) if not found else []:
        # not glob("*/*"), which would list and sort every image
        for path in (path for name in LISTS for path in folder.glob(name) if path.is_file()):
            found.setdefault(path.name, path)
    first = next((found[name] for name in LISTS if name in found), None)
    return None if first is None else read_names(first)


def read_names(path: Path) -> NameList:
    """Return a list of class names as tools and people write them.

    One name a line, with a value in front (``0: road``, ``0 road``) or behind (``road: 0``) or neither; CVAT's
    ``road:128,64,0::``; tables such as ``name,r,g,b``, ``r g b name``, ``Pixel Value, Class``; tables whose head names a column
    ``id``, ``value``, ``index`` or ``label`` and red, green and blue have both values and colours. Empty lines, lines of ``#``,
    what stands behind ``#`` with spaces around it, and a table's head are passed over.

    Raises
    ------
    DataError
        When it cannot be read, holds no name, a colour that is none, or two names for one value.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    lines = [re.sub(r"\s+#(?:\s.*|$)", "", line) for line in lines if line and not line.startswith(("#", "//"))]
    if not 0 < len(lines) <= MOST_NAMES:
        raise DataError(f"{path}: {len(lines)} lines; a list of class names has one a line, 1 to {MOST_NAMES}")
    for reader in (_cvat, _headed, _colored, _numbered):
        found = reader(path, lines)
        if found is not None:
            return found
    return NameList(path, tuple(line.strip("\"'") for line in lines))


def _cvat(path: Path, lines: Sequence[str]) -> NameList | None:
    rows = [line.split(":") for line in lines]
    if not all(len(row) >= 2 and row[1].count(",") == 2 for row in rows):
        return None
    colors: dict[Color, str] = {}
    for name, color, *_ in rows:
        try:
            red, green, blue = (int(part) for part in color.split(","))
        except ValueError as error:
            raise DataError(f"{path}: the color of {name} is {color!r}; write it as three numbers, such as 128,64,0") from error
        colors[red, green, blue] = name.strip()
    return NameList(path, tuple(row[0].strip() for row in rows), colors=colors)


def _headed(path: Path, lines: Sequence[str]) -> NameList | None:
    """Read a table with columns of values and colours, as its head says."""
    separator = max(",;\t", key=lines[0].count)
    if not lines[0].count(separator):
        return None
    head, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    columns = {COLUMN.get(cell.lower(), cell.lower()): place for place, cell in enumerate(head)}
    if not {"value", "name", "red", "green", "blue"} <= columns.keys():
        return None
    values: dict[int, str] = {}
    colors: dict[Color, str] = {}
    for number, row in enumerate(rows, start=2):
        try:
            value, red, green, blue = (int(row[columns[column]]) for column in ("value", "red", "green", "blue"))
            name = row[columns["name"]]
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{path}, row {number}: {separator.join(row)!r} does not fit its head {separator.join(head)!r}: the value and "
                "the color are whole numbers"
            ) from error
        if value in values:
            raise DataError(f"{path}: two names for one value; give every value one name")
        values[value] = colors[red, green, blue] = name
    ordered = dict(sorted(values.items()))
    return NameList(path, tuple(ordered.values()), ordered, colors)


def _colored(path: Path, lines: Sequence[str]) -> NameList | None:
    """Read rows of a name and three numbers, in front or behind."""
    rows = [_cells(line) for line in lines]
    colors: dict[Color, str] = {}
    names = []
    for number, row in enumerate(rows):
        behind, front = (
            re.fullmatch(r"(.+?)((?: \d{1,3}){3})", " ".join(row)),
            re.fullmatch(r"((?:\d{1,3} ){3})(.+)", " ".join(row)),
        )
        match = (behind[1], behind[2]) if behind else (front[2], front[1]) if front else None
        if match is None:
            if number == 0 and len(rows) > 1 and not any(cell.isdigit() for cell in row):
                continue  # the head
            return None
        red, green, blue = (int(part) for part in match[1].split())
        if max(red, green, blue) > 255:
            return None
        names.append(match[0].strip())
        colors[red, green, blue] = match[0].strip()
    return NameList(path, tuple(names), colors=colors)


def _cells(line: str) -> list[str]:
    if "\t" in line or "," in line or ";" in line:
        return [cell.strip() for cell in re.split(r"[,;\t]+", line) if cell.strip() for cell in [*_split_numbers(cell)]]
    return line.split()


def _split_numbers(cell: str) -> list[str]:
    return cell.split() if re.fullmatch(r"\d+(?:\s+\d+)*", cell.strip()) else [cell.strip()]


def _numbered(path: Path, lines: Sequence[str]) -> NameList | None:
    """Read rows of a value and a name, or of a name and a value behind a comma, colon or the like."""
    if path.suffix == ".csv":
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
        lines = [":".join(row[:2]) for row in rows if len(row) >= 2]
    for pattern, value, name in ((r"(-?\d+)\s*[:;,=.)\s]\s*(.*\S)", 1, 2), (r"(.*\S)\s*[:;,=\t]\s*(-?\d+)", 2, 1)):
        found = [re.fullmatch(pattern, line) for line in lines]
        if len(found) > 1 and found[0] is None:
            found = found[1:]  # the head
        stated = [(int(match[value]), match[name].strip("\"' ")) for match in found if match]
        if stated and len(stated) == len(found):
            values = dict(stated)
            if len(values) < len(stated):
                raise DataError(f"{path}: two names for one value; give every value one name")
            return NameList(path, tuple(values.values()), values)
    return None


def fit_names(listed: NameList, values: Sequence[int], top: int | None, start: int | None) -> Fit:
    """Return which name each value has.

    Parameters
    ----------
    listed
        The list.
    values
        What the masks store, ascending, without ``top`` and without negative values.
    top
        255 or 65535 where masks store it, which may be the last class or without ground truth.
    start
        The value of the first name, where a person said it.

    Raises
    ------
    DataError
        When no reading fits, or two do: both are told, and what to write.
    """
    names, file = listed.names, listed.path.name
    if listed.values and start is not None:
        shift = start - next(iter(listed.values))
        moved = {value + shift: name for value, name in listed.values.items()}
        return Fit(moved, f"{file} states the values, and the first is {start}")
    if listed.values:
        _refuse_shifted(listed, values)
        return Fit(listed.values, f"{file} states the values")
    if start is None and names[0].lower() == IGNORED:
        start = -1
    count = len(names)
    if start is not None:
        return Fit(_from(names, start), f"the first name of {file} has the value {start}")
    counted = f"{file} has {count} names, the masks have the values {show_codes([*values, *([top] if top is not None else [])])}"
    last = values[-1] if values else 0
    if top is not None and count == len(values) + 1:
        if last >= count - 1 or values == [0]:
            return Fit(dict(zip([*values, top], names, strict=True)), f"{counted}: one for each")
        raise DataError(
            f"{listed.path}: {counted}: {top} may be {names[-1]} or without ground truth; {_advice(listed, values, top)}"
        )
    return _counted_fit(listed, values, counted, top)


def _refuse_shifted(listed: NameList, values: Sequence[int]) -> None:
    """Stop where the values that a list states may be those of the masks but for a shift."""
    unnamed = [value for value in values if value not in listed.values]
    absent = [value for value in listed.values if value not in values]
    behind = any(is_background(name) and value != 0 for value, name in listed.values.items()) and 0 in unnamed
    if unnamed and (behind or (absent and len(listed.values) == len(values))):
        first = next(iter(listed.values))
        raise DataError(
            f"{listed.path}: it states the values {show_codes(list(listed.values))}, the masks have {show_codes(values)}, so "
            f"{show_codes(unnamed)} has no name; are they shifted? Say what {listed.values[first]} is: --names-start {values[0]} "
            f"moves them, --names-start {first} keeps them; or --names none"
        )


def _counted_fit(listed: NameList, values: Sequence[int], counted: str, top: int | None) -> Fit:
    """Return the one reading of names and values that fits."""
    names, count, last = listed.names, len(listed.names), values[-1] if values else 0
    leftover_first = is_background(names[0]) or names[0].lower() in VOID | {"unlabeled", "unlabelled", "other"}
    if 0 in values and last == count - 1:
        return Fit(_from(names, 0), f"{counted}: they count from 0")
    if last == count and not leftover_first:
        rest = "0 has no name" if 0 in values else "0 is not drawn"
        return Fit(_from(names, 1), f"{counted}: they count from 1, and {rest}")
    if leftover_first and last < count:
        return Fit(_from(names, 0), f"{counted}, and the first name is that of 0: they count from 0")
    if count == len(values) and last >= count:
        return Fit(dict(zip(values, names, strict=True)), f"{counted}: one for each, in ascending order")
    if last < count:
        at = next((value for value in values if value > 0), 0)
        both = f"value {at} is {names[at]} if they count from 0, {names[at - 1]} if from 1" if at else f"is 0 {names[0]}?"
        raise DataError(f"{listed.path}: {counted}: {both}; {_advice(listed, values, top)}")
    raise DataError(f"{listed.path}: {counted}, which do not fit; {_advice(listed, values, top)}")


def _from(names: Sequence[str], start: int) -> dict[int, str]:
    return {start + place: name for place, name in enumerate(names) if start + place >= 0}


def _advice(listed: NameList, values: Sequence[int], top: int | None) -> str:
    example = f"{values[-1] if top is None else top}: {listed.names[-1]}"
    return (
        f"say which: --names-start 0 or --names-start 1, lines with values such as `{example}` in the list, another list by "
        "--names FILE, or --names none"
    )
