"""Counts of images with wanted scores, so that verdicts can be tried without a net."""

import numpy as np

from fullconv.paper.verdicts import Scores

PIXELS = 1_000_000
"""Of each of two classes in every image."""


def net(*mean_iu: float, images: int = 20) -> Scores:
    """Return the scores of nets of these mean IUs in percent, one for each seed, the same in every image."""
    share = np.array(mean_iu) / 100
    return from_hits(np.repeat(2 * PIXELS * share / (1 + share), images).reshape(len(mean_iu), images))


def from_hits(hits: np.ndarray) -> Scores:
    """Return the scores of nets that get so many pixels of each class right: (S, N), seeds and images."""
    rounded = np.repeat(np.round(hits)[..., None], 2, -1).astype(np.int64)
    truth = np.full_like(rounded, PIXELS)
    return Scores(np.stack([rounded, truth, truth], -2), tuple(f"image {place}" for place in range(hits.shape[1])))
