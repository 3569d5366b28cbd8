"""Intrinsics: how a pinhole camera's pixels lie on the rays that it sees along.

Camera axes: x right, y down, z forward. Pixel (row i, column j) has its centre at x = j, y = i, as in
:mod:`fullconv.data.scenes.visibility`; MATLAB code counts from 1, so its principal points are 1 px greater.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion, for images of one size; all lengths in pixels.

    Parameters
    ----------
    fx, fy
        Focal lengths.
    cx, cy
        Principal point, counted from the centre of the first pixel.
    size
        (height, width) of the images that these numbers hold for.

    Raises
    ------
    DataError
        When a number is not finite, a focal length is not positive, or the size is empty.

    Examples
    --------
    >>> NYUD.scaled((240, 320))
    Intrinsics(fx=259.4..., fy=259.7..., cx=162.0..., cy=126.1..., size=(240, 320))
    """

    fx: float
    fy: float
    cx: float
    cy: float
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if not np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() or min(self.fx, self.fy) <= 0 or min(self.size) < 1:
            raise DataError(f"intrinsics must be finite, focal lengths and size positive; got {self}")

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.floating], size: tuple[int, int]) -> "Intrinsics":
        """Return the intrinsics in a camera matrix (3, 3) ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]``.

        Raises
        ------
        DataError
            When it has another shape, or entries elsewhere (skew).
        """
        matrix = np.asarray(matrix, float)
        if matrix.shape != (3, 3) or not np.allclose(matrix[[0, 1, 2, 2, 2], [1, 0, 0, 1, 2]], [0, 0, 0, 0, 1]):
            raise DataError(f"a camera matrix is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; got {matrix.tolist()}")
        return cls(matrix[0, 0].item(), matrix[1, 1].item(), matrix[0, 2].item(), matrix[1, 2].item(), size)

    def scaled(self, size: tuple[int, int]) -> "Intrinsics":
        """Return the intrinsics of the same view, resized to (height, width)."""
        down, across = size[0] / self.size[0], size[1] / self.size[1]
        # the image's corner lies half a pixel outside the first pixel's centre
        cx, cy = (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5
        return Intrinsics(self.fx * across, self.fy * down, cx, cy, size)

    def mirrored(self) -> "Intrinsics":
        """Return the intrinsics of images that were mirrored left-right."""
        return Intrinsics(self.fx, self.fy, self.size[1] - 1 - self.cx, self.cy, self.size)


NYUD = Intrinsics(fx=518.85790117450188, fy=519.46961112127485, cx=324.58244941119034, cy=252.73616633400465, size=(480, 640))
"""NYUDv2's Kinect, colour camera (its depth is projected there), 640×480: ``camera_params.m`` of the data set's toolbox.

The toolbox counts pixels from 1; its principal point is (325.58, 253.74).
"""
