"""A mask as runs of equal codes along its rows: counted in one pass, and smooth edges show in the short ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fullconv.labelmap import COLOR


@dataclass(frozen=True)
class Runs:
    """Runs of equal codes, row by row; R of them, D different codes.

    Attributes
    ----------
    codes
        The different codes, int64 (D,), ascending.
    pixels
        How many pixels each has, int64 (D,).
    which
        The code of every run as a place in ``codes``, int64 (R,).
    lengths
        In pixels, int64 (R,).
    starts_row
        Whether a run begins a row, bool (R,).
    """

    codes: NDArray[np.int64]
    pixels: NDArray[np.int64]
    which: NDArray[np.intp]
    lengths: NDArray[np.int64]
    starts_row: NDArray[np.bool_]

    @classmethod
    def of(cls, codes: NDArray[np.integer]) -> "Runs":
        """Return the runs of a mask's codes, integer (H, W), see :func:`fullconv.labelmap.codes_of`.

        Examples
        --------
        >>> runs = Runs.of(np.array([[7, 7, 9], [9, 9, 9]]))
        >>> runs.codes.tolist(), runs.pixels.tolist(), runs.lengths.tolist()
        ([7, 9], [2, 4], [2, 1, 3])
        """
        height, width = codes.shape
        begins = np.ones((height, width), bool)
        np.not_equal(codes[:, 1:], codes[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=codes.size)
        found, which = np.unique(codes.ravel()[starts], return_inverse=True)
        pixels = np.bincount(which, lengths, len(found)).astype(np.int64)
        return cls(found.astype(np.int64), pixels, which, lengths, starts % width == 0)

    @property
    def edges(self) -> int:
        """How often the code changes within a row."""
        return int((~self.starts_row).sum())

    def blends(self) -> int:
        """Return how many runs of one or two pixels lie, in value or in every channel, between the runs beside them.

        Where a border is drawn smooth there is one at almost every edge.
        """
        ends_row = np.append(self.starts_row[1:], True)
        inner = np.flatnonzero((self.lengths <= 2) & ~self.starts_row & ~ends_row)
        before, here, after = (self.codes[self.which[inner + step]] for step in (-1, 0, 1))
        between = before != after
        channels = [(0, -1)] if self.codes[-1] < COLOR else [(16, 255), (8, 255), (0, 255)]
        for shift, bits in channels:
            a, b, c = ((codes >> shift) & bits for codes in (before, here, after))
            between &= (np.minimum(a, c) <= b) & (b <= np.maximum(a, c))
        return int(between.sum())


def inner(codes: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the codes (N,) of the pixels of a mask (H, W) whose four neighbours have the same; what smoothing leaves has none.

    Examples
    --------
    >>> inner(np.array([[7, 7, 7, 9], [7, 7, 7, 9], [7, 7, 7, 9]])).tolist()
    [7]
    """
    across, down = codes[:, 1:] == codes[:, :-1], codes[1:] == codes[:-1]
    alike = across[1:-1, 1:] & across[1:-1, :-1] & down[1:, 1:-1] & down[:-1, 1:-1]
    return codes[1:-1, 1:-1][alike]


def inner_pixels(codes: NDArray[np.integer]) -> dict[int, int]:
    """Return how many :func:`inner` pixels each code of a mask (H, W) has; those without any are left out.

    Examples
    --------
    >>> inner_pixels(np.array([[7, 7, 7, 9], [7, 7, 7, 9], [7, 7, 7, 9]]))
    {7: 1}
    """
    found = inner(codes)
    if codes.dtype == np.uint8:  # counted faster than sorted
        counts = np.bincount(found, minlength=256)
        return {int(code): int(counts[code]) for code in np.flatnonzero(counts)}
    values, numbers = np.unique(found, return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))
