"""Annotation files, read back by naive decoders, hold exactly the labels of every class but the background."""

import base64
import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

from fullconv.formats.coco import find_objects, run_lengths, to_geojson, to_labelme, write_areas, write_coco
from fullconv.formats.polygons import find_regions
from fullconv.labels import LabelSet, voc_colors

CLASSES = LabelSet(("background", "cat", "dog, or wolf"), voc_colors(3))
label_maps = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.sampled_from([0, 1, 1, 2, CLASSES.ignore_index])
)
RING = np.array([[1, 1, 1, 0], [1, 2, 1, 0], [1, 1, 1, 255]], np.uint8)


def fill(polygon: list[list[float]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside, by counting the sides crossed on the way to the left border."""
    inside = np.zeros(shape, bool)
    for (x, y), (_, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        for i, j in np.ndindex(shape):
            if min(y, y1) < i + 0.5 < max(y, y1) and x < j + 0.5:
                inside[i, j] ^= True
    return inside


def decode_runs(runs: dict[str, Any]) -> NDArray[np.bool_]:
    height, width = runs["size"]
    flat = [index % 2 == 1 for index, count in enumerate(runs["counts"]) for _ in range(count)]
    return np.array(flat, bool).reshape(width, height).T


def annotated(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What annotation files can hold: background for all that they leave out."""
    return np.where(labels == CLASSES.ignore_index, 0, labels)


@given(label_maps)
def test_run_lengths_against_a_naive_decoder(labels: NDArray[np.uint8]) -> None:
    together = np.full(labels.shape, 9)
    for region in find_regions(labels):
        runs = run_lengths(region, *labels.shape)
        assert sum(runs["counts"]) == labels.size
        assert 0 not in runs["counts"][1:]
        together[decode_runs(runs)] = region.label
    np.testing.assert_array_equal(together, labels)


def read_coco(tmp_path: Path, pictures: list[tuple[str, NDArray[np.uint8]]]) -> dict[str, Any]:
    write_coco(tmp_path / "coco.json", pictures, CLASSES)
    found: dict[str, Any] = json.loads((tmp_path / "coco.json").read_text())
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("annotations")


@given(maps=st.lists(label_maps, max_size=3))
def test_coco(folder: Path, maps: list[NDArray[np.uint8]]) -> None:
    found = read_coco(folder, [(f"sea/{n}.jpg", labels) for n, labels in enumerate(maps)])
    assert found["categories"] == [{"id": k, "name": CLASSES.names[k], "supercategory": ""} for k in (1, 2)]
    assert found["images"] == [
        {"id": n + 1, "file_name": f"sea/{n}.jpg", "height": len(labels), "width": len(labels[0])}
        for n, labels in enumerate(maps)
    ]
    assert [one["id"] for one in found["annotations"]] == list(range(1, len(found["annotations"]) + 1))
    together = [np.zeros_like(labels) for labels in maps]
    for one in found["annotations"]:
        target, parts = together[one["image_id"] - 1], one["segmentation"]
        mask = (
            decode_runs(parts)
            if isinstance(parts, dict)
            else fill([parts[0][n : n + 2] for n in range(0, len(parts[0]), 2)], target.shape)
        )
        assert not target[mask].any()
        target[mask] = one["category_id"]
        rows, columns = np.nonzero(mask)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert (one["area"], one["bbox"], one["iscrowd"]) == (mask.sum(), box, 0)
    for target, labels in zip(together, maps, strict=True):
        np.testing.assert_array_equal(target, annotated(labels))


def test_coco_uses_run_lengths_for_holes_only(tmp_path: Path) -> None:
    ring, middle = read_coco(tmp_path, [("a.png", RING)])["annotations"]
    assert ring["segmentation"] == {"size": [3, 4], "counts": [0, 4, 1, 4, 3]}
    assert middle["segmentation"] == [[1, 1, 2, 1, 2, 2, 1, 2]]


def test_a_class_zero_that_is_no_background_is_annotated() -> None:
    streets = LabelSet(("road", "sky"), voc_colors(2))
    assert [region.label for region in find_objects(np.array([[0, 1]]), streets)] == [0, 1]


@given(label_maps)
def test_labelme(labels: NDArray[np.uint8]) -> None:
    found = json.loads(json.dumps(to_labelme(labels, CLASSES, "../sea/a.jpg")))
    assert (found["imagePath"], found["imageData"]) == ("../sea/a.jpg", None)
    assert (found["imageHeight"], found["imageWidth"]) == labels.shape
    together = np.zeros_like(labels)
    for shape in found["shapes"]:
        if shape["shape_type"] == "mask":  # as labelme.utils.shapes_to_label does
            (left, top), (right, bottom) = shape["points"]
            part = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))).astype(bool)
            mask = np.zeros(labels.shape, bool)
            mask[top : bottom + 1, left : right + 1] = part
        else:
            mask = fill(shape["points"], labels.shape)
        together[mask] = CLASSES.names.index(shape["label"])
    np.testing.assert_array_equal(together, annotated(labels))
    assert {"label", "points", "group_id", "shape_type", "flags", "description", "mask"} == set().union(
        *found["shapes"]
    ) or not together.any()


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


def test_areas(tmp_path: Path) -> None:
    write_areas(tmp_path / "areas.csv", [("sea/a, b.png", RING), ("lost\udcff.png", RING[:1, :1])], CLASSES)
    with (tmp_path / "areas.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        head, first, second = csv.reader(file)
    assert head == [
        *("picture", "pixels", "background pixels", "background share", "cat pixels", "cat share"),
        *("dog, or wolf pixels", "dog, or wolf share"),
    ]
    assert first == ["sea/a, b.png", "12", "2", "0.166667", "8", "0.666667", "1", "0.083333"]
    assert second == ["lost\udcff.png", "1", "0", "0.000000", "1", "1.000000", "0", "0.000000"]
