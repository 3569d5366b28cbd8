"""What is written of predicted labels is read again with equal labels, ignored pixels as background."""

import json
from pathlib import Path

import numpy as np
import pytest
from annotated import CLASSES, annotated, label_maps
from hypothesis import given
from numpy.typing import NDArray

from fullconv.formats.annotations import draw, numbered
from fullconv.formats.coco import write_coco
from fullconv.formats.geojson import to_geojson
from fullconv.formats.labelme import to_labelme
from fullconv.formats.recognise import read_annotations


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round")


def drawn(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    found = read_annotations(path)
    return draw(found.images[0], size, numbered(CLASSES.names[1:]))


@given(label_maps)
def test_coco_labelme_and_geojson(folder: Path, labels: NDArray[np.uint8]) -> None:
    size = (labels.shape[0], labels.shape[1])
    write_coco(folder / "coco.json", [("a.jpg", labels)], CLASSES)
    (folder / "a.json").write_text(json.dumps(to_labelme(labels, CLASSES, "a.jpg")))
    (folder / "a.geojson").write_text(json.dumps(to_geojson(labels, CLASSES)))
    for name in ("coco.json", "a.json", "a.geojson"):
        np.testing.assert_array_equal(drawn(folder / name, size), annotated(labels), err_msg=name)
