"""Images of the validation split that training sees too, found by what they show.

A 64-bit hash of each image (whether grey rises from one column to the next, 8×8 places; Krawetz's dHash) is compared with all
of the other split at once; where few bits differ, the thumbnails decide.
"""

import numpy as np
from numpy.typing import NDArray

BITS = 12
"""Of 64 that may differ before thumbnails are looked at; those of strangers differ in 32 or so."""
APART = 0.18
"""Mean difference of thumbnails, brought to mean 0 and deviation 1, from which on they are two images. The nearest strangers in
VOC's and NYUDv2's splits are 0.20 and 0.33 apart; copies coded again, halved, made lighter or stored as PNG 0.16 at most."""


def hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hash uint64 (N,) of grey thumbnails uint8 (N, 16, 16)."""
    halves = thumbnails.reshape(len(thumbnails), 8, 2, 16).sum(2, dtype=np.int32)
    rises = halves[:, :, 1::2] > halves[:, :, 0::2]
    return np.packbits(rises.reshape(len(thumbnails), 64), axis=1).view(np.uint64).ravel()


def twins(train: NDArray[np.uint8], val: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the places (train, val) of images that show the same: for each of ``val`` the nearest of ``train``, if it is near.

    Parameters
    ----------
    train, val
        Upright grey thumbnails uint8 (N, 16, 16) and (M, 16, 16). Copies that were saved again, resized, or made lighter or
        darker are found; mirrored or cut ones are not, nor are blank images. What a fixed camera sees twice is near too.
    """
    (first, vivid), (second, usable) = _standardised(train), _standardised(val)
    of_train, of_val = hashes(train), hashes(val)
    found = []
    for column in np.flatnonzero(usable).tolist():
        rows = np.flatnonzero((np.bitwise_count(of_train ^ of_val[column]) <= BITS) & vivid)
        apart = np.abs(first[rows] - second[column]).mean(1)
        if rows.size and apart.min() < APART:
            found.append((int(rows[apart.argmin()]), column))
    return found


def _standardised(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return thumbnails (N, 256) of mean 0 and deviation 1, and which of them are not blank."""
    flat = thumbnails.reshape(len(thumbnails), 256).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    deviation = flat.std(1, keepdims=True)
    flat /= np.maximum(deviation, 1)
    return flat, deviation[:, 0] > 1
