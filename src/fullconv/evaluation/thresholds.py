"""How well one class is told from background at every threshold on its probability."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from fullconv.data.sample import Dataset
from fullconv.errors import DataError
from fullconv.evaluation.report import percent

Probability = Callable[[Mapping[str, Tensor]], NDArray[np.floating]]
"""Input streams of one sample to the probability (H, W) of the one class, 0..1."""
THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True)
class ThresholdCurve:
    """Counted pixels at every threshold of :data:`THRESHOLDS`: of the class and found, found at all, and of the class.

    Examples
    --------
    >>> curve = ThresholdCurve("road", np.arange(99), np.full(99, 100), 100)
    >>> curve.best, round(float(curve.dice[98]), 2)
    (0.99, 0.98)
    """

    name: str
    hits: NDArray[np.int64]
    found: NDArray[np.int64]
    truth: int

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice (F1) at every threshold, 0..1."""
        return 2 * self.hits / np.maximum(self.found + self.truth, 1)

    @property
    def best(self) -> float:
        """The threshold with the highest Dice; of several that nearest to 0.5."""
        top = THRESHOLDS[self.dice >= self.dice.max()]
        return float(top[np.abs(top - 0.5).argmin()])

    def table(self) -> Table:
        """Return precision, recall, IU and Dice in percent at every twentieth, and at the best."""
        table = Table(title=f"{escape(self.name)} by its probability", caption=f"the highest Dice is at {self.best:g}")
        for column in ("threshold", "precision %", "recall %", "IU %", "Dice %"):
            table.add_column(column, justify="right")
        for place, threshold in enumerate(THRESHOLDS):
            if (place + 1) % 5 and threshold != self.best:
                continue
            hits, found = int(self.hits[place]), int(self.found[place])
            values = hits / max(found, 1), hits / max(self.truth, 1), hits / max(found + self.truth - hits, 1), self.dice[place]
            style = "bold" if threshold == self.best else None
            table.add_row(f"{threshold:g}", *(percent(float(value)) for value in values), style=style)
        return table


def threshold_curve(
    probability: Probability,
    dataset: Dataset,
    head: str,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> ThresholdCurve:
    """Return the :class:`ThresholdCurve` of the class :attr:`~fullconv.labels.LabelSet.foreground` over all of a data set.

    Parameters
    ----------
    probability
        Of the class, for each sample.
    dataset, head
        Samples with truth of two classes.
    progress
        Called with (images done, images in all).

    Raises
    ------
    DataError
        When the class has no pixel, so that no threshold is better than another.
    """
    labels = dataset.labels[head]
    one, edges = labels.foreground, THRESHOLDS.astype(np.float32)
    counts = np.zeros((2, len(edges) + 1), np.int64)
    for index in range(len(dataset)):
        sample = dataset[index]
        truth, known = sample.targets[head].numpy(), probability(sample.inputs)
        place = np.searchsorted(edges, known.astype(np.float32), side="right")  # thresholds at or below the probability
        for row, chosen in enumerate((truth == one, (truth != one) & (truth != labels.ignore_index))):
            counts[row] += np.bincount(place[chosen], minlength=len(edges) + 1)
        progress(index + 1, len(dataset))
    reached = counts[:, ::-1].cumsum(1)[:, ::-1][:, 1:]  # pixels whose probability is at least each threshold
    truth_pixels = int(counts[0].sum())
    if not truth_pixels:
        raise DataError(f"{dataset.name} has no pixel of {labels.names[one or 0]}; no threshold can be chosen on it")
    return ThresholdCurve(labels.names[one or 0], reached[0], reached.sum(0), truth_pixels)
