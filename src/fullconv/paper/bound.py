"""The mean IU that an output at a coarse stride could reach at most, on the ground truth (journal version of the paper, 2016).

Nothing is trained. How labels are resampled stands in :mod:`fullconv.geometry.bound`.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fullconv.data.sample import RGB, SEMANTIC, Dataset
from fullconv.drawing import Comparison
from fullconv.evaluation import METRICS
from fullconv.evaluation.plots import figure
from fullconv.geometry.bound import FACTORS, RESAMPLINGS, Resampling, bounds, coarsen
from fullconv.labels import LabelSet
from fullconv.metrics import Metrics, metrics_of
from fullconv.paper.experiment import Context, Plan, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Picture, Row, paired
from fullconv.paper.plots import draw_comparisons

TITLE = METRICS["mean_iu"]
PROTOCOL: Mapping[Resampling, str] = {
    "linear": "ground truth's shares in cells, bilinear up-sampling, largest",
    "nearest": "ground truth at the cells' centres, repeated",
}
Found = Mapping[tuple[Resampling, int], Metrics]


@dataclass
class Maps:
    """The label maps of a data set, one after the other; remembers the sample with the most classes, for a picture."""

    dataset: Dataset
    drawn: int = 0
    most: int = 0
    sides: set[tuple[int, int]] = field(default_factory=set)

    def __iter__(self) -> Iterator[NDArray[np.integer]]:
        """Yield labels uint8 (H, W)."""
        ignore = self.dataset.labels[SEMANTIC].ignore_index
        for index in range(len(self.dataset)):
            labels = self.dataset[index].targets[SEMANTIC].numpy()
            count = len(np.setdiff1d(labels, [ignore]))
            if count > self.most:
                self.drawn, self.most = index, count
            self.sides.add((labels.shape[0], labels.shape[1]))
            yield labels

    @property
    def size(self) -> str:
        """Height and width, of all or at most."""
        height, width = (max(side[axis] for side in self.sides) for axis in (0, 1))
        return f"{'' if len(self.sides) == 1 else 'up to '}{height}×{width}"


def plan(context: Context, seed: int) -> Plan:
    """Return no trainings: what is measured is the ground truth alone."""
    return {}


def measured(context: Context) -> Dataset:
    """Return the images whose ground truth is resampled: the split that the other experiments measure on, at its own size."""
    recipe = recipe_for(context, "scenes-fcn8s-minivgg", "voc-fcn8s-squeezenet1_1", "nyudv2-fcn8s-squeezenet1_1")
    return context.validation(context.recipe(recipe, overrides={"data": {"scale": 1}}))


def run(context: Context) -> Finding:
    """Return the mean IU of the ground truth of the context's validation split at each down-sampling, in both ways of resampling.

    On Scenes the labels are as large as the recipes' nets are trained at, so the figures bound those of the other experiments.
    """
    dataset = measured(context)
    labels, maps = dataset.labels[SEMANTIC], Maps(dataset)
    context.say(f"resampling the ground truth of {describe_data(dataset)} at {len(FACTORS)} factors in {len(RESAMPLINGS)} ways")
    start = time.monotonic()
    found = {key: metrics_of(matrix) for key, matrix in bounds(maps, len(labels), FACTORS, labels.ignore_index).items()}
    rows = _rows(found, f"{describe_data(dataset)} of {maps.size}", time.monotonic() - start)
    pictures = (
        _draw_curves(context.folder / "bound.png", found, rows, labels),
        _draw_example(context.folder / "bound-example.png", dataset, maps.drawn),
    )
    return Finding(rows, tuple(_claim(rows, way) for way in RESAMPLINGS), pictures, (NOTE, *_per_class(found, labels)))


NOTE = (
    "How the paper resampled is not known. Pixels without ground truth are left out of averages and of the count; cells of "
    "nothing else may take any class. VOC has such a band around every object, so fine strides lose next to nothing there. The "
    "figures are what perfect knowledge of each cell gives; scores trained for it can do a little better, so no bound in the "
    "strict sense."
)


def item(factor: int, resampling: Resampling) -> str:
    """Return what a row is called; the paper's figures stand beside ``linear``, which is how an FCN up-samples.

    Examples
    --------
    >>> item(32, "linear"), item(32, "nearest")
    ('down-sampled by 32', 'down-sampled by 32, nearest')
    """
    return f"down-sampled by {factor}" + ("" if resampling == "linear" else f", {resampling}")


def _rows(found: Found, data: str, seconds: float) -> tuple[Row, ...]:
    each = seconds / len(found)
    return tuple(
        paired("bound", item(factor, way), TITLE, [100 * found[way, factor].mean_iu], data=data, protocol=protocol, seconds=each)
        for way, protocol in PROTOCOL.items()
        for factor in FACTORS
    )


def _claim(rows: tuple[Row, ...], way: Resampling) -> Claim:
    values = {row.item: row.mean for row in rows}
    reached = [values[item(factor, way)] for factor in FACTORS]
    listed = ", ".join(f"{factor}: {value:.1f}" for factor, value in zip(FACTORS, reached, strict=True))
    return Claim(f"the finer the stride, the more can be reached ({way})", all(a < b for a, b in pairwise(reached)), listed)


def _per_class(found: Found, labels: LabelSet) -> list[str]:
    """Return a sentence for each class in the ground truth: its IU at each factor, the one that suffers most at 32 first."""
    sentences = []
    for index in _suffering(found):
        listed = ", ".join(f"{factor}: {100 * found['linear', factor].iu[index]:.1f}" for factor in FACTORS)
        sentences.append(f"{labels.names[index]}, linear, IU by factor: {listed}.")
    return sentences


def _suffering(found: Found) -> list[int]:
    """Return the classes of the ground truth, the one with the lowest IU at stride 32 first."""
    iu = found["linear", 32].iu
    return [int(index) for index in np.argsort(iu, kind="stable") if not math.isnan(iu[index])]


def _draw_curves(path: Path, found: Found, rows: tuple[Row, ...], labels: LabelSet) -> Picture:
    """Draw the mean over the factor, the paper's beside it, and the IU of every class as a field of numbers."""
    order = _suffering(found)
    paper = {row.item: row.paper for row in rows}
    places = range(len(FACTORS))
    with figure(path, (12, max(4.5, 0.3 * len(order) + 1.5))) as drawing:
        means, classes = drawing.subplots(1, 2)
        for way in RESAMPLINGS:
            means.plot(places, [100 * found[way, factor].mean_iu for factor in FACTORS], "o-", label=way)
        means.plot(places, [paper[item(factor, "linear")] for factor in FACTORS], "kx", label="paper (VOC, unverified)")
        means.set_ylabel(f"{TITLE}, %")
        means.set_ylim(0, 103)
        means.grid(alpha=0.3)
        means.legend(loc="lower right")
        _draw_classes(classes, 100 * np.array([[found["linear", factor].iu[index] for factor in FACTORS] for index in order]))
        classes.set_yticks(range(len(order)), [labels.names[index] for index in order])
        classes.set_title("IU by class, linear, %")
        for plot in (means, classes):
            plot.set_xticks(places, [str(factor) for factor in FACTORS])
            plot.set_xlabel("down-sampled by")
    return Picture(path.name, "What outputs at each stride can reach on the ground truth, and which classes suffer.")


def _draw_classes(plot: Axes, values: NDArray[np.float64]) -> None:
    plot.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        color = "black" if value > 60 else "white"  # viridis is dark at its lower end
        plot.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=color)


def _draw_example(path: Path, dataset: Dataset, index: int) -> Picture:
    """Draw the labels of one sample at every factor: a line for each way of resampling."""
    sample, label_set = dataset[index], dataset.labels[SEMANTIC]
    image, truth = sample.inputs[RGB].numpy().transpose(1, 2, 0), sample.targets[SEMANTIC].numpy()
    rows: list[Comparison] = [
        (image, truth, {f"by {factor}": coarsen(truth, factor, way, label_set.ignore_index) for factor in FACTORS})
        for way in PROTOCOL
    ]
    draw_comparisons(path, rows, label_set)
    return Picture(path.name, f"The ground truth of {sample.name} at each down-sampling; above {', below '.join(PROTOCOL)}.")
