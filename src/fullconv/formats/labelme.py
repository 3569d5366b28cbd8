"""LabelMe's ``.json`` beside each image: its shapes read, the regions of a label map written as polygons and masks.

Shapes are drawn in their order, each over those before it. ``__ignore__`` is without ground truth and ``_background_`` no class,
as in LabelMe's own conversion to label images.
"""

import base64
import binascii
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Area, Bitmap, Figure, Shape, class_names
from fullconv.formats.polygons import Region, find_objects
from fullconv.formats.rasterise import POINTS
from fullconv.formats.reading import plain_name, points_of, size_of
from fullconv.labels import LabelSet

INSIDE = 1 / 64
"""Pixels by which right and lower sides are drawn in: LabelMe's own tools count a pixel whose left or upper side is touched."""
VERSION = "5.5.0"
"""Of the LabelMe whose format is written; masks came with 5.3."""


def to_labelme(labels: NDArray[np.uint8], label_set: LabelSet, image: str) -> dict[str, Any]:
    """Return what LabelMe reads, JSON-able: an object without holes is a polygon, one with holes a mask.

    LabelMe's own tools make exactly these labels of it, and so does :func:`read_labelme`.

    Parameters
    ----------
    labels, label_set
        uint8 (H, W), and what they mean.
    image
        Path of the image as seen from the file that is to be written.
    """
    height, width = labels.shape
    return {
        "version": VERSION,
        "flags": {},
        "shapes": [
            {"label": label_set.names[region.label], **_shape(region), "group_id": None, "description": "", "flags": {}}
            for region in find_objects(labels, label_set)
        ],
        "imagePath": image,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _shape(region: Region) -> dict[str, Any]:
    outer, *holes = region.rings
    if not holes:
        return {"shape_type": "polygon", "points": _drawn_in(outer), "mask": None}
    left, top, width, height = region.box
    buffer = io.BytesIO()
    Image.fromarray(region.mask()).save(buffer, format="PNG")
    return {
        "shape_type": "mask",
        "points": [[left, top], [left + width - 1, top + height - 1]],  # the first and the last pixel
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }


def _drawn_in(ring: NDArray[np.int64]) -> list[list[float]]:
    """Return a ring's corners with the sides that have the region on their left or above moved into it."""
    corners = ring.astype(np.float64)
    ahead, behind = np.roll(ring, -1, axis=0) - ring, ring - np.roll(ring, 1, axis=0)
    step = np.where(ahead != 0, ahead, behind)  # of the two sides at a corner, one is upright and one level
    corners[:, 0] -= INSIDE * (step[:, 1] > 0)  # walked downwards with the region on the right: it lies to the left in the image
    corners[:, 1] -= INSIDE * (step[:, 0] < 0)
    return corners.tolist()


def is_labelme(content: Any) -> bool:
    """Return whether a JSON file's content is LabelMe's."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(content: Any, path: Path) -> Annotations:
    """Return the annotations of one file of LabelMe.

    The image is the one that it names, as seen from the file; else, as after renaming, the one that is called as the file.

    Raises
    ------
    DataError
        For a shape that LabelMe does not have, or a mask that is damaged.
    """
    size = size_of(content["imageHeight"], content["imageWidth"]) if content.get("imageHeight") else None
    notes: Counter[str] = Counter()
    shapes = []
    for one in content["shapes"]:
        area = _area(one, notes)
        if area is not None:
            shapes.append(Shape(str(one["label"]), area))
    named = path.parent / str(content["imagePath"]).replace("\\", "/")
    file = str(named) if named.is_file() else _beside(path) or plain_name(str(content["imagePath"]))
    image = AnnotatedImage(file, size, tuple(shapes))
    return Annotations(class_names([shape.name for shape in shapes]), (image,), notes=notes)


def _beside(path: Path) -> str:
    """Return the image that is called as a file, if there is one."""
    usual = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
    places = (path.with_suffix(suffix) for lower in usual for suffix in (lower, lower.upper()))
    return next((str(place) for place in places if place.is_file()), "")


def _area(one: dict[str, Any], notes: Counter[str]) -> Area | None:
    kind = one.get("shape_type") or "polygon"
    points = points_of(one["points"])
    if kind == "mask":
        try:
            content = base64.b64decode(one["mask"])
        except (binascii.Error, ValueError, TypeError) as error:
            raise DataError(f"the mask of a shape of {one['label']} cannot be unpacked ({error}); it is damaged") from error
        return Bitmap(int(points[0, 1]), int(points[0, 0]), content)
    if kind == "polygon" and len(points) < POINTS[kind][0]:
        notes["polygon of fewer than three corners, left out"] += 1
        return None
    if kind not in POINTS or not POINTS[kind][0] <= len(points) <= POINTS[kind][1]:
        raise DataError(f"a shape {kind!r} of {len(points)} points; known are mask, {', '.join(POINTS)}, with LabelMe's points")
    if kind in ("rectangle", "line", "linestrip", "point"):
        notes[f"{kind}, drawn as LabelMe draws it"] += 1
    return Figure(kind, points)
