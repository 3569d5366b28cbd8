"""HHA: a depth map as an image of three channels that a network for photographs can start from.

Horizontal disparity, height above ground, angle with gravity: Gupta, Girshick, Arbelaez, Malik, "Learning Rich Features
from RGB-D Images for Object Detection and Segmentation", ECCV 2014, section 4; the numbers are those of its ``saveHHA.m``
and ``processDepthImage.m``. The paper's NYUDv2 nets read it (section 5, table 4).
"""

import numpy as np
from numpy.typing import NDArray

from fullconv.data.depth.depth import check_depth
from fullconv.data.depth.gravity import estimate_gravity
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.depth.normals import surface_normals
from fullconv.errors import DataError

ANGLE_RADIUS, GRAVITY_RADIUS = 3, 10
"""Windows, in pixels to each side, of the normals that are shown and of those that gravity is estimated from."""

_DISPARITY, _NEAREST = 31000.0, 100.0  # disparity = 31000 / cm; nothing counts as nearer than 1 m
_SHALLOW, _USUAL = 90.0, 130.0  # cm: a floor less than 90 below the camera is not the floor, which is then taken at 130
_ANGLE = 128.0 - 90.0  # a wall is in the middle of the range


def hha(
    depth: NDArray[np.floating], intrinsics: Intrinsics, gravity: NDArray[np.floating] | tuple[float, float, float] | None = None
) -> NDArray[np.uint8]:
    """Return the HHA image (H, W, 3) uint8 of a depth map.

    Channels, rounded and cut to 0..255:

    - disparity, ``31000 / z`` with z in centimetres, at least 100: 255 is everything nearer than 1.22 m;
    - height in centimetres above the lowest point, or above 130 cm below the camera when nothing lies 90 cm below it;
    - angle of the surface normal with gravity in degrees + 38: floor 38, wall 128, ceiling 218.

    Holes keep the reference's values for a depth of 0: disparity 255, the camera's height, and the angle of what is around
    them (218 where nothing is). Fill them first if they are many; the published images are made from filled depth.

    Parameters
    ----------
    depth
        Floating point (H, W): metres along the camera's axis; 0, NaN or infinity = hole.
    intrinsics
        For images of (H, W).
    gravity
        Unit vector that points down, in camera axes (x right, y down, z forward); ``None`` estimates it.

    Raises
    ------
    DataError
        When the depth is no such map, implausible in metres or all holes; when intrinsics are missing or for another
        size; when gravity is no unit vector, or too few surfaces are seen to estimate it.

    Examples
    --------
    >>> camera = Intrinsics(fx=40, fy=40, cx=15.5, cy=11.5, size=(24, 32))
    >>> wall = np.full((24, 32), 2.0, np.float32)
    >>> hha(wall, camera, gravity=(0, 1, 0))[12, 16].tolist()  # 31000 / 200, 130 cm less half a pixel, 90 + 38
    [155, 128, 128]
    """
    known = check_depth(depth)
    _check_camera(intrinsics, depth.shape)
    down = _unit(gravity) if gravity is not None else _estimate(depth, known, intrinsics)
    z = np.where(known, depth, 0).astype(np.float64) * 100
    below = _below_camera(z, intrinsics, down)
    deepest = below.max()
    ground = deepest if deepest >= _SHALLOW else _USUAL
    normals = surface_normals(depth, known, intrinsics, ANGLE_RADIUS)
    angle = np.degrees(np.arccos(np.clip(np.tensordot(down, normals, 1), -1, 1)))
    angle[np.isnan(angle)] = 180
    channels = _DISPARITY / np.maximum(z, _NEAREST), ground - below, angle + _ANGLE
    return np.stack([np.clip(channel + 0.5, 0, 255).astype(np.uint8) for channel in channels], axis=-1)


def _estimate(depth: NDArray[np.floating], known: NDArray[np.bool_], intrinsics: Intrinsics) -> NDArray[np.float64]:
    return estimate_gravity(surface_normals(depth, known, intrinsics, GRAVITY_RADIUS))


def _below_camera(z: NDArray[np.float64], intrinsics: Intrinsics, down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far (H, W) every point lies below the camera, in the unit of ``z``; 0 in holes."""
    x = (np.arange(z.shape[1]) - intrinsics.cx) / intrinsics.fx
    y = (np.arange(z.shape[0])[:, None] - intrinsics.cy) / intrinsics.fy
    return z * (down[0] * x + down[1] * y + down[2])


def _check_camera(intrinsics: Intrinsics, shape: tuple[int, ...]) -> None:
    if not isinstance(intrinsics, Intrinsics):
        raise DataError(
            f"HHA needs the camera's Intrinsics(fx, fy, cx, cy, size), such as fullconv.data.depth.intrinsics.NYUD for "
            f"NYUDv2's Kinect; got {type(intrinsics).__name__}"
        )
    if tuple(intrinsics.size) != shape:
        (height, width), (rows, columns) = intrinsics.size, shape
        raise DataError(
            f"the intrinsics are for images of {height}x{width} and the depth is {rows}x{columns} (height x width); for a "
            f"resized image take intrinsics.scaled(({rows}, {columns})), for a crop subtract its corner from cx and cy"
        )


def _unit(gravity: NDArray[np.floating] | tuple[float, float, float]) -> NDArray[np.float64]:
    down = np.asarray(gravity, np.float64)
    if down.shape != (3,) or not abs(np.linalg.norm(down) - 1) < 1e-3:
        raise DataError(f"gravity must be a unit vector (x, y, z) that points down; got {down.tolist()}")
    return down / np.linalg.norm(down)
