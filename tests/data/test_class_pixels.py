"""Balanced sampling: counts against a loop, probabilities by hand, draws that resume and that processes share."""

import numpy as np
import pytest
import torch

from fullconv.data import open_dataset
from fullconv.data.class_pixels import class_pixels, draw_shares
from fullconv.data.draws import StepSampler
from fullconv.spec import DataSpec


def test_counts_against_a_loop_over_samples() -> None:
    spec = DataSpec(count=5, size=(24, 32))
    dataset = open_dataset(spec, "train")
    seen: list[tuple[int, int]] = []
    found = class_pixels(dataset, spec, lambda done, of: seen.append((done, of)))["semantic"]
    for place in range(5):
        mask = dataset[place].targets["semantic"].numpy()
        assert found[place].tolist() == [int((mask == label).sum()) for label in range(len(dataset.labels["semantic"]))]
    assert seen == [(n, 5) for n in range(1, 6)]


def test_shares_by_hand() -> None:
    """Of ten images all show class 0, four class 1 (one of them class 2 of the second head too), one nothing at all."""
    first = torch.zeros(10, 3, dtype=torch.int64)
    first[:9, 0] = 50
    first[:4, 1] = 1
    second = torch.zeros(10, 2, dtype=torch.int64)
    second[0, 1] = 7
    weights = np.array([1 / np.sqrt(0.1), *[1 / np.sqrt(0.4)] * 3, *[1 / np.sqrt(0.9)] * 5, 1.0])
    np.testing.assert_allclose(draw_shares({"a": first, "b": second}), weights / weights.sum(), rtol=1e-12)


def test_draws_follow_the_shares_and_depend_on_seed_and_step_alone() -> None:
    shares = np.array([0.5, 0.0, 0.3, 0.2])
    whole = list(StepSampler(4, 50, seed=3, steps=40, shares=shares))
    for kind in ("sample", "other"):
        counts = np.bincount([getattr(draw, kind) for step in whole for draw in step], minlength=4)
        assert counts[1] == 0
        assert np.abs(counts / counts.sum() - shares).max() < 5 * np.sqrt(0.25 / 2000)
    assert [draw.sample for draw in whole[0]] != [draw.other for draw in whole[0]]
    assert list(StepSampler(4, 50, seed=3, start_step=30, steps=10, shares=shares)) == whole[30:]
    halves = [StepSampler(4, 50, seed=3, steps=1, shares=shares, rank=rank, world=2).draws(0) for rank in range(2)]
    assert halves[0] + halves[1] == whole[0]


@pytest.mark.parametrize("shares", [np.array([0.0, 1.0]), np.array([1.0, 0.0])])
def test_ends_of_the_range(shares: np.ndarray) -> None:
    assert {draw.sample for draw in StepSampler(2, 300, 0, steps=1, shares=shares).draws(0)} == {int(shares.argmax())}
