"""Label maps, and naive decoders of what annotation files hold of them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

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


def annotated(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What annotation files can hold: background for all that they leave out."""
    return np.where(labels == CLASSES.ignore_index, 0, labels)
