"""Pictures of the validation split that training sees too, found by what they show.

A 64-bit hash of each picture (whether grey rises from one column to the next, 8×8 places; Krawetz's dHash) is compared with all
of the other split at once; where few bits differ, the thumbnails decide.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BITS = 12
"""Of 64 that may differ before thumbnails are looked at; those of strangers differ in 32 or so."""
APART = 0.18
"""Mean difference of thumbnails, brought to mean 0 and deviation 1, from which on they are two pictures. The nearest strangers in
VOC's and NYUDv2's splits are 0.20 and 0.33 apart; copies coded again, halved, made lighter or stored as PNG 0.16 at most."""
ROWS = 1024


def hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hash uint64 (N,) of grey thumbnails uint8 (N, 16, 16)."""
    halves = thumbnails.astype(np.int64).reshape(len(thumbnails), 8, 2, 16).sum(2)
    rises = halves[:, :, 1::2] > halves[:, :, 0::2]
    return np.packbits(rises.reshape(len(thumbnails), 64), axis=1).view(np.uint64).ravel()


def twins(train: NDArray[np.uint8], val: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the places (train, val) of pictures that show the same, one training picture for each of ``val``.

    Parameters
    ----------
    train, val
        Upright grey thumbnails uint8 (N, 16, 16) and (M, 16, 16). Copies that were saved again, resized, or made a little lighter
        or darker are found; mirrored or cut ones are not.
    """
    found: dict[int, int] = {}
    of_train, of_val = hashes(train), hashes(val)
    for start in range(0, len(train), ROWS):
        apart = np.bitwise_count(of_train[start : start + ROWS, None] ^ of_val[None])
        rows, columns = np.nonzero(apart <= BITS)
        for row, column in zip((rows + start).tolist(), columns.tolist(), strict=True):
            if column not in found and same_picture(train[row], val[column]):
                found[column] = row
    return [(row, column) for column, row in sorted(found.items())]


def same_picture(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Return whether two thumbnails show the same, lighter, darker or softer; of blank ones nobody can tell."""
    return min(float(a.std()), float(b.std())) > 1 and apart(a, b) < APART


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the mean difference of two thumbnails, each brought to mean 0 and deviation 1; neither may be blank."""
    first, second = ((side - side.mean()) / side.std() for side in (a, b))
    return float(np.abs(first - second).mean())


def stacked(thumbnails: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return thumbnails as one array (N, 16, 16), N from 0 on."""
    return np.stack(thumbnails) if thumbnails else np.empty((0, 16, 16), np.uint8)
