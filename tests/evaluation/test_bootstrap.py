"""Intervals: against draws that are counted one after the other, and against the normal distribution where it is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fullconv.evaluation.bootstrap import interval, resample
from fullconv.evaluation.report import METRICS
from fullconv.metrics import ABSENT, scores, tally


def tallies(*matrices) -> np.ndarray:
    return tally(np.array(matrices))[None]


@given(
    arrays(np.int64, st.tuples(st.integers(1, 2), st.integers(1, 5), st.just(3), st.just(3)), elements=st.integers(0, 3)),
    st.sampled_from(ABSENT),
    st.integers(0, 5),
)
def test_draws_agree_with_counting_one_after_the_other(matrices: np.ndarray, absent: str, seed: int):
    images = matrices.shape[1]
    found = resample(tally(matrices), absent, seed=seed, resamples=107)
    generator = np.random.default_rng(seed)
    for draw in range(107):
        times = generator.multinomial(images, [1 / images] * images)
        for model, own in enumerate(matrices):
            expected = scores(sum(count * matrix for count, matrix in zip(times, own, strict=True)), absent)
            for key in METRICS:
                assert found[key][model, draw] == pytest.approx(getattr(expected, key), rel=1e-12, nan_ok=True)


def test_the_interval_of_a_share_is_the_normal_distributions():
    # 400 images of one pixel, 100 of them wrong: the share of right ones has the standard deviation sqrt(p q / n)
    right, wrong = [[1, 0], [0, 0]], [[0, 1], [0, 0]]
    draws = resample(tallies(*[right] * 300, *[wrong] * 100), resamples=20000)
    deviation = (0.75 * 0.25 / 400) ** 0.5
    assert interval(draws["pixel_accuracy"][0]) == pytest.approx((0.75 - 1.96 * deviation, 0.75 + 1.96 * deviation), abs=0.002)
    assert draws["pixel_accuracy"].std() == pytest.approx(deviation, rel=0.03)


def test_a_class_that_is_not_drawn_is_left_out_of_that_draws_mean():
    first, second = [[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    mean = resample(tallies(first, second), "skip", resamples=8000)["mean_iu"][0]
    values, counts = np.unique(mean, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert counts / 8000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
    # counted as 0 when they are absent, one class in three is right at most
    assert set(resample(tallies(first, second), "zero")["mean_iu"][0]) == {0, 1 / 3}


def test_models_share_the_draws():
    matrices = np.random.default_rng(0).integers(0, 9, (30, 3, 3))
    twice = resample(tally(np.stack([matrices, matrices])))
    assert np.array_equal(*twice["mean_iu"])
    assert np.ptp(interval(twice["mean_iu"][0])) > 0.02


def test_the_seed_is_the_only_chance():
    data = tallies(*np.random.default_rng(0).integers(0, 9, (30, 3, 3)))
    again = [resample(data, seed=seed)["mean_iu"] for seed in (3, 3, 4)]
    assert np.array_equal(again[0], again[1])
    assert not np.array_equal(again[0], again[2])


def test_draws_without_truth_are_left_out():
    assert interval(np.array([np.nan, 0.5, np.nan, 0.5])) == (0.5, 0.5)
    assert np.isnan(interval(np.array([np.nan, np.nan]))).all()
    nothing = np.zeros((3, 3), int)
    draws = resample(tallies(nothing, np.eye(3, dtype=int)), resamples=500)["mean_iu"][0]
    assert np.isnan(draws).any()
    assert interval(draws) == (1, 1)
