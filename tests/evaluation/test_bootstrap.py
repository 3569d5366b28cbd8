"""Intervals: against draws that are counted one after the other, and against the normal distribution where it is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fullconv.evaluation.bootstrap import interval, resample
from fullconv.evaluation.report import METRICS
from fullconv.metrics import ABSENT, metrics_of, tally


def tallies(*matrices) -> np.ndarray:
    return tally(np.array(matrices))[None]


@settings(max_examples=12)
@given(
    arrays(np.int64, st.tuples(st.integers(1, 2), st.integers(1, 5), st.just(3), st.just(3)), elements=st.integers(0, 3)),
    st.sampled_from(ABSENT),
    st.integers(0, 5),
)
def test_draws_agree_with_counting_one_after_the_other(matrices: np.ndarray, absent: str, seed: int):
    images = matrices.shape[1]
    found = resample(tally(matrices), absent, seed=seed, resamples=103)
    generator = np.random.default_rng(seed)
    for draw in range(103):
        times = generator.multinomial(images, [1 / images] * images)
        for model, own in enumerate(matrices):
            expected = in_a_draw(sum(count * matrix for count, matrix in zip(times, own, strict=True)), own.sum(0), absent)
            for key in METRICS:
                assert found[key][model, draw] == pytest.approx(expected[key], rel=1e-12, nan_ok=True)


def in_a_draw(drawn: np.ndarray, whole: np.ndarray, absent: str) -> dict[str, float]:
    """The four metrics of what was drawn; classes that were not keep their scores over all images."""
    found, kept = metrics_of(drawn, absent), metrics_of(whole, absent)
    metrics = {key: getattr(found, key) for key in METRICS}
    if drawn.any():
        for mean, single in (("mean_iu", "iu"), ("mean_accuracy", "accuracy")):
            values = [getattr(found if row.any() else kept, single)[k] for k, row in enumerate(drawn)]
            metrics[mean] = np.mean([value for value in values if not np.isnan(value)])
    return metrics


def test_the_interval_of_a_share_is_the_normal_distributions():
    # 400 images of one pixel, 100 of them wrong: the share of right ones has the standard deviation sqrt(p q / n)
    right, wrong = [[1, 0], [0, 0]], [[0, 1], [0, 0]]
    draws = resample(tallies(*[right] * 300, *[wrong] * 100), resamples=20000)
    deviation = (0.75 * 0.25 / 400) ** 0.5
    assert interval(draws["pixel_accuracy"][0]) == pytest.approx((0.75 - 1.96 * deviation, 0.75 + 1.96 * deviation), abs=0.002)
    assert draws["pixel_accuracy"].std() == pytest.approx(deviation, rel=0.03)


def test_a_rare_class_does_not_move_the_mean_by_its_absence():
    common, rare = [[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    # class 0 is always right and class 1 always wrong, whether the one image that has it is drawn or not
    for absent, mean in (("skip", 1 / 2), ("union", 1 / 3), ("zero", 1 / 3)):
        draws = resample(tallies(*[common] * 9, rare), absent)["mean_iu"][0]
        assert set(draws) == {mean}


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
