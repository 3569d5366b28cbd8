"""The direction of gravity in a depth map: what most normals lie along or across.

Gupta, Arbelaez, Malik, "Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images", CVPR 2013, section 3
(``getYDir.m``). Floors, table tops and ceilings have normals along gravity, walls and cupboards across it. From a first guess,
the pixels near enough to either are taken, and the direction that is most along the ones and across the others is the
next guess.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError

ROUNDS = ((45, 5), (15, 5))
"""Degrees within which a normal counts as along or across the guess, and how many guesses are made with it."""

FEWEST = 100
"""Normals without which no direction is estimated."""

_GIVE = "pass the direction as gravity=(x, y, z): a unit vector that points down, (0, 1, 0) for a level camera"


def estimate_gravity(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vector (3,) that points down, in camera axes (x right, y down, z forward).

    The first guess is a level camera, ``(0, 1, 0)``; one that is tilted or rolled by more than 45 degrees is out of reach.
    Where several directions fit equally (a single wall), the one nearest to the last guess is taken.

    Parameters
    ----------
    normals
        (3, H, W) unit normals, NaN where there is none.

    Raises
    ------
    DataError
        With fewer than :data:`FEWEST` normals, or when the surfaces do not tell a direction: none along or across a guess.

    Examples
    --------
    >>> floor = np.broadcast_to(np.array([0, 0.8, 0.6]).reshape(3, 1, 1), (3, 10, 10))
    >>> estimate_gravity(floor).round(6).tolist()
    [0.0, 0.8, 0.6]
    """
    found = normals.reshape(3, -1)
    found = found[:, np.isfinite(found[0])]
    if found.shape[1] < FEWEST:
        raise DataError(f"gravity is estimated from surface normals and {found.shape[1]} are too few (least {FEWEST}); {_GIVE}")
    down = np.array([0.0, 1.0, 0.0])
    for degrees, guesses in ROUNDS:
        for _ in range(guesses):
            down = _next_guess(found, down, degrees)
    return down


def _next_guess(normals: NDArray[np.float64], down: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Return the unit vector that is most across the walls and along the floors; ``normals`` (3, n)."""
    along = np.abs(down @ normals)
    walls, floors = along < math.sin(math.radians(degrees)), along > math.cos(math.radians(degrees))
    side = walls.astype(float) - floors
    energy, directions = np.linalg.eigh((normals * side) @ normals.T)
    best = directions[:, energy - energy[0] <= 1e-9 * along.size]
    guess = best @ (best.T @ down)  # an eigenvector has no sign of its own: this one points down
    length = np.linalg.norm(guess)
    if not side.any() or length == 0:
        raise DataError(f"the surfaces do not tell where gravity points (within {degrees} degrees of a guess); {_GIVE}")
    return guess / length
