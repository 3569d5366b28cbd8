"""Masks that store labels are read as they are; what else they hold is refused."""

import numpy as np
import pytest
from PIL import Image

from fullconv.data.masks import read_mask
from fullconv.errors import DataError
from fullconv.labels import VOC


def test_masks_are_indices_whatever_their_palette(tmp_path):
    labels = np.array([[0, 20, 255], [3, 2, 1]], np.uint8)
    for kind in ("P", "L"):
        image = Image.fromarray(labels)
        if kind == "P":
            image.putpalette([7] * 768)  # all colours alike: only indices tell the classes apart
        image.save(tmp_path / f"{kind}.png")
        assert np.array_equal(read_mask(tmp_path / f"{kind}.png", VOC), labels)


def test_masks_of_colours_or_of_other_classes_are_refused(tmp_path):
    VOC.to_image(np.array([[1, 2]])).convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(DataError, match=r"colours\.png: a mask must be a palette or 8-bit grey image .* is RGB"):
        read_mask(tmp_path / "colours.png", VOC)
    Image.fromarray(np.array([[0, 21, 200, 200]], np.uint8)).save(tmp_path / "other.png")
    with pytest.raises(DataError, match=r"other\.png: labels outside 0\.\.20 .*: 21 \(1 px\), 200 \(2 px\)"):
        read_mask(tmp_path / "other.png", VOC)
