"""LabelMe's file, read back as LabelMe does, holds exactly the labels of every class but the background."""

import base64
import io
import json

import numpy as np
from annotated import CLASSES, annotated, fill, label_maps
from hypothesis import given
from numpy.typing import NDArray
from PIL import Image

from fullconv.formats.labelme import to_labelme


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
