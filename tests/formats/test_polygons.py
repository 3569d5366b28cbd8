"""Polygons hold exactly the label map: against a flood fill, a naive even-odd rasteriser and the shoelace formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from fullconv.errors import DataError
from fullconv.formats.polygons import Region, find_objects, find_regions
from fullconv.labels import LabelSet, voc_colors

label_maps = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 2))


def rasterise(rings: tuple[NDArray[np.int64], ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside by the even-odd rule: every upright side flips all pixels to its right."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        corners = ring.tolist()
        for (x, y), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if x == x1:
                inside[min(y, y1) : max(y, y1), x:] ^= True
    return inside


def shoelace(ring: NDArray[np.int64]) -> float:
    (x, y), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    return float((x * y1 - x1 * y).sum()) / 2


def flood_fill(labels: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    """The 4-connected regions, pixel by pixel, in reading order."""
    regions, seen = [], np.zeros(labels.shape, bool)
    for start in np.ndindex(labels.shape):
        if seen[start]:
            continue
        region, stack = np.zeros(labels.shape, bool), [start]
        while stack:
            i, j = stack.pop()
            inside = 0 <= i < labels.shape[0] and 0 <= j < labels.shape[1]
            if inside and not region[i, j] and labels[i, j] == labels[start]:
                region[i, j] = True
                stack += [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
        seen |= region
        regions.append(region)
    return regions


@given(label_maps)
def test_every_region_is_traced_exactly(labels: NDArray[np.uint8]) -> None:
    truth = flood_fill(labels)
    found = find_regions(labels)
    assert len(found) == len(truth)
    for region, pixels in zip(found, truth, strict=True):
        assert (labels[pixels] == region.label).all()
        np.testing.assert_array_equal(rasterise(region.rings, labels.shape), pixels)


@given(label_maps)
def test_areas_boxes_and_masks(labels: NDArray[np.uint8]) -> None:
    for region, pixels in zip(find_regions(labels), flood_fill(labels), strict=True):
        assert region.area == pixels.sum() == sum(shoelace(ring) for ring in region.rings)
        rows, columns = np.nonzero(pixels)
        left, top, width, height = region.box
        assert (left, top) == (columns.min(), rows.min())
        assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())
        np.testing.assert_array_equal(region.mask(), pixels[top : top + height, left : left + width])


@given(label_maps)
def test_form_of_the_rings(labels: NDArray[np.uint8]) -> None:
    for region, pixels in zip(find_regions(labels), flood_fill(labels), strict=True):
        row, column = np.argwhere(pixels)[0]
        assert region.rings[0][0].tolist() == [column, row]
        assert [np.sign(shoelace(ring)) for ring in region.rings] == [1] + [-1] * (len(region.rings) - 1)
        for ring in region.rings:
            assert len(np.unique(ring, axis=0)) == len(ring)  # it does not meet itself
            upright = (np.roll(ring, -1, axis=0) == ring)[:, 0]
            assert (upright != np.roll(upright, 1)).all()  # it turns at every corner


def test_a_region_that_touches_itself_diagonally() -> None:
    """The bay of a C that is closed by a corner becomes a hole; two holes that touch by a corner stay two."""
    closed = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]])
    region = next(region for region in find_regions(closed) if region.label == 1)
    assert [len(ring) for ring in region.rings] == [6, 4]
    holes = np.ones((4, 4), int)
    holes[1, 1] = holes[2, 2] = 0
    assert [sorted(ring.tolist()) for ring in find_regions(holes)[0].rings[1:]] == [
        [[1, 1], [1, 2], [2, 1], [2, 2]],
        [[2, 2], [2, 3], [3, 2], [3, 3]],
    ]


def test_regions_within_holes_of_regions() -> None:
    labels = np.zeros((9, 9), np.uint8)
    for depth in range(5):
        labels[depth : 9 - depth, depth : 9 - depth] = depth % 2
    found = find_regions(labels)
    assert [region.area for region in found] == [32, 24, 16, 8, 1]
    assert [len(region.rings) for region in found] == [2, 2, 2, 2, 1]


@pytest.mark.parametrize("labels", [np.zeros((2, 2)), np.zeros((0, 3), int), np.zeros((1, 2, 2), int)])
def test_what_is_no_label_map(labels: NDArray[np.generic]) -> None:
    with pytest.raises(DataError, match=r"regions are found in integers \(H, W\) with at least one pixel; got"):
        find_regions(labels)  # type: ignore[arg-type]  # the mistake


def test_values_beyond_bytes() -> None:
    assert [region.label for region in find_regions(np.array([[-3, 70_000]]))] == [-3, 70_000]
    assert find_regions(np.array([[5]])) != []
    assert isinstance(find_regions(np.array([[5]]))[0], Region)


def test_a_class_zero_that_is_no_background_is_annotated() -> None:
    streets = LabelSet(("road", "sky"), voc_colors(2))
    assert [region.label for region in find_objects(np.array([[0, 1]]), streets)] == [0, 1]
