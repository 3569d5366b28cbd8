"""Rays against boxes, balls, cylinders and cones, many rays at once, in numpy.

Every shape is convex and sits in its own frame: centre at the origin, axis of symmetry along ``y``. A ray ``o + t d``
meets it in one interval ``[t0, t1]`` (empty: ``t0 = inf, t1 = -inf``); surface normal and texture coordinates follow
from the point that was hit. A :class:`Pose` puts a shape into the world.

Legend: ``n`` rays or points; coordinates come first, so vectors are ``(3, n)`` and each coordinate is contiguous.
Lengths are metres. The arithmetic keeps the dtype of its input; :func:`cast` moves each ray's origin to its point
nearest to the shape's centre first, which is what makes float32 enough (no cancelling of large squares).
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Shape(Protocol):
    """What the renderer asks of a shape."""

    def half_extents(self) -> tuple[float, float, float]:
        """Half sides (x, y, z) of the smallest axis-parallel box around the shape, in metres."""
        ...

    def interval(self, o: Array, d: Array) -> tuple[Array, Array]:
        """``t0, t1`` (n,) between which the rays ``o`` (3, n) + t ``d`` (3, n) run inside."""
        ...

    def normal(self, p: Array) -> Array:
        """Outward unit normals (3, n) at surface points ``p`` (3, n)."""
        ...

    def surface(self, p: Array, normal: Array) -> tuple[Array, Array]:
        """Texture coordinates ``u, v`` (n,) in metres along the surface at ``p``."""
        ...


@dataclass(frozen=True)
class Box:
    """A block of half sides ``x``, ``y``, ``z`` in metres."""

    x: float
    y: float
    z: float

    def half_extents(self) -> tuple[float, float, float]:
        """See :class:`Shape`."""
        return self.x, self.y, self.z

    def interval(self, o: Array, d: Array) -> tuple[Array, Array]:
        """Three pairs of parallel planes ("slabs")."""
        half = np.array([[self.x], [self.y], [self.z]], d.dtype)
        inverse = 1 / _away_from_zero(d)
        middle, reach = -o * inverse, np.abs(half * inverse)
        near, far = middle - reach, middle + reach
        t0 = np.maximum(np.maximum(near[0], near[1]), near[2])
        return _checked(t0, np.minimum(np.minimum(far[0], far[1]), far[2]))

    def normal(self, p: Array) -> Array:
        """Return the axis of the face that is nearest."""
        face = np.abs(p) / np.array([[self.x], [self.y], [self.z]], p.dtype)
        axis = face.argmax(0)
        return np.where(np.arange(3)[:, None] == axis, np.sign(p), 0).astype(p.dtype, copy=False)

    def surface(self, p: Array, normal: Array) -> tuple[Array, Array]:
        """Return the two coordinates across the face."""
        side, top = normal[0] != 0, normal[1] != 0
        return np.where(side, p[2], p[0]), np.where(top, p[2], p[1])


@dataclass(frozen=True)
class Ball:
    """A sphere of ``radius`` metres."""

    radius: float

    def half_extents(self) -> tuple[float, float, float]:
        """See :class:`Shape`."""
        return self.radius, self.radius, self.radius

    def interval(self, o: Array, d: Array) -> tuple[Array, Array]:
        """One quadratic."""
        return _quadratic(dot(d, d), dot(o, d), dot(o, o) - self.radius**2)

    def normal(self, p: Array) -> Array:
        """Along the radius."""
        return p / np.sqrt(dot(p, p))

    def surface(self, p: Array, normal: Array) -> tuple[Array, Array]:
        """Longitude and latitude times the radius."""
        return np.arctan2(p[2], p[0]) * self.radius, np.arcsin(np.clip(normal[1], -1, 1)) * self.radius


@dataclass(frozen=True)
class Cylinder:
    """An upright cylinder of ``radius`` and half height ``half``, in metres."""

    radius: float
    half: float

    def half_extents(self) -> tuple[float, float, float]:
        """See :class:`Shape`."""
        return self.radius, self.half, self.radius

    def interval(self, o: Array, d: Array) -> tuple[Array, Array]:
        """Return the round wall (a quadratic in x, z) cut by the two end planes."""
        a, b = d[0] * d[0] + d[2] * d[2], o[0] * d[0] + o[2] * d[2]
        near, far = _quadratic(np.maximum(a, _TINY), b, o[0] * o[0] + o[2] * o[2] - self.radius**2)
        bottom, top = _slab(o[1], d[1], self.half)
        return _checked(np.maximum(near, bottom), np.minimum(far, top))

    def normal(self, p: Array) -> Array:
        """Of the round wall or of an end, whichever is nearer."""
        rho = np.sqrt(p[0] * p[0] + p[2] * p[2])
        wall = self.radius - rho < self.half - np.abs(p[1])
        inverse = wall / np.maximum(rho, _TINY)
        return np.stack([p[0] * inverse, np.where(wall, 0, np.sign(p[1])), p[2] * inverse]).astype(p.dtype, copy=False)

    def surface(self, p: Array, normal: Array) -> tuple[Array, Array]:
        """Arc and height on the round wall, x and z on the ends."""
        end = normal[1] != 0
        return np.where(end, p[0], np.arctan2(p[2], p[0]) * self.radius), np.where(end, p[2], p[1])


@dataclass(frozen=True)
class Cone:
    """A cone with its base (``radius``) at ``y = -half`` and its tip at ``y = half``, in metres."""

    radius: float
    half: float

    @property
    def slope(self) -> float:
        """Radius gained per metre below the tip."""
        return self.radius / (2 * self.half)

    def half_extents(self) -> tuple[float, float, float]:
        """See :class:`Shape`."""
        return self.radius, self.half, self.radius

    def interval(self, o: Array, d: Array) -> tuple[Array, Array]:
        """Return the double cone ``x² + z² ≤ slope² (half - y)²`` cut by the planes of base and tip."""
        k2, below = self.slope**2, self.half - o[1]
        a = d[0] * d[0] + d[2] * d[2] - k2 * d[1] * d[1]
        b = o[0] * d[0] + o[2] * d[2] + k2 * below * d[1]
        c = o[0] * o[0] + o[2] * o[2] - k2 * below * below
        a = _away_from_zero(a)
        flat = a > 0  # the ray is less steep than the side: it is inside between the roots, else outside of them
        delta = b * b - a * c
        root = np.sqrt(np.maximum(delta, 0))
        first, second = (-b - root) / a, (-b + root) / a  # a < 0 swaps their order
        down = d[1] < 0
        t0 = np.where(flat, np.where(delta > 0, first, np.inf), np.where(down, first, -np.inf))
        t1 = np.where(flat, np.where(delta > 0, second, -np.inf), np.where(down, np.inf, second))
        bottom, top = _slab(o[1], d[1], self.half)
        return _checked(np.maximum(t0, bottom), np.minimum(t1, top))

    def normal(self, p: Array) -> Array:
        """Of the side or of the base, whichever is nearer."""
        rho = np.sqrt(p[0] * p[0] + p[2] * p[2])
        length = float(np.sqrt(1 + self.slope**2))
        side = (self.slope * (self.half - p[1]) - rho) / length < p[1] + self.half
        inverse = side / (np.maximum(rho, _TINY) * length)
        up = np.where(side, self.slope / length, -1)
        return np.stack([p[0] * inverse, up, p[2] * inverse]).astype(p.dtype, copy=False)

    def surface(self, p: Array, normal: Array) -> tuple[Array, Array]:
        """Arc (at half height) and height on the side, x and z on the base."""
        base = normal[1] < 0
        arc = np.arctan2(p[2], p[0]) * (self.radius / 2)
        return np.where(base, p[0], arc), np.where(base, p[2], p[1] * float(np.sqrt(1 + self.slope**2)))


@dataclass(frozen=True)
class Pose:
    """Where a shape stands: ``rotation`` (3, 3), whose columns are its axes in the world; ``center`` (3,), metres."""

    rotation: Array
    center: Array

    def to_local(self, points: Array) -> Array:
        """World points (3, n) in the shape's frame."""
        return self.rotation.T @ (points - self.center[:, None])


