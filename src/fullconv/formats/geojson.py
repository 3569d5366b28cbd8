"""GeoJSON (RFC 7946): the regions of a label map as polygons in pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.formats.polygons import find_objects
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
