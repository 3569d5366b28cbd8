"""GeoJSON, filled by a naive decoder, holds exactly the labels of every class but the background; rings run as RFC 7946 says."""

import itertools
import json

import numpy as np
from annotated import CLASSES, annotated, fill, label_maps
from hypothesis import given
from numpy.typing import NDArray

from fullconv.formats.geojson import to_geojson


@given(label_maps)
def test_geojson(labels: NDArray[np.uint8]) -> None:
    found = json.loads(json.dumps(to_geojson(labels, CLASSES)))
    assert found["type"] == "FeatureCollection"
    together = np.zeros_like(labels)
    for feature in found["features"]:
        assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Polygon")
        mask = np.zeros(labels.shape, bool)
        for number, ring in enumerate(feature["geometry"]["coordinates"]):
            assert ring[0] == ring[-1]
            assert len(ring) >= 5
            twice = sum(x * y1 - x1 * y for (x, y), (x1, y1) in itertools.pairwise(ring))
            assert (twice > 0) == (number == 0)  # RFC 7946, 3.1.6, in these numbers
            mask ^= fill(ring[:-1], labels.shape)
        label = feature["properties"]["label"]
        assert feature["properties"] == {"class": CLASSES.names[label], "label": label, "pixels": mask.sum()}
        together[mask] = label
    np.testing.assert_array_equal(together, annotated(labels))
