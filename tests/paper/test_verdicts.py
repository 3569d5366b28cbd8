"""Intervals of differences against a bootstrap by loops and against what is known of means; what they decide."""

import numpy as np
import pytest
from made_scores import PIXELS, from_hits, net

from fullconv.errors import FullconvError
from fullconv.metrics import metrics_of
from fullconv.paper.verdicts import Difference, Scores


def random_net(rng: np.random.Generator, seeds: int, images: int, classes: int) -> tuple[Scores, np.ndarray]:
    """Scores, and the confusion matrices (S, N, K, K) that they come from."""
    matrices = rng.integers(0, 30, (seeds, images, classes, classes))
    matrices[..., range(classes), range(classes)] += rng.integers(0, 200, (seeds, images, classes))
    tallies = np.stack([np.diagonal(matrices, axis1=-2, axis2=-1), matrices.sum(-1), matrices.sum(-2)], -2)
    return Scores(tallies, tuple(map(str, range(images)))), matrices


def test_the_interval_of_one_seed_is_that_of_a_paired_bootstrap_by_loops() -> None:
    rng = np.random.default_rng(0)
    (first, ours), (second, theirs) = (random_net(rng, 1, 12, 3) for _ in range(2))
    found = Difference.of([first], [second])
    differences = []
    for _ in range(2000):
        drawn = rng.integers(12, size=12)
        scores = [metrics_of(sum(matrices[0, place] for place in drawn)).mean_iu for matrices in (ours, theirs)]
        differences.append(100 * (scores[0] - scores[1]))
    low, high = np.quantile(differences, [0.025, 0.975])
    assert found.value == pytest.approx(100 * np.subtract(*(metrics_of(each[0].sum(0)).mean_iu for each in (ours, theirs))))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.08 * (high - low)), pytest.approx(high, abs=0.08 * (high - low)))


@pytest.mark.parametrize("seeds", [2, 3, 30])
def test_seeds_vary_the_mean_as_new_seeds_would(seeds: int) -> None:
    """Of images that are all alike only the seeds speak: the variance of a mean is that of one over their number."""
    offsets = np.random.default_rng(1).normal(size=seeds)
    higher, lower = net(*(50 + offsets)), net(*[50] * seeds)
    found = Difference.of([higher], [lower])
    error = offsets.std(ddof=1) / np.sqrt(seeds)
    assert found.value == pytest.approx(offsets.mean(), abs=1e-3)
    if seeds == 30:
        assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.07)
    if seeds == 2:  # both ends are drawn, stretched by the root of 2: two seeds say little
        assert (found.high - found.low) / 2 == pytest.approx(np.sqrt(2) * abs(np.diff(offsets)[0]) / 2, abs=1e-3)
    if seeds == 3:
        assert (found.high - found.low) / 2 > error


def test_images_are_paired() -> None:
    """Images are hard or easy for both nets: the difference is nearly the same in each, though scores are far apart."""
    rng = np.random.default_rng(2)
    hits = rng.uniform(0.2, 0.9, (1, 60)) * PIXELS
    found = Difference.of([from_hits(hits + 0.03 * PIXELS)], [from_hits(hits)], "pixel_accuracy")
    assert (found.low, found.high) == (pytest.approx(3, abs=0.01), pytest.approx(3, abs=0.01))
    alone = Difference.of([from_hits(hits)], [from_hits(np.full((1, 60), hits.mean()))], "pixel_accuracy")
    assert alone.high - alone.low > 5


def test_seeds_are_paired() -> None:
    """Seeds with a good start serve both nets: the difference of each seed is the same."""
    starts = np.array([20.0, 30.0, 40.0])
    found = Difference.of([net(*(starts + 2))], [net(*starts)])
    assert (found.low, found.high) == (pytest.approx(2, abs=1e-3), pytest.approx(2, abs=1e-3))


@pytest.mark.parametrize(
    ("higher", "lower", "better", "alike", "no_gain", "not_behind"),
    [
        ((45, 45), (40, 40), True, False, False, True),
        ((40, 40), (45, 45), False, False, True, False),
        ((40.5, 40.5), (40, 40), True, True, True, True),  # by little, but surely
        ((40.4, 39.7), (40, 40), False, True, True, True),  # by chance within a point
        ((43, 39), (40, 40), None, None, None, None),  # of two seeds that differ by four points
        ((49, 42), (40, 40), True, None, None, True),  # better; by more than a point is not sure
        ((40.2, 37), (40, 40), None, None, True, None),
    ],
)
def test_what_an_interval_decides(higher, lower, better, alike, no_gain, not_behind) -> None:  # type: ignore[no-untyped-def]
    found = Difference.of([net(*higher)], [net(*lower)])
    assert (found.better, found.alike, found.no_gain, found.not_behind) == (better, alike, no_gain, not_behind)


@pytest.mark.parametrize("claim", ["alike", "no_gain", "not_behind", "better"])
def test_noisier_runs_hold_nothing_more_easily(claim: str) -> None:
    """The same mean difference, 0.3 points, from ever noisier seeds: what was held becomes undecided and never comes back."""
    held = []
    for noise in (0.1, 0.5, 1, 3, 10):
        higher = net(*(40.3 + noise * np.array([-1, 0, 1])))
        held.append(getattr(Difference.of([higher], [net(40, 40, 40)]), claim))
    assert held == sorted(held, key=lambda verdict: verdict is not True)
    assert held[0] is True
    assert held[-1] is None


def test_the_difference_of_two_differences() -> None:
    found = Difference.of([net(50, 52), net(41, 41)], [net(40, 42), net(44, 44)])
    assert found.value == pytest.approx((50 - 40 + 52 - 42) / 2 - (44 - 41), abs=1e-3)
    assert found.better


def test_one_image_says_nothing_of_others() -> None:
    found = Difference.of([net(50, images=1)], [net(40, images=1)])
    assert found.value == pytest.approx(10, abs=1e-3)
    assert (found.better, found.alike, found.no_gain, found.not_behind) == (None, None, None, None)


def test_what_stands_behind_a_difference_is_said() -> None:
    assert str(Difference(1.25, -0.5, 3.0, 1, 100)) == "+1.2 (-0.5 to +3.0; one seed, so images alone: 100)"
    assert str(Difference(-1.0, -2.0, 0.0, 3, 100)) == "-1.0 (-2.0 to +0.0; 3 seeds, 100 images)"


def test_nets_on_other_images_or_of_other_seeds_are_not_compared() -> None:
    for other in (net(40, images=19), net(40, 40), Scores(net(40).tallies, tuple("abcdefghijklmnopqrst"))):
        with pytest.raises(FullconvError, match="only nets of the same seeds on the same images can be compared"):
            Difference.of([net(41)], [other])
