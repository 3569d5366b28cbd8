"""Pictures of what several trained nets say about the same images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from fullconv.data.sample import Dataset
from fullconv.drawing import Comparison, comparison_grid
from fullconv.files import replacing
from fullconv.nn.fcn import FCN
from fullconv.paper.findings import Picture

DRAWN = 3
"""How many samples of a data set are drawn unless it is said."""


def spread_out(dataset: Dataset, count: int = DRAWN) -> list[int]:
    """Return the places of ``count`` samples, evenly apart and off the ends; fewer when there are fewer."""
    return np.unique(np.linspace(0, len(dataset) - 1, count + 2).round().astype(int))[1 : count + 1].tolist()


def draw_nets(path: Path, nets: Mapping[str, FCN], dataset: Dataset, head: str) -> Picture:
    """Draw a few samples: image, truth, and how each net labels it.

    Parameters
    ----------
    path
        Of the PNG.
    nets
        In evaluation mode, by name; the data set has the inputs of all.
    dataset, head
        The samples, and whose classes are drawn.
    """
    rows: list[Comparison] = []
    for index in spread_out(dataset):
        sample = dataset[index]
        images = {name: image[None] for name, image in sample.inputs.items()}
        with torch.inference_mode():
            found = {name: net(images)[head][0].argmax(0).numpy() for name, net in nets.items()}
        rows.append((sample.picture, sample.targets[head].numpy(), found))
    with replacing(path) as temporary:
        comparison_grid(rows, dataset.labels[head]).save(temporary, format="PNG")
    return Picture(path.name, "The same images as each net labels them.")
