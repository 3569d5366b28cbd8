"""Shapes against a second route: marching along each ray with the shape's inequality, in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fullconv.data.scenes.raycast import Ball, Box, Cone, Cylinder, Pose, cast, corners

BOX, BALL, CYLINDER, CONE = Box(0.3, 0.5, 0.8), Ball(0.6), Cylinder(0.4, 0.7), Cone(0.5, 0.6)
SHAPES = [BOX, BALL, CYLINDER, CONE]


def holds(shape, p):
    """Whether points (3, n) lie inside, by the shape's definition."""
    x, y, z = p
    rho = np.hypot(x, z)
    if shape is BOX:
        return (np.abs(x) < 0.3) & (np.abs(y) < 0.5) & (np.abs(z) < 0.8)
    if shape is BALL:
        return x * x + y * y + z * z < 0.36
    if shape is CYLINDER:
        return (rho < 0.4) & (np.abs(y) < 0.7)
    return (np.abs(y) < 0.6) & (rho < 0.5 * (0.6 - y) / 1.2)


def march(shape, origin, direction):
    """First and last t inside, found by steps and halving; None where no step falls inside."""
    t = np.linspace(0, 8, 4001)
    inside = np.flatnonzero(holds(shape, origin[:, None] + t * direction[:, None]))
    if not inside.size:
        return None
    return tuple(
        halve(shape, origin, direction, t[out], t[at]) for out, at in ((inside[0] - 1, inside[0]), (inside[-1] + 1, inside[-1]))
    )


def halve(shape, origin, direction, out, at):
    for _ in range(40):
        middle = (out + at) / 2
        if holds(shape, (origin + middle * direction)[:, None])[0]:
            at = middle
        else:
            out = middle
    return at


def rays(rng, count):
    origins = rng.normal(size=(3, count))
    origins *= 4 / np.linalg.norm(origins, axis=0)
    directions = rng.uniform(-0.9, 0.9, (3, count)) - origins
    return origins, directions / np.linalg.norm(directions, axis=0)


def random_pose(rng):
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.sign(np.linalg.det(q))
    return Pose(q, rng.normal(size=3))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_interval_is_where_marching_finds_the_inside(shape):
    origins, directions = rays(np.random.default_rng(1), 300)
    t0, t1 = shape.interval(origins, directions)
    hits = 0
    for ray in range(300):
        found = march(shape, origins[:, ray], directions[:, ray])
        if found is None:  # at most a corner thinner than a step
            assert t1[ray] - t0[ray] < 0.004 or (t0[ray] == np.inf and t1[ray] == -np.inf)
        else:
            hits += 1
            assert_allclose((t0[ray], t1[ray]), found, atol=1e-8)
    assert 60 < hits < 300


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_float32_is_enough_and_rigid_motion_changes_nothing(shape):
    rng = np.random.default_rng(2)
    origins, directions = rays(rng, 2000)
    pose = random_pose(rng)
    t0, t1 = shape.interval(origins, directions)
    moved = pose.rotation @ origins + pose.center[:, None]
    small = Pose(pose.rotation.astype(np.float32), pose.center.astype(np.float32))
    s0, s1 = cast(shape, small, moved.astype(np.float32), (pose.rotation @ directions).astype(np.float32))
    assert s0.dtype == s1.dtype == np.float32
    clear = np.isinf(t0) | (t1 - t0 > 0.02)
    assert (np.isinf(t0) == np.isinf(s0))[clear].all()
    both = np.isfinite(t0) & clear
    assert_allclose(s0[both], t0[both], atol=2e-4)
    assert_allclose(s1[both], t1[both], atol=2e-4)


