"""The bands around label borders against a loop over windows; the scores in them against a loop over pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fullconv.evaluation import compare
from fullconv.evaluation.trimap import WIDTHS, Trimap, bands

maps = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from([0, 0, 0, 0, 1, 255]))
rising = st.sets(st.integers(1, 15), min_size=1, max_size=5).map(sorted)


def within(labels: np.ndarray, row: int, column: int, width: int) -> bool:
    """Whether another label lies within ``width`` pixels, by the definition."""
    window = labels[max(row - width, 0) : row + width + 1, max(column - width, 0) : column + width + 1]
    return bool((window != labels[row, column]).any())


def naive(labels: np.ndarray, widths) -> np.ndarray:
    result = np.empty(labels.shape, int)
    for place in np.ndindex(labels.shape):
        result[place] = sum(not within(labels, *place, width) for width in widths)
    return result


@given(maps, rising)
def test_bands_agree_with_a_loop_over_windows(labels: np.ndarray, widths: list[int]):
    before = labels.copy()
    found = bands(labels, widths)
    assert found.dtype == np.uint8
    assert found.tolist() == naive(labels, widths).tolist()
    assert np.array_equal(labels, before)


def test_bands_of_a_single_border_are_its_distance():
    labels = np.zeros((100, 90), np.uint8)
    labels[:, 40:] = 7
    distance = np.where(np.arange(90) < 40, 40 - np.arange(90), np.arange(90) - 39)
    assert np.array_equal(bands(labels), np.broadcast_to(np.searchsorted(WIDTHS, distance), (100, 90)))


def test_one_pixel_reaches_a_square():
    labels = np.zeros((81, 81), np.uint8)
    labels[40, 40] = 1
    found = bands(labels)
    for place, width in enumerate(WIDTHS):
        inside = np.zeros((81, 81), bool)
        inside[40 - width : 41 + width, 40 - width : 41 + width] = True
        assert np.array_equal(found <= place, inside)


def test_the_images_edge_is_no_border():
    assert (bands(np.zeros((5, 7), np.uint8)) == len(WIDTHS)).all()


def test_ignored_pixels_make_borders_but_are_not_scored(drawn):
    truth = np.array([[0, 0, 0, 255, 255, 1, 1]], np.uint8)
    found = np.array([[1, 0, 1, 0, 0, 1, 0]], np.uint8)
    drawn.samples = [type(drawn.samples[0]).from_arrays("a", {"rgb": found}, {"semantic": truth})]
    study = compare({"a": (lambda inputs: inputs["rgb"][0].numpy(), drawn.labels["semantic"])}, drawn).first
    assert study.trimap.rings[0].tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0] * 4, [0] * 4]
    assert study.trimap.rings[1].tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    assert study.trimap.rings.sum() == 5


def test_scores_of_a_band_agree_with_a_loop_over_its_pixels(drawn, models):
    study = compare(models, drawn).first
    for width, score in zip(WIDTHS, study.trimap.metrics(), strict=True):
        pixels = []
        for sample in drawn.samples:
            truth, found = sample.targets["semantic"].numpy(), sample.inputs["rgb"][0].numpy()
            near = (place for place in np.ndindex(truth.shape) if truth[place] != 255 and within(truth, *place, width))
            pixels += [(truth[place], found[place]) for place in near]
        ious = []
        for k in {truth for truth, _ in pixels}:
            both = sum(t == p == k for t, p in pixels)
            ious.append(both / sum(k in pair for pair in pixels))
        assert score.mean_iu == pytest.approx(np.mean(ious), rel=1e-12)
        assert score.pixel_accuracy == pytest.approx(sum(t == p for t, p in pixels) / len(pixels), rel=1e-12)


def test_a_band_without_pixels_has_no_score():
    rings = np.zeros((3, 2, 2), np.int64)
    rings[1:, 0, 0] = 5
    trimap = Trimap((1, 4), rings)
    assert math.isnan(trimap.metrics()[0].mean_iu)
    assert trimap.to_dict()["mean_iu"] == [None, 1.0]
    assert trimap.to_dict()["widths"] == [1, 4]
