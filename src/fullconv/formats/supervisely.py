"""Supervisely (docs.supervisely.com, "Supervisely annotation format"): ``meta.json``, and ``ann`` beside ``img`` of each dataset.

::

    meta.json                 classes with their colours
    ds0/img/a.jpg             ds0 may be called train, val and so on: then these are the splits
    ds0/ann/a.jpg.json        objects, each over those before it
"""

import base64
import binascii
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Area, Bitmap, Polygons, Shape, class_names
from fullconv.formats.rasterise import box_points
from fullconv.formats.reading import parsing, points_of, read_json, size_of

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
LARGEST = 1 << 28
"""Bytes of a packed bitmap."""


def is_supervisely(folder: Path) -> bool:
    """Return whether a folder is a project of Supervisely: ``meta.json``, and folders ``ann`` in it or one further down."""
    return (folder / "meta.json").is_file() and bool(_datasets(folder))


def _datasets(folder: Path) -> list[Path]:
    return sorted(ann.parent for pattern in ("ann", "*/ann") for ann in folder.glob(pattern) if ann.is_dir())


def read_supervisely(folder: Path) -> Annotations:
    """Return the annotations of a project; points and lines have no area and are counted.

    Raises
    ------
    DataError
        When a file is damaged, or a shape is of a kind that is not known.
    """
    meta = read_json(folder / "meta.json")
    notes: Counter[str] = Counter()
    with parsing(folder / "meta.json", "Supervisely"):
        colors = {str(one["title"]): _color(one.get("color", "")) for one in meta["classes"]}
    datasets = _datasets(folder)
    named = sum(dataset.name.lower() in SPLITS for dataset in datasets) > 1
    images = []
    for dataset in datasets:
        for path in sorted((dataset / "ann").rglob("*.json")):
            with parsing(path, "Supervisely"):
                split = dataset.name if named else ""
                images.append(_image(read_json(path), _image_of(path, dataset), split, notes))
    known = {name: color for name, color in colors.items() if color is not None}
    used = [shape.name for image in images for shape in image.shapes]
    return Annotations(class_names([*colors, *used]), tuple(images), known, notes)


def _color(text: str) -> tuple[int, int, int] | None:
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except ValueError:
        return None
    return red, green, blue


def _image_of(path: Path, dataset: Path) -> str:
    """Return the image of a file: ``a.jpg`` of ``a.jpg.json``; older projects leave the suffix out."""
    place = dataset / "img" / path.relative_to(dataset / "ann").with_suffix("")
    if place.is_file():
        return str(place)
    others = sorted(place.parent.glob(f"{glob_free(place.name)}.*")) if place.parent.is_dir() else []
    return str(others[0]) if others else str(place)


def glob_free(name: str) -> str:
    """Return a name in which nothing is a pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _image(content: dict[str, Any], file: str, split: str, notes: Counter[str]) -> AnnotatedImage:
    size = size_of(content["size"]["height"], content["size"]["width"])
    shapes = []
    for one in content["objects"]:
        area = _area(one, notes)
        if area is not None:
            shapes.append(Shape(str(one["classTitle"]), area))
    return AnnotatedImage(file, size, tuple(shapes), split)


def _area(one: dict[str, Any], notes: Counter[str]) -> Area | None:
    kind = one.get("geometryType") or ("bitmap" if one.get("bitmap") else "polygon")
    if kind == "bitmap":
        left, top = one["bitmap"]["origin"]
        return Bitmap(int(top), int(left), unpacked(one["bitmap"]["data"]))
    if kind in ("line", "point", "multiline", "graph", "cuboid"):
        notes[f"{kind}, which has no area, left out"] += 1
        return None
    rings = points_of(one["points"]["exterior"])
    if kind == "rectangle" and len(rings) == 2:
        notes["box, drawn as a rectangle"] += 1
        (left, top), (right, bottom) = np.sort(rings, axis=0).tolist()
        return Polygons((box_points(left, top, right, bottom),))
    if kind != "polygon":
        raise DataError(f"an object of the kind {kind!r}; known are bitmap, polygon and rectangle")
    if len(rings) < 3:
        notes["polygon of fewer than three corners, left out"] += 1
        return None
    return Polygons((rings,), tuple(points_of(hole) for hole in one["points"].get("interior") or () if len(hole) > 2))


def unpacked(text: str) -> bytes:
    """Return the PNG in a bitmap's ``data``: base64 of what zlib packed.

    Raises
    ------
    DataError
        When it is damaged, or larger than any image.
    """
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(text), LARGEST)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise DataError(f"a bitmap cannot be unpacked ({error}); it is damaged") from error
    if unpacker.unconsumed_tail:
        raise DataError("a bitmap unpacks to more than any image holds; it is damaged")
    return content