def cast(shape: Shape, pose: Pose, origins: Array, directions: Array) -> tuple[Array, Array]:
    """Interval ``t0, t1`` (n,) in which world rays run inside a shape; ``inf, -inf`` where they miss it.

    Parameters
    ----------
    shape, pose
        The shape and where it stands.
    origins
        (3, n), or (3, 1) for rays from one point; metres.
    directions
        (3, n), of any length except 0; ``t`` counts in these lengths.

    Examples
    --------
    >>> ahead = np.array([[0.0], [0.0], [1.0]])
    >>> here = Pose(np.eye(3), np.array([0.0, 0.0, 5.0]))
    >>> [float(t[0]) for t in cast(Ball(2.0), here, np.zeros((3, 1)), ahead)]
    [3.0, 7.0]
    """
    o, d = pose.to_local(origins), pose.rotation.T @ directions
    nearest = -dot(o, d) / dot(d, d)
    t0, t1 = shape.interval(o + nearest * d, d)
    return t0 + nearest, t1 + nearest


def dot(a: Array, b: Array) -> Array:
    """Scalar products (n,) of vectors (3, n) (written out: numpy's sums along an axis of three are slow)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def corners(shape: Shape, pose: Pose) -> Array:
    """World coordinates (3, 8) of the corners of the box around a shape."""
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij")).reshape(3, 8)
    local = signs.astype(pose.rotation.dtype) * np.array(shape.half_extents(), pose.rotation.dtype)[:, None]
    return pose.rotation @ local + pose.center[:, None]


_TINY = 1e-12


def _away_from_zero(x: Array) -> Array:
    """``x`` with zeros (and what divides like zero) moved to ±1e-12, so that quotients stay finite."""
    return np.copysign(np.maximum(np.abs(x), x.dtype.type(_TINY)), x)


def _quadratic(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """Interval where ``a t² + 2 b t + c < 0``, for ``a > 0``."""
    delta = b * b - a * c
    root = np.sqrt(np.maximum(delta, 0))
    hit = delta > 0
    return np.where(hit, (-b - root) / a, np.inf), np.where(hit, (-b + root) / a, -np.inf)


def _slab(o: Array, d: Array, half: float) -> tuple[Array, Array]:
    """Interval where ``|o + t d| < half``."""
    inverse = 1 / _away_from_zero(d)
    middle, reach = -o * inverse, np.abs(half * inverse)
    return middle - reach, middle + reach


def _checked(t0: Array, t1: Array) -> tuple[Array, Array]:
    """Return the interval, with empty ones written as ``inf, -inf``."""
    hit = t0 < t1
    return np.where(hit, t0, np.inf), np.where(hit, t1, -np.inf)
