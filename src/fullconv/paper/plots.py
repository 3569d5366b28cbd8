"""Everything that the experiments draw with: figures of numbers, bars, and what several nets say about the same images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.data.sample import Dataset, Sample
from fullconv.drawing import Comparison, comparison_grid
from fullconv.evaluation.plots import figure
from fullconv.files import replacing
from fullconv.labels import LabelSet
from fullconv.nn.fcn import FCN
from fullconv.paper.findings import Picture, Row

DRAWN = 3
"""How many samples of a data set are drawn unless it is said."""


def draw_bars(path: Path, rows: Sequence[Row], colors: Sequence[str]) -> None:
    """Draw the mean of every row as a bar with its number and the spread over the seeds, top to bottom, into a PNG.

    Parameters
    ----------
    path
        Of the PNG.
    rows
        Of one quantity, which names the axis.
    colors
        Of the bars, as matplotlib calls them.
    """
    with figure(path, (8, 0.42 * len(rows) + 1)) as drawing:
        plot = drawing.subplots()
        names, means, spreads = zip(*((row.item, row.mean, row.spread) for row in rows), strict=True)
        plot.bar_label(plot.barh(names, means, xerr=spreads, color=colors), fmt="%.1f", padding=4)
        plot.invert_yaxis()
        plot.set_xlabel(f"{rows[0].quantity}, %")
        plot.margins(x=0.12)


def spread_out(dataset: Dataset, count: int = DRAWN) -> list[int]:
    """Return the places of ``count`` samples, evenly apart and off the ends; fewer when there are fewer.

    Examples
    --------
    >>> from fullconv.data.scenes.scenes import Scenes
    >>> spread_out(Scenes("val", 100, (8, 8)), 3)
    [25, 50, 74]
    """
    return np.unique(np.linspace(0, len(dataset) - 1, count + 2).round().astype(int))[1 : count + 1].tolist()


def draw_comparisons(path: Path, rows: Sequence[Comparison], labels: LabelSet) -> None:
    """Draw images beside their ground truth and what was found, a line each, into a PNG."""
    with replacing(path) as temporary:
        comparison_grid(rows, labels).save(temporary, format="PNG", compress_level=1)


def draw_nets(path: Path, nets: Mapping[str, FCN], dataset: Dataset, head: str) -> Picture:
    """Draw a few samples: image, ground truth, and how each net labels it.

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
        found = {name: _labels(net, sample, head) for name, net in nets.items()}
        rows.append((sample.picture, sample.targets[head].numpy(), found))
    draw_comparisons(path, rows, dataset.labels[head])
    return Picture(path.name, "The same images as each net labels them.")


def _labels(net: FCN, sample: Sample, head: str) -> NDArray[np.integer]:
    """Return a net's labels (H, W) for one sample, computed where the net is."""
    device = next(net.parameters()).device
    with torch.inference_mode():
        logits = net({name: sample.inputs[name][None].to(device) for name in net.inputs})[head][0]
    return logits.argmax(0).cpu().numpy()
