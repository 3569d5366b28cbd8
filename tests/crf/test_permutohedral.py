"""The lattice filter against the authors' algorithm with a hash table, point by point, and against exact Gaussian sums."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.crf.permutohedral import Permutohedral
from fullconv.errors import SpecError


def hash_table_filter(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Adams, Baek and Davis' algorithm as their C++ has it: a loop over features, and a table of the points near one."""
    count, d = features.shape
    scale = [np.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1) * (i + 2)) for i in range(d)]
    table: dict[tuple, np.ndarray] = defaultdict(lambda: np.zeros(values.shape[1]))
    simplices = []
    for n in range(count):
        scaled = features[n] * scale
        elevated, total = np.zeros(d + 1), 0.0
        for j in range(d, 0, -1):
            elevated[j] = total - j * scaled[j - 1]
            total += scaled[j - 1]
        elevated[0] = total
        base = [round(e / (d + 1)) * (d + 1) for e in elevated]
        rank = [sum(elevated[k] - base[k] > elevated[j] - base[j] for k in range(d + 1)) for j in range(d + 1)]
        excess = sum(base) // (d + 1)
        for j in range(d + 1):
            rank[j] += excess
            if rank[j] < 0:
                rank[j], base[j] = rank[j] + d + 1, base[j] + d + 1
            elif rank[j] > d:
                rank[j], base[j] = rank[j] - d - 1, base[j] - d - 1
        weights = np.zeros(d + 2)
        for j in range(d + 1):
            rest = (elevated[j] - base[j]) / (d + 1)
            weights[d - rank[j]] += rest
            weights[d + 1 - rank[j]] -= rest
        weights[0] += 1 + weights[d + 1]
        corners = [tuple(b + (k if r <= d - k else k - d - 1) for b, r in zip(base, rank, strict=True)) for k in range(d + 1)]
        simplices.append((corners, weights))
        for corner, weight in zip(corners, weights, strict=False):
            table[corner] += weight * values[n]
    points = list(table)
    for j in range(d + 1):
        step = np.array([d if k == j else -1 for k in range(d + 1)])
        nothing = np.zeros(values.shape[1])
        before, after = ([table.get(tuple(s * step + point), nothing) for point in points] for s in (1, -1))
        table = dict(
            zip(points, [table[p] / 2 + (a + b) / 4 for p, a, b in zip(points, before, after, strict=True)], strict=True)
        )
    return np.array([sum(w * table[c] for c, w in zip(corners, weights, strict=False)) for corners, weights in simplices])


@settings(max_examples=40)
@given(d=st.integers(1, 6), count=st.integers(1, 20), spread=st.floats(0.1, 8), seed=st.integers(0, 99))
def test_it_is_the_authors_algorithm(d: int, count: int, spread: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    features, values = random.normal(scale=spread, size=(count, d)), random.random((count, 3))
    expected = hash_table_filter(features, values)
    found = Permutohedral(torch.from_numpy(features))(torch.from_numpy(values).float()).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize(("d", "span", "mean", "worst"), [(1, 8, 0.005, 0.02), (2, 4, 0.015, 0.05), (5, 1.5, 0.025, 0.09)])
def test_averages_come_near_those_of_exact_gaussians(d: int, span: float, mean: float, worst: float) -> None:
    """Dense features, as pixels are; averages of a step from 0 to 1. Measured: mean .004, .011, .018; worst .015, .037, .067."""
    features = torch.from_numpy(np.random.default_rng(0).uniform(0, span, (2000, d)))
    values = torch.stack([torch.ones(2000), (features[:, 0] > span / 2).float()], 1)
    exact = torch.exp(-(torch.cdist(features, features) ** 2) / 2).float() @ values
    found = Permutohedral(features)(values)
    error = (found[:, 1] / found[:, 0] - exact[:, 1] / exact[:, 0]).abs()
    assert error.mean() < mean
    assert error.max() < worst


def test_features_far_apart_do_not_meet() -> None:
    features = torch.cat([torch.zeros(5, 5), torch.full((3, 5), 50.0)])
    lattice = Permutohedral(features)
    found = lattice(torch.tensor([[1.0]] * 5 + [[0.0]] * 3))
    assert (found[:5] > 0).all()
    assert (found[5:] == 0).all()


def test_features_too_far_apart_to_be_numbered() -> None:
    with pytest.raises(SpecError, match=r"the filter is too narrow for so large an image .*; choose wider positions or colours"):
        Permutohedral(torch.cat([torch.zeros(1, 5), torch.full((1, 5), 1e5)]))
