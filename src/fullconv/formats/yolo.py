"""YOLO segmentation (docs.ultralytics.com/datasets/segment): a text file of polygons for each image, and ``data.yaml``.

::

    data.yaml                     names: [cat, dog] or {0: cat}; train: images/train; val: ...; path: ...
    images/train/a.jpg            or train/images/a.jpg
    labels/train/a.txt            or train/labels/a.txt; a line a polygon: class x y x y ... in shares of width and height

An image without a text file holds background only, as YOLO has it. Shapes have no order: larger ones lie behind smaller ones.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Shape, class_names
from fullconv.formats.rasterise import Patch, Points, box_points, coco_polygon
from fullconv.formats.reading import plain_name, points_of, text_of

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
SPLITS = ("train", "val", "test")
OTHER_NAMES = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}
NAME_LISTS = ("classes.txt", "obj.names", "labels.txt", "names.txt")


@dataclass(frozen=True)
class Shares:
    """A polygon in shares of the image's width and height, by COCO's rule."""

    points: Points

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        return coco_polygon(self.points * np.array(size[::-1]), size)


def is_yolo_list(path: Path) -> bool:
    """Return whether a YAML file says where a YOLO data set is."""
    try:
        content = yaml.safe_load(text_of(path))
    except (DataError, yaml.YAMLError, RecursionError, ValueError):
        return False
    return isinstance(content, dict) and "names" in content and isinstance(content.get("train"), str | list)


def is_yolo_folder(folder: Path) -> bool:
    """Return whether a folder holds text files of polygons where YOLO has them."""
    first = next(
        (file for labels in _label_folders(folder) for file in labels.rglob("*.txt") if file.name not in NAME_LISTS), None
    )
    if first is None:
        return False
    try:
        rows = [line.split() for line in text_of(first).splitlines() if line.strip()]
        return all(len(row) >= 5 and row[0].isdigit() and all(np.isfinite(float(part)) for part in row[1:]) for row in rows)
    except (DataError, ValueError):
        return False


def read_yolo(path: Path) -> Annotations:
    """Return the annotations of a ``data.yaml``, or of a folder with ``images`` and ``labels`` without one.

    Raises
    ------
    DataError
        When no folder of images is where the file says, a line cannot be read, or a class has no name.
    """
    notes: Counter[str] = Counter()
    if path.is_dir():
        names: dict[int, str] | None = _listed_names(path)
        files = list(_files_without_list(path))
    else:
        content = yaml.safe_load(text_of(path))
        names = _names(content["names"])
        files = list(_files(path, content))
    if len({split for _, _, split in files}) < 2:
        files = [(image, labels, "") for image, labels, _ in files]
    read = [(image, split, _rows(labels, names, notes)) for image, labels, split in files]
    found = sorted({number for _, _, rows in read for number, _ in rows})
    known = names or {number: f"class {number}" for number in found}
    images = tuple(
        AnnotatedImage(str(image), None, tuple(Shape(known[number], area) for number, area in rows), split, largest_first=True)
        for image, split, rows in read
    )
    return Annotations(class_names([known[number] for number in sorted(known)]), images, notes=notes)


def _names(names: Any) -> dict[int, str]:
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names)
    return {int(number): str(name) for number, name in pairs}


def _listed_names(folder: Path) -> dict[int, str] | None:
    path = next((folder / name for name in NAME_LISTS if (folder / name).is_file()), None)
    if path is None:
        return None
    return dict(enumerate(line.strip() for line in text_of(path).splitlines() if line.strip()))


def _files(path: Path, content: dict[str, Any]) -> Iterator[tuple[Path, Path, str]]:
    """Yield image, text file and split of a ``data.yaml``; an image that two splits list is in the first."""
    own = path.parent
    base = own / str(content.get("path") or "")
    seen: set[Path] = set()
    for key in (*SPLITS, "valid"):
        given = content.get(key)
        for value in [given] if isinstance(given, str) else given or []:
            place = _place(str(value), base if base.is_dir() else own, own)
            if place is None and key == "train":
                raise DataError(f"no images at {value!r}, which it gives for train; looked in {own}: set train to where they are")
            for image in _images(place, own) if place is not None else ():
                if image not in seen:
                    seen.add(image)
                    yield image, _labels_of(image), OTHER_NAMES.get(key, key)


def _place(value: str, *bases: Path) -> Path | None:
    """Return what a split's entry means; exports were packed on other machines, so the end of its path is looked for too."""
    plain = plain_name(value)
    parts = plain.split("/")
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    places = [*(base / value for base in bases), *(base / tail for base in bases for tail in tails)]
    return next((place for place in places if place.exists() and place != bases[-1]), None)


def _images(place: Path, own: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES and file.name[0] != ".")
        return
    for line in text_of(place).splitlines():
        if line.strip():
            yield _place(line.strip(), place.parent, own) or own / plain_name(line)


def _labels_of(image: Path) -> Path:
    """Return the text file of an image: below ``labels`` where the image is below ``images``, else beside it."""
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _label_folders(folder: Path) -> list[Path]:
    return sorted(place for pattern in ("labels", "*/labels") for place in folder.glob(pattern) if place.is_dir())


def _files_without_list(folder: Path) -> Iterator[tuple[Path, Path, str]]:
    for labels in _label_folders(folder):
        for image in _images(labels.parent / "images", folder) if (labels.parent / "images").is_dir() else ():
            parts = [part.lower() for part in image.relative_to(folder).parts[:-1]]
            named = [OTHER_NAMES.get(part, part) for part in parts]
            yield image, _labels_of(image), next((part for part in named if part in SPLITS), "")


def _rows(path: Path, names: Mapping[int, str] | None, notes: Counter[str]) -> list[tuple[int, Shares]]:
    """Return class and polygon of every line."""
    rows = []
    for number, line in enumerate(text_of(path).splitlines() if path.is_file() else (), start=1):
        cells = line.split()
        if not cells:
            continue
        try:
            label, values = int(cells[0]), [float(cell) for cell in cells[1:]]
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; a line is a class and x y of each corner, 0 to 1") from error
        if names is not None and label not in names:
            raise DataError(f"{path}, line {number}: class {label} has no name; there are {len(names)}, counted from 0")
        points = _corners(path, number, values, notes)
        if points is not None:
            rows.append((label, Shares(points)))
    return rows


def _corners(path: Path, number: int, values: list[float], notes: Counter[str]) -> Points | None:
    if len(values) % 2:
        raise DataError(
            f"{path}, line {number}: {len(values)} numbers after the class; x and y of each corner are an even number"
        )
    if not all(-1 <= value <= 2 for value in values):  # false for what is no number
        raise DataError(f"{path}, line {number}: corners are shares of width and height, 0 to 1; these are not")
    if len(values) == 4:
        notes["box, drawn as a rectangle"] += 1
        x, y, width, height = values
        return box_points(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    points = points_of(zip(values[::2], values[1::2], strict=True))
    if len(points) < 3:
        notes["polygon of fewer than three corners, left out"] += 1
        return None
    return points
