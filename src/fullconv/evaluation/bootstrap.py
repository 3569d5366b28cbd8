"""Intervals for scores by the bootstrap over images (Efron 1979): how far a score would move with other images like these.

As many images as there are are drawn with replacement, again and again; their counts are added up and divided once, as for
the score itself. The interval holds the middle 95 % of what comes out (the percentile interval). Images are what is drawn, as
pixels of one image are not independent. Models on the same images share the draws, so the interval of a difference is of pairs.

A class without ground truth in a draw keeps there the score that it has over all images. To leave it out of that draw's mean
would compare means over different classes: rare classes score low, and without them means rise far above the score itself.
"""

import numpy as np
from numpy.typing import NDArray

from fullconv.evaluation.report import METRICS, Interval
from fullconv.metrics import Absent, mean_of_known, tally_metrics

RESAMPLES = 2000
"""Draws for one interval."""
LEVEL = 0.95
_CHUNK = 100


def resample(
    tallies: NDArray[np.int64], absent: Absent = "skip", *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, NDArray[np.float64]]:
    """Return the four metrics of every draw, by the keys of ``METRICS``: float64 (M, ``resamples``).

    Parameters
    ----------
    tallies
        int64 (M, N, 3, K) of M models on the same N images, see :func:`fullconv.metrics.tally`.
    absent
        What means do with classes without ground truth in all images.
    seed, resamples
        Of the draws, and their number.
    """
    models, images = tallies.shape[:2]
    whole = tally_metrics(tallies.sum(1), absent)
    # sums stay below 2**53, so floats count exactly, and matrix products of floats are fast
    flat = tallies.astype(np.float64).transpose(1, 0, 2, 3).reshape(images, -1)
    generator = np.random.default_rng(seed)
    found: dict[str, list[NDArray[np.float64]]] = {key: [] for key in METRICS}
    for start in range(0, resamples, _CHUNK):  # in portions, so that memory does not grow with the number of draws
        size = min(_CHUNK, resamples - start)
        weights = generator.multinomial(images, np.full(images, 1 / images), size=size)
        drawn = (weights.astype(np.float64) @ flat).reshape(size, models, *tallies.shape[2:])
        result = tally_metrics(drawn, absent)
        present = drawn[:, :, 1] > 0
        for mean, single in (("mean_iu", "iu"), ("mean_accuracy", "accuracy")):
            means = mean_of_known(np.where(present, result[single], whole[single]))
            result[mean] = np.where(present.any(-1), means, np.nan)
        for key, values in found.items():
            values.append(result[key].T)
    return {key: np.concatenate(values, axis=1) for key, values in found.items()}


def interval(values: NDArray[np.float64]) -> Interval:
    """Return the ends of the middle 95 % of ``values`` (B,); draws without any truth (``nan``) are left out.

    Examples
    --------
    >>> low, high = interval(np.arange(1001.0))
    >>> round(low, 6), round(high, 6)
    (25.0, 975.0)
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
