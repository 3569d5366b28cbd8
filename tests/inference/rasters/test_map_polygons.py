"""Regions of labels as polygons in the map's coordinates, and their areas."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely

from fullconv.data.rasters.raster import Raster
from fullconv.inference.rasters.areas import class_areas, write_map_areas
from fullconv.inference.rasters.geotiff import write_labels
from fullconv.inference.rasters.polygons import write_geopackage, write_map_geojson
from fullconv.labels import LabelSet
from made_maps import TURNED, write_map

CLASSES = LabelSet(("background", "water", "forest"), ((0, 0, 0), (0, 90, 255), (0, 140, 30)))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Labels with a hole, a region of one pixel and one without a measurement."""
    path = write_map(tmp_path / "map.tif", np.ones((150, 100, 1), np.uint8))
    labels = np.zeros((150, 100), np.uint8)
    labels[10:20, 30:50], labels[12:15, 33:36] = 1, 2
    labels[100, 7] = 2
    labels[50:, 60:] = 255
    write_labels(tmp_path / "labels.tif", labels, Raster(path), CLASSES, {}, "semantic")
    return tmp_path / "labels.tif"


def _geojson(labelled: Path) -> list[tuple[shapely.Geometry, dict]]:
    path = labelled.with_suffix(".geojson")
    assert write_map_geojson(path, labelled, CLASSES) == 3
    content = json.loads(path.read_text())
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    return [(shapely.geometry.shape(each["geometry"]), each["properties"]) for each in content["features"]]


def _geopackage(labelled: Path) -> list[tuple[shapely.Geometry, dict]]:
    path = labelled.with_suffix(".gpkg")
    assert write_geopackage(path, labelled, CLASSES) == 3
    about, _, geometry, fields = pyogrio.raw.read(path, layer="regions")
    assert "32633" in about["crs"]
    rows = zip(*fields, strict=True)
    return [
        (shapely.from_wkb(one), dict(zip(about["fields"], row, strict=True))) for one, row in zip(geometry, rows, strict=True)
    ]


@pytest.mark.parametrize("read", [_geojson, _geopackage])
def test_polygons_lie_on_the_corners_of_pixels(labelled: Path, read: Callable[[Path], list]) -> None:
    found = read(labelled)
    single = next(shape for shape, about in found if about["pixels"] == 1)
    corners = {tuple(np.round(TURNED @ corner, 6)) for corner in [(7, 100), (8, 100), (8, 101), (7, 101)]}
    assert {tuple(np.round(corner, 6)) for corner in single.exterior.coords} == corners
    middle = TURNED @ (7.5, 100.5)
    np.testing.assert_allclose(single.centroid.coords[0], middle, atol=1e-6)
    assert sorted((about["class"], about["pixels"], round(about["area"])) for _, about in found) == [
        ("forest", 1, 100),
        ("forest", 9, 900),
        ("water", 191, 19100),
    ]
    drawn = rasterio.features.rasterize([(shape, about["label"]) for shape, about in found], (150, 100), transform=TURNED)
    with rasterio.open(labelled) as file:
        labels = file.read(1)
    np.testing.assert_array_equal(drawn, np.where(labels == 255, 0, labels))
    assert all(shape.exterior.is_ccw for shape, _ in found)


def test_areas_are_in_square_metres(labelled: Path, tmp_path: Path) -> None:
    assert class_areas(labelled, CLASSES)["water"] == (191, pytest.approx(19100))
    write_map_areas(tmp_path / "areas.csv", [labelled], CLASSES)
    rows = (tmp_path / "areas.csv").read_text().splitlines()
    assert rows[0] == "map,class,pixels,share,area"
    assert rows[3] == f"labels,forest,10,{10 / (150 * 100 - 100 * 40):.6f},1000.00"