def test_a_thin_far_cylinder_in_float32():
    pole = Cylinder(0.02, 1.0)
    x = np.linspace(-0.03, 0.03, 61).astype(np.float32)
    directions = np.stack([x / 30, np.zeros_like(x), np.ones_like(x)])
    stands = Pose(np.eye(3, dtype=np.float32), np.array([0, 0, 30], np.float32))
    t0, _ = cast(pole, stands, np.zeros((3, 1), np.float32), directions)
    assert (np.isfinite(t0) == (np.abs(x) < 0.02)).mean() > 0.96
    assert_allclose(t0[np.isfinite(t0)], 30 - np.sqrt(0.02**2 - x[np.isfinite(t0)] ** 2), atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "origin", "direction", "expected"),
    [
        (BOX, (0.1, 0.2, -3), (0, 0, 1), (2.2, 3.8)),
        (BOX, (0.31, 0.2, -3), (0, 0, 1), None),
        (CYLINDER, (0.1, -3, 0), (0, 1, 0), (2.3, 3.7)),
        (CYLINDER, (0.41, -3, 0), (0, 1, 0), None),
        (CYLINDER, (-3, 0.69, 0), (1, 0, 0), (2.6, 3.4)),
        (CYLINDER, (-3, 0.71, 0), (1, 0, 0), None),
        (CONE, (0.25, 3, 0), (0, -1, 0), (3.0, 3.6)),
        (CONE, (0.25, -3, 0), (0, 1, 0), (2.4, 3.0)),
        (CONE, (-3, 0, 0), (1, 0, 0), (2.75, 3.25)),
        (CONE, (-3, 0.7, 0), (1, 0, 0), None),  # the mirrored half of the double cone is not there
        (BALL, (0, 0, -3), (0, 0, 2), (1.2, 1.8)),
    ],
)
def test_known_intervals_also_along_the_axes(shape, origin, direction, expected):
    o, d = (np.array(v, float)[:, None] for v in (origin, direction))
    t0, t1 = shape.interval(o, d)
    assert_allclose((t0[0], t1[0]), expected or (np.inf, -np.inf), atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_normals_are_unit_and_stand_on_the_surface(shape):
    origins, directions = rays(np.random.default_rng(3), 400)
    t0, _ = shape.interval(origins, directions)
    hit = np.isfinite(t0)
    points = (origins + t0 * directions)[:, hit]
    normals = shape.normal(points)
    assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-9)
    assert not holds(shape, points + 1e-6 * normals).any()
    assert holds(shape, points - 1e-6 * normals).mean() > 0.99  # all but points on an edge
    # a neighbouring point of the surface lies across the normal
    step = 1e-5 * np.random.default_rng(4).normal(size=points.shape)
    beside, _ = shape.interval((origins[:, hit] + step), directions[:, hit])
    along = origins[:, hit] + step + beside * directions[:, hit] - points
    same = np.isfinite(beside) & (np.linalg.norm(along, axis=0) < 1e-3)
    assert same.mean() > 0.95
    assert np.median(np.abs((along * normals).sum(0)[same])) < 1e-8


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_corners_hold_the_shape(shape):
    rng = np.random.default_rng(5)
    pose = random_pose(rng)
    origins, directions = rays(rng, 500)
    t0, _ = shape.interval(origins, directions)
    points = pose.rotation @ (origins + t0 * directions)[:, np.isfinite(t0)] + pose.center[:, None]
    around = corners(shape, pose)
    assert (points.min(1) >= around.min(1) - 1e-9).all()
    assert (points.max(1) <= around.max(1) + 1e-9).all()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_texture_coordinates_are_metres_along_the_surface(shape):
    origins, directions = rays(np.random.default_rng(6), 300)
    step = 1e-5
    t0, _ = shape.interval(origins, directions)
    t1, _ = shape.interval(origins + step, directions)
    hit = np.isfinite(t0) & np.isfinite(t1)
    first, second = (origins + t0 * directions)[:, hit], (origins + step + t1 * directions)[:, hit]
    u, v = (
        np.subtract(*pair)
        for pair in zip(shape.surface(first, shape.normal(first)), shape.surface(second, shape.normal(second)), strict=True)
    )
    moved = np.linalg.norm(first - second, axis=0)
    ratio = np.hypot(u, v) / moved
    assert np.median(ratio) == pytest.approx(1, abs=0.3)  # a cone's and a ball's paint is stretched, not torn
