"""The metrics against a naive loop over pixels and the reference's score.py; order, batches, merging, big counts."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fullconv.errors import DataError
from fullconv.metrics import ABSENT, ConfusionMatrix, count_pairs, metrics_of, tally, tally_metrics


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, int, list[tuple[np.ndarray, np.ndarray]]]:
    """K, the ignore value, and some (truth, prediction) images; classes are often absent, whole images ignored."""
    count = draw(st.integers(1, 6))
    ignore = draw(st.sampled_from([255, count]))
    true = draw(st.lists(st.sampled_from([*range(count), ignore]), min_size=1, max_size=4, unique=True))
    found = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3, unique=True))
    images = []
    for _ in range(draw(st.integers(1, 4))):
        shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
        truth = draw(arrays(np.uint8, shape, elements=st.sampled_from(true)))
        images.append((truth, draw(arrays(draw(st.sampled_from(["u1", "i8"])), shape, elements=st.sampled_from(found)))))
    return count, ignore, images


def counted(count: int, ignore: int, images) -> ConfusionMatrix:
    matrix = ConfusionMatrix(count)
    for truth, prediction in images:
        matrix.update(truth, prediction, ignore)
    return matrix


def naive(count: int, ignore: int, images, absent: str) -> dict:
    """Every metric by its definition in words, looking at one pixel after the other with Python integers."""
    pixels = [(int(t), int(p)) for truth, found in images for t, p in zip(truth.flat, found.flat, strict=True) if t != ignore]
    ious, accuracies, dices, weighted = {}, {}, {}, 0.0
    for k in range(count):
        both = sum(t == k and p == k for t, p in pixels)
        either = sum(t == k or p == k for t, p in pixels)
        true = sum(t == k for t, p in pixels)
        if true:
            ious[k], accuracies[k] = both / either, both / true
            precision = both / max(sum(p == k for _, p in pixels), 1)
            recall = both / true
            dices[k] = 2 * precision * recall / (precision + recall) if both else 0.0
            weighted += true * ious[k]
        elif absent == "zero":
            ious[k] = accuracies[k] = dices[k] = 0.0
        elif absent == "union" and either:
            ious[k] = dices[k] = 0.0
    if not pixels:
        return dict.fromkeys(("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"), math.nan)
    return {
        "pixel_accuracy": sum(t == p for t, p in pixels) / len(pixels),
        "mean_accuracy": sum(accuracies.values()) / len(accuracies),
        "mean_iu": sum(ious.values()) / len(ious),
        "frequency_weighted_iu": weighted / len(pixels),
        "iu": [ious.get(k, math.nan) for k in range(count)],
        "accuracy": [accuracies.get(k, math.nan) for k in range(count)],
        "dice": [dices.get(k, math.nan) for k in range(count)],
    }


@given(problems(), st.sampled_from(ABSENT))
def test_scores_agree_with_a_loop_over_pixels(problem, absent: str):
    result = metrics_of(counted(*problem), absent)
    assert result.absent == absent
    for name, value in naive(*problem, absent).items():
        np.testing.assert_allclose(getattr(result, name), value, rtol=1e-12, err_msg=name)


@given(problems())
def test_matrix_agrees_with_a_loop_over_pixels(problem):
    count, ignore, images = problem
    expected = [[0] * count for _ in range(count)]
    for truth, prediction in images:
        for t, p in zip(truth.flat, prediction.flat, strict=True):
            if t != ignore:
                expected[t][p] += 1
    matrix = counted(*problem).matrix
    assert matrix.tolist() == expected
    assert matrix.dtype == np.int64


@given(problems(), st.integers(9, 12))
def test_runs_are_counted_as_pixels(problem, length: int):
    """Labels that are the same for many pixels in a row go another way, with layers and without."""
    count, ignore, images = problem
    for truth, found in images:
        wide, other = truth.repeat(length, -1), found.repeat(length, -1)
        once = counted(count, ignore, [(truth, found)]).matrix
        assert np.array_equal(counted(count, ignore, [(wide, other)]).matrix, once * length)
        layers = np.arange(truth.size).reshape(truth.shape) % 2
        apart = count_pairs(wide, other, count, ignore, layers.repeat(length, -1), 2)
        assert np.array_equal(apart, count_pairs(truth, found, count, ignore, layers, 2) * length)


@given(problems())
def test_union_is_the_references_score_py(problem):
    hist = counted(*problem).matrix.astype(float)
    assume(hist.any())
    with np.errstate(invalid="ignore"):  # the reference divides by 0
        # fcn.berkeleyvision.org, score.py: do_seg_tests
        overall = np.diag(hist).sum() / hist.sum()
        mean_accuracy = np.nanmean(np.diag(hist) / hist.sum(1))
        iu = np.diag(hist) / (hist.sum(1) + hist.sum(0) - np.diag(hist))
        freq = hist.sum(1) / hist.sum()
        weighted = (freq[freq > 0] * iu[freq > 0]).sum()
    result = metrics_of(hist.astype(np.int64), "union")
    np.testing.assert_allclose(
        [result.pixel_accuracy, result.mean_accuracy, result.mean_iu, result.frequency_weighted_iu],
        [overall, mean_accuracy, np.nanmean(iu), weighted],
        rtol=1e-12,
    )
    np.testing.assert_allclose(result.iu, iu, rtol=1e-12)


@given(problems(), st.randoms(use_true_random=False))
def test_order_batches_and_merging_change_nothing(problem, random):
    count, ignore, images = problem
    whole = counted(*problem).matrix
    shuffled = random.sample(images, len(images))
    assert np.array_equal(counted(count, ignore, shuffled).matrix, whole)
    batch = [np.concatenate([pair[side].ravel() for pair in shuffled]) for side in (0, 1)]  # one batch of all pixels
    assert np.array_equal(counted(count, ignore, [batch]).matrix, whole)
    cut = random.randint(0, len(images))
    merged = counted(count, ignore, images[:cut]) + counted(count, ignore, images[cut:])
    assert np.array_equal(merged.matrix, whole)


def test_the_mean_is_not_a_mean_of_image_means():
    images = [(np.zeros((1, 4), int), np.zeros((1, 4), int)), (np.array([[0, 1]]), np.array([[1, 1]]))]
    single = np.mean([metrics_of(counted(2, 255, [pair])).mean_iu for pair in images])
    assert metrics_of(counted(2, 255, images)).mean_iu == pytest.approx((4 / 5 + 1 / 2) / 2)
    assert single == pytest.approx((1 + (0 + 1 / 2) / 2) / 2)


def test_merging_leaves_both_parts_as_they_were():
    a, b = (counted(2, 255, [(np.array([[k]]), np.array([[k]]))]) for k in (0, 1))
    total = a + b
    total.update(np.array([[1]]), np.array([[0]]))
    assert total.matrix.tolist() == [[1, 0], [1, 1]]
    assert a.matrix.tolist() == [[1, 0], [0, 0]]
    assert b.matrix.tolist() == [[0, 0], [0, 1]]


def test_counts_go_beyond_32_bits():
    big = 3 * 2**31
    matrix = ConfusionMatrix(2)
    matrix.matrix[:] = [[big, big // 3], [0, 1]]
    matrix.update(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    total = matrix + matrix
    assert total.matrix.tolist() == [[2 * (big + 4), 2 * (big // 3)], [0, 2]]
    result = metrics_of(total)
    assert result.iu[0] == pytest.approx((big + 4) / (big + 4 + big // 3), rel=1e-15)
    assert result.pixel_accuracy == pytest.approx((big + 5) / (big + 5 + big // 3), rel=1e-15)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_pairs_do_not_overflow_small_label_types(dtype: type):
    # 20 * 21 + 20 does not fit into 8 bits
    labels = np.full((3, 3), 20, dtype)
    assert counted(21, 255, [(labels, labels)]).matrix[20, 20] == 9


def test_stray_pixels_of_an_absent_class_lower_the_union_mean_only():
    truth = np.array([[0] * 50 + [1] * 50])
    clean = np.where(np.arange(100) < 40, 0, 1)[None]
    stray = clean.copy()
    stray[0, 0] = 2  # absent from the truth; class 0's IU changes by this pixel alone
    before, after = (counted(4, 255, [(truth, found)]) for found in (clean, stray))
    skip, union = (metrics_of(after, absent).mean_iu for absent in ("skip", "union"))
    assert metrics_of(before, "skip").mean_iu == metrics_of(before, "union").mean_iu == pytest.approx((40 / 50 + 50 / 60) / 2)
    assert skip == pytest.approx((39 / 50 + 50 / 60) / 2)
    assert union == pytest.approx(skip * 2 / 3)
    assert metrics_of(after, "zero").mean_iu == pytest.approx(skip * 2 / 4)
    assert metrics_of(after, "union").mean_accuracy == metrics_of(after, "skip").mean_accuracy
    assert np.isnan(metrics_of(after).iu).tolist() == [False, False, True, True]
    assert np.isnan(metrics_of(after, "union").iu).tolist() == [False, False, False, True]


def test_the_papers_example_moves_by_four_points():
    # 30 classes with IU 0.485, three absent ones predicted on one pixel each: 48.5 becomes 44.1
    matrix = np.zeros((33, 33), np.int64)
    for k in range(30):
        matrix[k, k], matrix[k, (k + 1) % 30] = 970, 515
    matrix[0, 30:] = 1
    assert [round(100 * metrics_of(matrix, absent).mean_iu, 1) for absent in ("skip", "union")] == [48.5, 44.1]


@pytest.mark.parametrize("absent", ABSENT)
def test_perfect_is_one_and_nothing_counted_is_nan(absent: str):
    labels = np.arange(4).reshape(2, 2)
    perfect = metrics_of(counted(4, 255, [(labels, labels)]), absent)
    assert perfect.pixel_accuracy == perfect.mean_accuracy == perfect.mean_iu == perfect.frequency_weighted_iu == 1
    nothing = metrics_of(counted(4, 255, [(np.full((2, 2), 255), labels)]), absent)
    for value in (nothing.pixel_accuracy, nothing.mean_accuracy, nothing.mean_iu, nothing.frequency_weighted_iu):
        assert math.isnan(value)


def test_predictions_at_ignored_pixels_do_not_matter():
    truth, found = np.array([[0, 255]], np.uint8), np.array([[0, 77]])
    assert counted(2, 255, [(truth, found)]).matrix.tolist() == [[1, 0], [0, 0]]


def test_without_an_ignore_value_every_pixel_counts():
    matrix = ConfusionMatrix(2)
    with pytest.raises(DataError, match=r"in the truth \(ignore is None\): 255 \(1 px\)"):
        matrix.update(np.array([[255, 1]]), np.array([[0, 1]]), None)
    matrix.update(np.array([[0, 1]]), np.array([[0, 1]]), None)
    assert matrix.matrix.sum() == 2


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ([[0, 1]], [[0], [1]], r"truth \(1, 2\) and prediction \(2, 1\) must have one shape"),
        ([[0, 3]], [[0, 1]], r"outside 0\.\.1 in the truth \(ignore is 255\): 3 \(1 px\)"),
        ([[0, 1]], [[-1, -1]], r"outside 0\.\.1 in the prediction: -1 \(2 px\); use the data set's own label set"),
        ([[0] * 20], [[0] * 17 + [7] * 3], r"outside 0\.\.1 in the prediction: 7 \(3 px\)"),
        ([[0, 1]], [[0.0, 1.0]], "the prediction holds float64; labels are integers"),
        ([[0.0, 1.0]], [[0, 1]], r"the truth \(ignore is 255\) holds float64; labels are integers"),
    ],
)
def test_strange_labels_are_named_and_nothing_is_counted(truth, found, message):
    matrix = ConfusionMatrix(2)
    with pytest.raises(DataError, match=message):
        matrix.update(np.array(truth), np.array(found))
    assert not matrix.matrix.any()


def test_what_is_no_matrix_or_policy_is_refused():
    with pytest.raises(DataError, match="no policy 'drop' for absent classes; there are skip, union, zero"):
        metrics_of(ConfusionMatrix(2), "drop")
    with pytest.raises(DataError, match=r"square \(K, K\), rows = truth; got \(2, 3\)"):
        metrics_of(np.zeros((2, 3), np.int64))
    with pytest.raises(DataError, match="matrices of 2 and 3 classes cannot be added"):
        ConfusionMatrix(2) + ConfusionMatrix(3)


@given(problems(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_layers_are_counted_apart(problem, layers: int, random):
    count, ignore, images = problem
    for truth, found in images:
        places = np.array([random.randrange(layers) for _ in range(truth.size)], np.uint8).reshape(truth.shape)
        apart = count_pairs(truth, found, count, ignore, places, layers)
        assert apart.shape == (layers, count, count)
        for layer, matrix in enumerate(apart):
            assert np.array_equal(matrix, counted(count, ignore, [(truth[places == layer], found[places == layer])]).matrix)


@given(problems(), st.sampled_from(ABSENT))
def test_scores_of_many_tallies_are_those_of_each(problem, absent: str):
    count, ignore, images = problem
    matrices = np.stack([counted(count, ignore, [pair]).matrix for pair in images])
    found = tally_metrics(tally(matrices).reshape(1, len(images), 3, count), absent)
    for index, matrix in enumerate(matrices):
        expected = metrics_of(matrix, absent)
        for name, values in found.items():
            np.testing.assert_allclose(values[0, index], getattr(expected, name), rtol=1e-12, err_msg=name)
    total = tally_metrics(tally(matrices).sum(0), absent)
    assert float(total["mean_iu"]) == pytest.approx(metrics_of(matrices.sum(0), absent).mean_iu, rel=1e-12, nan_ok=True)
