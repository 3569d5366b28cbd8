"""Labelbox NDJSON (docs.labelbox.com, "Export overview"): a line of JSON for each image.

Polygons, boxes and masks that the file holds are read, in their order. Masks that are only addresses on Labelbox's server are
refused: nothing is fetched.
"""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Area, Bitmap, Polygons, Runs, Shape, class_names
from fullconv.formats.coco import unpacked
from fullconv.formats.rasterise import box_points
from fullconv.formats.reading import parsing, points_of, size_of, text_of


def is_labelbox(path: Path) -> bool:
    """Return whether the first line of a file is Labelbox's."""
    try:
        first = next((line for line in text_of(path).splitlines() if line.strip()), "")
        content = json.loads(first)
    except (DataError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and isinstance(content.get("data_row"), dict)


def read_labelbox(path: Path) -> Annotations:
    """Return the annotations of an NDJSON file.

    Raises
    ------
    DataError
        When a line is damaged, or masks are addresses only.
    """
    notes: Counter[str] = Counter()
    images = []
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if line.strip():
            with parsing(f"{path}, line {number}", "Labelbox"):
                found = _image(json.loads(line), notes)
                images += [found] if found is not None else []
    return Annotations(class_names([shape.name for image in images for shape in image.shapes]), tuple(images), notes=notes)


def _image(row: Mapping[str, Any], notes: Counter[str]) -> AnnotatedImage | None:
    """Return an image with its shapes; ``None`` where nobody has annotated it."""
    about, media = row["data_row"], row.get("media_attributes") or {}
    labels = [label for project in (row.get("projects") or {}).values() for label in project.get("labels") or ()]
    if not labels:
        notes["image without annotation, left out"] += 1
        return None
    if len(labels) > 1:
        notes["image with several annotations, of which the first counts"] += 1
    size = size_of(media["height"], media["width"]) if media.get("height") and media.get("width") else None
    shapes = tuple(_shapes(labels[0]["annotations"].get("objects") or (), notes))
    return AnnotatedImage(str(about.get("external_id") or about.get("global_key") or about["row_data"]), size, shapes)


def _shapes(objects: Any, notes: Counter[str]) -> Iterator[Shape]:
    for one in objects:
        area = _area(one, notes)
        if area is not None:
            yield Shape(str(one.get("name") or one["title"]), area)


def _area(one: Mapping[str, Any], notes: Counter[str]) -> Area | None:
    if "polygon" in one:
        points = points_of((corner["x"], corner["y"]) for corner in one["polygon"])
        if len(points) < 3:
            notes["polygon of fewer than three corners, left out"] += 1
            return None
        return Polygons((points,))
    if "bounding_box" in one:
        notes["box, drawn as a rectangle"] += 1
        box = {key: float(one["bounding_box"][key]) for key in ("left", "top", "width", "height")}
        corners = box_points(box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"])
        return Polygons((points_of(corners),))
    mask = one.get("mask") or one.get("composite_mask")
    if mask:
        return _mask(mask)
    notes[f"{one.get('annotation_kind', 'object')}, which has no area, left out"] += 1
    return None


def _mask(mask: Mapping[str, Any]) -> Area:
    if "counts" in mask and "size" in mask:
        counts = mask["counts"]
        height, width = mask["size"]
        runs = unpacked(counts) if isinstance(counts, str) else np.array(counts, np.int64)
        return Runs(0, 0, size_of(height, width), runs, by_columns=True)
    if "png" in mask:
        try:
            return Bitmap(0, 0, base64.b64decode(mask["png"]))
        except (binascii.Error, ValueError) as error:
            raise DataError(f"the PNG of a mask cannot be unpacked ({error}); it is damaged") from error
    raise DataError(
        "masks are addresses on Labelbox's server (url), which is not asked; fetch them with its own client and keep them as PNG "
        "masks, or export polygons"
    )
