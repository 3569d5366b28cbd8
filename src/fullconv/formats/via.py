"""VGG Image Annotator, VIA 1 and 2 (robots.ox.ac.uk/~vgg/software/via): a project, or its annotations alone, as JSON.

Regions are drawn in their order, each over those before it. VIA leaves open which attribute of a region is its class: where
there is but one it is that one, else it must be said.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Area, Polygons, Shape, class_names
from fullconv.formats.rasterise import box_points, ellipse_points
from fullconv.formats.reading import points_of

PROJECT = "_via_img_metadata"


def is_via(content: Any) -> bool:
    """Return whether a JSON file's content is VIA's."""
    if not isinstance(content, dict):
        return False
    if PROJECT in content:
        return True
    first = next(iter(content.values()), None)
    return isinstance(first, dict) and "filename" in first and "regions" in first


def read_via(content: Any, path: Path, attribute: str | None = None) -> Annotations:
    """Return the annotations of a project.

    Parameters
    ----------
    content, path
        Of the JSON file.
    attribute
        Of regions, that names the class; ``None``: the only one there is.

    Raises
    ------
    DataError
        When there are several attributes and none is chosen, or a region has no class.
    """
    notes: Counter[str] = Counter()
    files = (content.get(PROJECT) or content) if isinstance(content.get(PROJECT, {}), dict) else {}
    regions = {key: list(_regions(one)) for key, one in files.items()}
    chosen = attribute or _only_attribute([region for group in regions.values() for region in group])
    images = []
    for key, one in files.items():
        shapes = []
        for region in regions[key]:
            area = _area(region["shape_attributes"], notes)
            if area is not None:
                shapes.append(Shape(_class_of(region, chosen, one["filename"]), area))
        images.append(AnnotatedImage(str(one["filename"]), None, tuple(shapes)))
    return Annotations(class_names([shape.name for image in images for shape in image.shapes]), tuple(images), notes=notes)


def _regions(one: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    regions = one["regions"]
    yield from regions.values() if isinstance(regions, dict) else regions


def _only_attribute(regions: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for region in regions for name in region.get("region_attributes") or {}))
    if len(names) == 1:
        return names[0]
    if not names:
        return ""
    raise DataError(
        f"regions have the attributes {', '.join(names)}, and which of them is the class only you know; set "
        f"data.folder.class_attribute: {names[0]} (or another of them)"
    )


def _class_of(region: Mapping[str, Any], attribute: str, file: str) -> str:
    """Return the class of a region; one that VIA knows no attribute of is an object."""
    attributes = region.get("region_attributes") or {}
    if not attribute:
        return "object"
    value = attributes.get(attribute)
    if isinstance(value, dict):  # boxes that were ticked
        ticked = [name for name, yes in value.items() if yes]
        value = ticked[0] if len(ticked) == 1 else None
    if not value:
        raise DataError(
            f"a region of {file} has no single {attribute!r}, which names its class; it has {attributes or 'no attributes'}"
        )
    return str(value).strip()


def _area(shape: Mapping[str, Any], notes: Counter[str]) -> Area | None:
    kind = shape["name"]
    if kind == "polygon":
        points = points_of(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
        if len(points) < 3:
            notes["polygon of fewer than three corners, left out"] += 1
            return None
        return Polygons((points,))
    if kind == "rect":
        notes["box, drawn as a rectangle"] += 1
        left, top = float(shape["x"]), float(shape["y"])
        return Polygons((points_of(box_points(left, top, left + float(shape["width"]), top + float(shape["height"]))),))
    if kind in ("circle", "ellipse"):
        radii = (shape["r"], shape["r"]) if kind == "circle" else (shape["rx"], shape["ry"])
        turn = float(np.degrees(float(shape.get("theta", 0))))
        points = ellipse_points((float(shape["cx"]), float(shape["cy"])), (float(radii[0]), float(radii[1])), turn)
        return Polygons((points_of(points),))
    notes[f"{kind}, which has no area, left out"] += 1
    return None
