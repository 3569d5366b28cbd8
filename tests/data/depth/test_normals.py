"""Normals from integral images against a loop over pixels, and against planes whose normal is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinhole import rays

from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.depth.normals import surface_normals


def camera(height, width, focal=40.0):
    return Intrinsics(focal, focal * 1.1, width / 2 - 0.8, height / 2 + 0.3, (height, width))


def by_loop(depth, known, camera, radius):
    """The plane n · p = 1 through the points of each window, by a solver, pixel for pixel."""
    directions = rays(camera)
    normals = np.full((3, *depth.shape), np.nan)
    for i, j in np.ndindex(depth.shape):
        window = np.s_[max(0, i - radius) : i + radius + 1, max(0, j - radius) : j + radius + 1]
        a, b = directions[:, *window][:, known[window]].T, 1 / depth[window][known[window]]
        if len(a) >= 3 and np.linalg.matrix_rank(a, tol=1e-6) == 3:
            n = np.linalg.lstsq(a, b, rcond=None)[0]
            normals[:, i, j] = n * np.sign(n @ directions[:, i, j]) / np.linalg.norm(n)
    return normals


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    radius=st.integers(1, 5),
    holes=st.floats(0, 0.8),
    seed=st.integers(0, 10**6),
)
def test_equal_to_a_loop_over_pixels(height, width, radius, holes, seed):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(2, 2.2, (height, width))
    known = rng.random((height, width)) >= holes
    found = surface_normals(np.where(known, depth, 0), known, camera(height, width), radius)
    np.testing.assert_allclose(found, by_loop(depth, known, camera(height, width), radius), atol=1e-7)


@given(
    normal=st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9), st.floats(0.5, 1)),
    distance=st.floats(0.5, 5),
    radius=st.integers(1, 10),
)
def test_the_normal_of_a_plane_is_found_at_every_pixel(normal, distance, radius):
    view = camera(12, 15, focal=60.0)
    n = np.array(normal) / np.linalg.norm(normal)
    depth = distance / np.tensordot(n, rays(view), 1)
    found = surface_normals(depth, depth > 0, view, radius)
    np.testing.assert_allclose(found, np.broadcast_to(n[:, None, None], found.shape), atol=1e-9)


def test_far_from_the_origin_of_a_large_image_it_is_as_exact():
    view = camera(480, 640, focal=520.0)
    n = np.array([0.1, 0.8, 0.6]) / np.linalg.norm([0.1, 0.8, 0.6])
    sideways = np.tensordot(n, rays(view), 1)
    known = sideways > 0.05
    depth = np.divide(1.5, sideways, out=np.zeros(known.shape), where=known)
    found = surface_normals(depth, known, view, 3)
    np.testing.assert_allclose(found[:, known], np.broadcast_to(n[:, None], found[:, known].shape), atol=1e-8)


@pytest.mark.parametrize("shape", [(1, 20), (20, 1), (1, 1), (2, 1)])
def test_pixels_on_a_line_have_no_normal(shape):
    depth = np.full(shape, 2.0)
    assert np.isnan(surface_normals(depth, depth > 0, camera(*shape), 3)).all()


def test_a_hole_gets_the_normal_around_it_and_a_wide_one_none():
    view = camera(24, 24)
    known = np.ones((24, 24), bool)
    known[2, 2] = known[10:19, 10:19] = False
    found = surface_normals(np.where(known, 2.0, 0), known, view, 3)
    np.testing.assert_allclose(found[:, 2, 2], [0, 0, 1], atol=1e-9)
    nothing = np.zeros((24, 24), bool)
    nothing[12:17, 13:16] = nothing[13:16, 12:17] = True  # at most one row or one column of the window is known: a line
    np.testing.assert_array_equal(np.isnan(found[0]), nothing)
