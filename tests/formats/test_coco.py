"""A COCO file, read back by naive decoders, holds exactly the labels of every class but the background."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import CLASSES, RING, annotated, fill, label_maps
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fullconv.formats.coco import run_lengths, write_coco
from fullconv.formats.polygons import find_regions


def decode_runs(runs: dict[str, Any]) -> NDArray[np.bool_]:
    height, width = runs["size"]
    flat = [index % 2 == 1 for index, count in enumerate(runs["counts"]) for _ in range(count)]
    return np.array(flat, bool).reshape(width, height).T


@given(label_maps)
def test_run_lengths_against_a_naive_decoder(labels: NDArray[np.uint8]) -> None:
    together = np.full(labels.shape, 9)
    for region in find_regions(labels):
        runs = run_lengths(region, *labels.shape)
        assert sum(runs["counts"]) == labels.size
        assert 0 not in runs["counts"][1:]
        together[decode_runs(runs)] = region.label
    np.testing.assert_array_equal(together, labels)


def read_coco(tmp_path: Path, images: list[tuple[str, NDArray[np.uint8]]]) -> dict[str, Any]:
    write_coco(tmp_path / "coco.json", images, CLASSES)
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
