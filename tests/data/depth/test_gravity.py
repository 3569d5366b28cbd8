"""Gravity from normals whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinhole import turned

from fullconv.data.depth.gravity import estimate_gravity
from fullconv.errors import DataError


def field(vectors):
    """Normals (3, 1, n) of unit length."""
    vectors = np.asarray(vectors, float)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T[:, None]


def degrees_between(a, b):
    return np.degrees(np.arccos(np.clip(a @ b, -1, 1)))


@given(pitch=st.floats(-30, 30), roll=st.floats(-30, 30))
def test_floor_and_walls_give_it_exactly(pitch, roll):
    axes = np.repeat([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, -1, 0]], [50, 60, 90, 20], axis=0)
    rotation = turned(pitch, roll)
    found = estimate_gravity(field(axes @ rotation.T))
    np.testing.assert_allclose(found, rotation[:, 1], atol=1e-9)


@given(pitch=st.floats(-25, 25), roll=st.floats(-25, 25), seed=st.integers(0, 1000))
def test_noise_and_slanted_things_move_it_little(pitch, roll, seed):
    rng = np.random.default_rng(seed)
    axes = np.repeat([[0, 1, 0], [1, 0, 0], [0, 0, 1]], [2000, 1500, 1500], axis=0)
    clutter = rng.normal(size=(1000, 3))
    rotation = turned(pitch, roll)
    normals = np.concatenate([axes + rng.normal(0, 0.05, axes.shape), clutter])
    assert degrees_between(estimate_gravity(field(normals @ rotation.T)), rotation[:, 1]) < 1


def test_a_tilt_past_45_degrees_is_out_of_reach():
    rotation = turned(60, 0)
    axes = np.repeat([[0, 1, 0], [0, 0, 1]], 200, axis=0)
    assert degrees_between(estimate_gravity(field(axes @ rotation.T)), rotation[:, 1]) > 25  # it takes the wall for the floor


def test_missing_normals_take_no_part():
    normals = field(np.repeat([[0, 0.8, 0.6], [1, 0, 0]], [150, 50], axis=0))
    normals[:, :, 150:] = np.nan
    np.testing.assert_allclose(estimate_gravity(normals), [0, 0.8, 0.6], atol=1e-12)


@pytest.mark.parametrize(("normal", "expected"), [((0, 0, 1), (0, 1, 0)), ((0, 0.6, 0.8), (0, 0.8, -0.6))])
def test_of_all_directions_along_a_single_wall_the_nearest_to_level_is_taken(normal, expected):
    np.testing.assert_allclose(estimate_gravity(field([normal] * 200)), expected, atol=1e-9)


def test_too_few_normals_are_refused():
    normals = field([[0, 1, 0]] * 99 + [[np.nan] * 3] * 500)
    with pytest.raises(DataError, match=r"99 are too few \(least 100\); pass the direction as gravity="):
        estimate_gravity(normals)


def test_surfaces_neither_along_nor_across_are_refused():
    corners = [[x, y, 1] for x in (1, -1) for y in (1, -1)] * 50
    with pytest.raises(DataError, match=r"do not tell where gravity points \(within 15 degrees of a guess\); pass"):
        estimate_gravity(field(corners))
