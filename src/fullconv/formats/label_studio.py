"""Label Studio's JSON and JSON-MIN (labelstud.io/guide/export): polygons, boxes, ellipses and brush strokes, in percent.

Shapes are drawn in their order, each over those before it. Of several annotations of a task the first that was not cancelled
counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Area, Polygons, Shape, class_names
from fullconv.formats.rasterise import Patch, box_points, ellipse_points
from fullconv.formats.reading import points_of, size_of

SHAPES = {"points": "polygon", "rle": "brush", "radiusX": "ellipse", "width": "rectangle", "vertices": "vector"}
"""Kinds by the key that gives them away; a rectangle has a width, and a point has one too."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jfif")


@dataclass(frozen=True)
class Brush:
    """The pixels that a brush painted: Label Studio's packed RGBA image, of which the last channel counts."""

    content: bytes
    size: tuple[int, int]

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        height, width = self.size
        return Patch(0, 0, unpacked(self.content, 4 * height * width).reshape(height, width, 4)[..., 3] > 0)


@dataclass
class _Bits:
    """Bits of some bytes, read one after another."""

    content: bytes
    at: int = 0

    def take(self, number: int) -> int:
        """Return the next bits as a number."""
        begin, self.at = self.at, self.at + number
        if self.at > 8 * len(self.content):
            raise DataError("a brush stroke is cut short")
        first, last = begin // 8, (self.at + 7) // 8
        return int.from_bytes(self.content[first:last], "big") >> (8 * last - self.at) & ((1 << number) - 1)


def unpacked(content: bytes, count: int) -> NDArray[np.uint8]:
    """Return the values of a packed array, which must be ``count``.

    A head of 32 bits for the count, 5 for the bits of a value less one, four times 4 for the bits of a length less one. Then
    blocks: one bit that says whether one value is repeated, two that choose the bits of the length, the length less one, and the
    value or as many values. Source: github.com/thi-ng/umbrella, ``rle-pack``.

    Raises
    ------
    DataError
        When it is damaged or of another length.
    """
    take = _Bits(content).take
    found = take(32)
    if found != count:
        raise DataError(
            f"a brush stroke of {found} values for an image of {count // 4} pixels; it is damaged or of another image"
        )
    word = take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    i = 0
    while i < count:
        repeated = take(1)
        j = min(count, i + 1 + take(lengths[take(2)]))
        if repeated:
            values[i:j] = take(word) & 255
        else:
            values[i:j] = [take(word) & 255 for _ in range(i, j)]
        i = j
    return values


def is_label_studio(content: Any) -> bool:
    """Return whether a JSON file's content is a list of Label Studio's tasks."""
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return False
    first = content[0]
    full = isinstance(first.get("data"), dict) and any(key in first for key in ("annotations", "completions", "predictions"))
    return full or ("annotator" in first and "id" in first) or any(_is_region_list(value) for value in first.values())


def _is_region_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "original_width" in value[0]


def read_label_studio(content: Any, path: Path) -> Annotations:
    """Return the annotations of a list of tasks.

    Raises
    ------
    DataError
        When a task names no image, a shape no class, or a brush stroke is damaged.
    """
    notes: Counter[str] = Counter()
    images = []
    for task in content:
        results = _results(task, notes)
        if results is None:
            notes["task without annotation, left out"] += 1
            continue
        shapes = tuple(_shapes(results, notes))
        sizes = {size_of(one["original_height"], one["original_width"]) for one in results if "original_height" in one}
        if len(sizes) > 1:
            raise DataError(f"{_image_of(task)}: shapes on images of {len(sizes)} sizes; tasks of one image are read")
        images.append(AnnotatedImage(_image_of(task), next(iter(sizes), None), shapes))
    return Annotations(class_names([shape.name for image in images for shape in image.shapes]), tuple(images), notes=notes)


def _results(task: Mapping[str, Any], notes: Counter[str]) -> list[dict[str, Any]] | None:
    """Return the shapes of a task; ``None`` where nobody has annotated it."""
    if "data" not in task:
        return [_from_min(one) for value in task.values() if _is_region_list(value) for one in value]
    given = [one for one in task.get("annotations") or task.get("completions") or () if not one.get("was_cancelled")]
    if len(given) > 1:
        notes["image with several annotations, of which the first counts"] += 1
    return list(given[0]["result"]) if given else None


def _from_min(one: dict[str, Any]) -> dict[str, Any]:
    return {"value": one, **{key: one[key] for key in ("original_width", "original_height") if key in one}}


def _image_of(task: Mapping[str, Any]) -> str:
    data = task.get("data", task)
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    likely = [value for value in texts.values() if value.split("?")[0].lower().endswith(SUFFIXES) or "?d=" in value]
    found = texts.get("image") or next(iter(likely), None)
    if found is None:
        raise DataError(f"a task whose data name no image: {', '.join(data) or 'nothing'}")
    return found


def _shapes(results: Iterable[dict[str, Any]], notes: Counter[str]) -> Iterable[Shape]:
    results = list(results)
    named = {one.get("id"): name for one in results if (name := _class_of(one)) is not None}
    drawn: set[Any] = set()
    for one in results:
        kind = _kind(one)
        identity = one.get("id")
        if kind is None or (identity is not None and identity in drawn):  # a choice, or the class of a shape that was drawn
            continue
        name = _class_of(one) or named.get(identity)
        if name is None:
            raise DataError(f"a {kind} without a class")
        area = _area(kind, one, notes)
        if area is not None:
            drawn.add(identity)
            yield Shape(name, area)


def _class_of(one: Mapping[str, Any]) -> str | None:
    value = one.get("value", {})
    names = next((names for key, names in value.items() if key.endswith("labels") and isinstance(names, list) and names), None)
    return str(names[0]) if names else None


def _kind(one: Mapping[str, Any]) -> str | None:
    value = one.get("value", {})
    found = next((kind for key, kind in SHAPES.items() if key in value), None)
    if found == "rectangle" and "height" not in value:
        return "key point"
    return found


def _area(kind: str, one: Mapping[str, Any], notes: Counter[str]) -> Area | None:
    value = one["value"]
    height, width = size_of(one["original_height"], one["original_width"])
    scale = width / 100, height / 100
    if kind == "brush":
        return Brush(bytes(value["rle"]), (height, width))
    if kind == "polygon":
        points = points_of(value["points"], scale)
        if len(points) < 3:
            notes["polygon of fewer than three corners, left out"] += 1
            return None
        return Polygons((points,))
    if kind == "rectangle":
        notes["box, drawn as a rectangle"] += 1
        left, top = float(value["x"]) * scale[0], float(value["y"]) * scale[1]
        right, bottom = left + float(value["width"]) * scale[0], top + float(value["height"]) * scale[1]
        return Polygons((points_of(box_points(left, top, right, bottom, float(value.get("rotation", 0)), "corner")),))
    if kind == "ellipse":
        center = float(value["x"]) * scale[0], float(value["y"]) * scale[1]
        radii = float(value["radiusX"]) * scale[0], float(value["radiusY"]) * scale[1]
        return Polygons((points_of(ellipse_points(center, radii, float(value.get("rotation", 0)))),))
    notes[f"{kind}, which has no area, left out"] += 1
    return None
