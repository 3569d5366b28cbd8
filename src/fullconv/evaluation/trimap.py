"""Metrics near label borders only: the trimap of Krähenbühl and Koltun, NIPS 2011 (section 5; after Kohli et al., IJCV 2009).

The band of width w are the pixels within w of a label border of the ground truth. Distance is the chessboard's, exact: a pixel
is within w when the (2w + 1)×(2w + 1) window around it, cut at the image's edge, holds another label than its own. The edge
of the image is no border. The ignore value counts as a label here, since in VOC a strip of it lies between all objects; but its
pixels are never scored. Bands are nested, and the widest possible one holds everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.evaluation.report import or_none
from fullconv.metrics import Absent, Metrics, metrics_of

WIDTHS = (1, 2, 4, 8, 16, 32)
"""Of the bands, in pixels."""


def bands(labels: NDArray[np.integer], widths: Sequence[int] = WIDTHS) -> NDArray[np.uint8]:
    """Return the narrowest band that holds each pixel: uint8 (H, W), its place in ``widths``, or their number for none.

    Parameters
    ----------
    labels
        The truth, integer (H, W); the ignore value is a label like others.
    widths
        In pixels, from 1 on, rising.

    Examples
    --------
    >>> bands(np.array([[0, 0, 0, 0, 0, 1]]), widths=(1, 3))
    array([[2, 2, 1, 1, 0, 0]], dtype=uint8)
    """
    from scipy import ndimage  # late, as what predicts imports this package too

    highest, lowest = (found(labels, 3, mode="nearest") for found in (ndimage.maximum_filter, ndimage.minimum_filter))
    touching = highest != lowest
    if not touching.any():
        return np.full(labels.shape, len(widths), np.uint8)
    # another label is within w when a pixel that touches another is within w - 1
    distance = ndimage.distance_transform_cdt(~touching, "chessboard") + 1
    return np.searchsorted(widths, distance).astype(np.uint8)


@dataclass(frozen=True)
class Trimap:
    """Pixels counted apart for each ring between two bands.

    Parameters
    ----------
    widths
        Of the bands, in pixels.
    rings
        int64 (len(widths) + 1, K, K), rows = truth: the first band, what each further band adds, and what lies outside all.
    absent
        What means do with classes without ground truth in a band, see :data:`fullconv.metrics.Absent`.
    """

    widths: tuple[int, ...]
    rings: NDArray[np.int64]
    absent: Absent = "skip"

    def metrics(self) -> list[Metrics]:
        """Return the scores of every band, the narrowest first."""
        return [metrics_of(matrix, self.absent) for matrix in self.rings.cumsum(0)[:-1]]

    def to_dict(self) -> dict[str, Any]:
        """Return widths and, for each, mean IU and pixel accuracy in 0..1; ``None`` where no pixel is."""
        found = self.metrics()
        return {
            "distance": "chessboard",
            "widths": list(self.widths),
            "mean_iu": [or_none(band.mean_iu) for band in found],
            "pixel_accuracy": [or_none(band.pixel_accuracy) for band in found],
        }
