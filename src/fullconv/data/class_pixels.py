"""How many pixels of each class every image has, and how often balanced sampling draws it.

Letters: S samples, K classes.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fullconv.data.loading import val_loader
from fullconv.data.sample import Dataset
from fullconv.spec import DataSpec


def class_pixels(
    dataset: Dataset, spec: DataSpec, progress: Callable[[int, int], None] = lambda done, of: None
) -> dict[str, Tensor]:
    """Return how many pixels of each class every sample has, int64 (S, K) for each head.

    Parameters
    ----------
    dataset, spec
        Samples, read once as they are (not changed at random), and the number of reading processes.
    progress
        Called with the number of samples that are done and of all.
    """
    found = {head: torch.zeros(len(dataset), len(labels), dtype=torch.int64) for head, labels in dataset.labels.items()}
    for place, batch in enumerate(val_loader(dataset, spec)):
        for head, rows in found.items():
            target = batch["targets"][head]
            valid = target[target != dataset.labels[head].ignore_index]
            rows[place] = torch.bincount(valid, minlength=rows.shape[1])
        progress(place + 1, len(dataset))
    return found


def draw_shares(pixels: Mapping[str, Tensor]) -> NDArray[np.float64]:
    """Return the probability with which balanced sampling draws each sample, float64 (S,); they add up to 1.

    A class that a share f of the samples shows has the weight ``1 / sqrt(f)``, and a sample weighs as much as the rarest class
    that it shows (Gupta et al. 2019, LVIS, without their threshold). The root is the middle between drawing all images alike and
    drawing all classes alike, in which a class of three images would be all that is seen. A sample without any class weighs as
    one that shows what all show.

    Parameters
    ----------
    pixels
        From :func:`class_pixels`; the classes of all heads count.

    Examples
    --------
    >>> common, rare = [9, 0], [5, 1]
    >>> draw_shares({"semantic": torch.tensor([common, common, common, rare])}).round(3).tolist()
    [0.2, 0.2, 0.2, 0.4]
    """
    shown = torch.cat([rows > 0 for rows in pixels.values()], 1).numpy()
    shares = shown.mean(0)
    weights = np.where(shown, 1 / np.sqrt(np.maximum(shares, 1 / len(shown))), 1.0).max(1)
    return np.asarray(weights / weights.sum(), np.float64)
