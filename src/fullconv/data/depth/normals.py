"""Surface normals of a depth map: a least squares plane in a square window round every pixel.

Gupta, Arbelaez, Malik, CVPR 2013 (``computeNormalsSquareSupport.m``). A plane ``n · p = 1`` is linear in disparity:
``1/z = n_x (u - cx)/fx + n_y (v - cy)/fy + n_z``, so the fit is a regression of ``1/z`` on pixel coordinates. Its sums over
all windows are taken along rows and then along columns.

Letters: H height, W width; u column, v row, d = 1/z; sums run over the known pixels of a window, du and dv are counted
from its middle.
"""

import numpy as np
from numpy.typing import NDArray

from fullconv.data.depth.intrinsics import Intrinsics

Array = NDArray[np.float64]


def surface_normals(depth: NDArray[np.floating], known: NDArray[np.bool_], intrinsics: Intrinsics, radius: int) -> Array:
    """Return the unit normals (3, H, W) of a depth map in camera axes (x right, y down, z forward), NaN where there is none.

    They point away from the camera, as the reference's: a floor's points down, a ceiling's up. Holes take no part but get
    the normal of what is around them; NaN is where a window has no three known pixels off one line.

    Parameters
    ----------
    depth
        (H, W) metres along the camera's axis.
    known
        (H, W) False in holes.
    intrinsics
        For images of (H, W).
    radius
        The window reaches this many pixels to each side, and ends at the image's border.

    Examples
    --------
    >>> camera = Intrinsics(fx=50, fy=50, cx=4, cy=3, size=(7, 9))
    >>> wall = np.full((7, 9), 2.0)
    >>> normals = surface_normals(wall, wall > 0, camera, radius=2)
    >>> normals.shape, normals[:, 3, 4].round(6).tolist()
    ((3, 7, 9), [0.0, 0.0, 1.0])
    """
    height, width = depth.shape
    u, v = np.arange(width, dtype=float), np.arange(height, dtype=float)[:, None]
    slope_u, slope_v, middle = _fit(depth, known, u, v, radius)
    normals = np.empty((3, height, width))
    normals[0] = intrinsics.fx * slope_u
    normals[1] = intrinsics.fy * slope_v
    normals[2] = middle + (intrinsics.cx - u) * slope_u + (intrinsics.cy - v) * slope_v
    # along its own ray a plane's normal has the sign of its disparity there
    normals *= np.where(middle < 0, -1, 1) / np.sqrt(np.einsum("chw,chw->hw", normals, normals))
    return normals


def _fit(depth: NDArray[np.floating], known: NDArray[np.bool_], u: Array, v: Array, radius: int) -> tuple[Array, Array, Array]:
    """Regression of disparity in every window: its slopes along u and v, and its value at the middle pixel; each (H, W)."""
    d = np.divide(1, depth, out=np.zeros(depth.shape), where=known, dtype=np.float64)
    weight = known.astype(float)
    n, s_u, s_v = (_window_sums(values, radius) for values in (weight, weight * u, weight * v))
    s_uu, s_uv, s_vv = (_window_sums(values, radius) for values in (weight * u * u, weight * u * v, weight * v * v))
    s_d, s_du, s_dv = (_window_sums(values, radius) for values in (d, d * u, d * v))
    # moved to the window's middle; sums of whole numbers stay exact
    s_uu -= u * (2 * s_u - n * u)
    s_vv -= v * (2 * s_v - n * v)
    s_uv -= u * s_v + v * s_u - n * u * v
    s_u -= n * u
    s_v -= n * v
    s_du -= u * s_d
    s_dv -= v * s_d
    uu, uv, vv = n * s_uu - s_u * s_u, n * s_uv - s_u * s_v, n * s_vv - s_v * s_v
    ud, vd = n * s_du - s_u * s_d, n * s_dv - s_v * s_d
    determinant = uu * vv - uv * uv  # exact, so 0 where the known pixels lie on a line
    determinant[determinant == 0] = np.nan
    slope_u, slope_v = (ud * vv - vd * uv) / determinant, (vd * uu - ud * uv) / determinant
    return slope_u, slope_v, (s_d - slope_u * s_u - slope_v * s_v) / np.where(n == 0, np.nan, n)


def _window_sums(values: Array, radius: int) -> Array:
    """Return the sum over the square window round every pixel, (H, W), exact for whole numbers; outside the image is nothing."""
    from scipy import ndimage  # late: what reads images imports this module, and few of them have depth

    ones = np.ones(2 * radius + 1)  # a uniform filter would divide, and be no longer exact
    return ndimage.correlate1d(ndimage.correlate1d(values, ones, 0, mode="constant"), ones, 1, mode="constant")
