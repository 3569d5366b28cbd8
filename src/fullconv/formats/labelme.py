"""LabelMe's ``.json`` beside each image: the regions of a label map as polygons and masks."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.formats.polygons import Region, find_objects
from fullconv.labels import LabelSet

VERSION = "5.5.0"
"""Of the LabelMe whose format is written; masks came with 5.3."""


def to_labelme(labels: NDArray[np.uint8], label_set: LabelSet, image: str) -> dict[str, Any]:
    """Return what LabelMe reads, JSON-able: an object without holes is a polygon, one with holes a mask.

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
        return {"shape_type": "polygon", "points": outer.tolist(), "mask": None}
    left, top, width, height = region.box
    buffer = io.BytesIO()
    Image.fromarray(region.mask()).save(buffer, format="PNG")
    return {
        "shape_type": "mask",
        "points": [[left, top], [left + width - 1, top + height - 1]],  # the first and the last pixel
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }
