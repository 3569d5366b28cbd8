"""GeoJSON (RFC 7946) in pixels: polygons read, as fullconv and QuPath write them, and the regions of a label map written."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Polygons, Shape, class_names
from fullconv.formats.polygons import find_objects
from fullconv.formats.reading import points_of
from fullconv.labels import LabelSet


def to_geojson(labels: NDArray[np.uint8], label_set: LabelSet) -> dict[str, Any]:
    """Return a GeoJSON FeatureCollection of polygons with holes, in pixels: x to the right, y down as in the image.

    Rings are closed and in RFC 7946's order for these numbers: an outer ring has a positive shoelace area, a hole a negative
    one. That is counterclockwise for a reader that draws y upwards, and clockwise on the image.

    Examples
    --------
    >>> from fullconv.labels import VOC
    >>> feature = to_geojson(np.array([[12]], np.uint8), VOC)["features"][0]
    >>> feature["properties"], feature["geometry"]["coordinates"]
    ({'class': 'dog', 'label': 12, 'pixels': 1}, [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]])
    """
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"class": label_set.names[region.label], "label": region.label, "pixels": region.area},
                "geometry": {"type": "Polygon", "coordinates": [_closed(ring) for ring in region.rings]},
            }
            for region in find_objects(labels, label_set)
        ],
    }


def _closed(ring: NDArray[np.int64]) -> list[list[int]]:
    return [*ring.tolist(), ring[0].tolist()]


def is_geojson(content: Any) -> bool:
    """Return whether a JSON file's content is GeoJSON."""
    return isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature")


def read_geojson(content: Any, path: Path) -> Annotations:
    """Return the polygons of one file, in its order; its image is called as the file is, and may lie in another folder.

    The class is the property ``class``, or ``classification.name`` as QuPath has it. Coordinates are pixels.

    Raises
    ------
    DataError
        For a feature without a class, or coordinates in degrees.
    """
    notes: Counter[str] = Counter()
    shapes = []
    if content.get("crs"):
        raise DataError("GeoJSON with coordinates on the earth (crs); polygons in pixels of the image are read")
    for one in content["features"] if content["type"] == "FeatureCollection" else [content]:
        geometry = one["geometry"]
        if geometry["type"] not in ("Polygon", "MultiPolygon"):
            notes[f"{geometry['type']}, which has no area, left out"] += 1
            continue
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        name = _class_of(one.get("properties") or {})
        for outer, *holes in parts:
            shapes.append(Shape(name, Polygons((points_of(outer),), tuple(points_of(hole) for hole in holes))))
    image = AnnotatedImage(path.with_suffix("").as_posix(), None, tuple(shapes))
    return Annotations(class_names([shape.name for shape in shapes]), (image,), notes=notes)


def _class_of(properties: dict[str, Any]) -> str:
    classified = properties.get("classification")
    name = properties.get("class") or (classified.get("name") if isinstance(classified, dict) else None)
    if not name:
        raise DataError(f"a feature without the property class; it has {', '.join(properties) or 'none'}")
    return str(name)
