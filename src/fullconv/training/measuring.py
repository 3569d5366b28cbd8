"""When a stage is measured on the validation split, by which number, and which of its models is kept."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
from torch import Tensor, from_numpy, nn

from fullconv.errors import SpecError, nearest
from fullconv.evaluation import METRICS, Report
from fullconv.labels import LabelSet
from fullconv.metrics import ConfusionMatrix

MOST = 10
"""How often a stage is measured at most, its end included."""
SHARE = 0.5
"""Pixels that a stage measures at most, as a share of those that it trains on, which cost three times as much each."""


def interval(steps: int, step_pixels: int, validation_pixels: int) -> int:
    """Return how many steps lie between two measurements of a stage whose recipe leaves it open; ``steps``: only at its end.

    Parameters
    ----------
    steps
        Of the stage.
    step_pixels, validation_pixels
        That a step trains on, and that one measurement reads.

    Examples
    --------
    >>> interval(2000, 8 * 320 * 320, 100 * 375 * 500)  # a tenth of the stage
    200
    >>> interval(2000, 8 * 320 * 320, 1449 * 375 * 500)  # ten times would cost more than half of the training
    667
    """
    affordable = int(SHARE * steps * step_pixels / max(validation_pixels, 1))
    return math.ceil(steps / max(1, min(MOST, affordable)))


@dataclass(frozen=True)
class ChosenMetric:
    """The number that tells the better of two models: larger is better.

    Attributes
    ----------
    text
        As the recipe calls it.
    head
        The output that is looked at.
    key
        One of :data:`fullconv.evaluation.METRICS`, or ``iu``.
    label
        Of ``iu``: the class.
    """

    text: str
    head: str
    key: str
    label: int | None = None

    @property
    def column(self) -> str:
        """The metric's column in ``metrics.csv``, such as ``semantic_mean_iu`` or ``semantic_iu.road``."""
        return f"{self.head}_{self.text.removeprefix(f'{self.head}.')}"

    def value(self, reports: Mapping[str, Report]) -> float:
        """Return the number in 0..1; ``nan`` where the split has no pixel to measure it on."""
        metrics = reports[self.head].metrics
        return float(metrics.iu[self.label] if self.label is not None else getattr(metrics, self.key))


def chosen_metric(text: str, heads: Sequence[str], labels: Mapping[str, LabelSet]) -> ChosenMetric:
    """Return the metric that ``train.metric`` names.

    Parameters
    ----------
    text
        Such as ``mean_iu``, ``iu.road`` or ``geometric.iu.sky``.
    heads, labels
        Outputs in the recipe's order, and their classes.

    Raises
    ------
    SpecError
        When no metric or no class is called so.
    """
    first, _, rest = text.partition(".")
    head, key = (first, rest) if first in heads else (heads[0], text)
    if key in METRICS:
        return ChosenMetric(text, head, key)
    kind, _, name = key.partition(".")
    names = labels[head].names
    if kind == "iu" and name in names:
        return ChosenMetric(text, head, kind, names.index(name))
    if kind == "iu":
        near = nearest(name, names, 3) or names[:3]
        raise SpecError(f"train.metric: {head} has no class {name!r}; nearest: {', '.join(near)}")
    raise SpecError(
        f"train.metric: no metric is called {text!r}; accepted are {', '.join(METRICS)} and iu.CLASS, such as iu.{names[-1]}"
    )


class BestModel(pl.Callback):
    """The best model of a stage, in memory and in what ``--resume`` needs, and how long there has been no better one.

    Parameters
    ----------
    metric
        That is compared.
    keep
        Whether the model itself is wanted; otherwise only its number is.
    patience
        Measurements without a better one after which the stage is to end; those without a number do not count.
    say
        Called once with a line when there is nothing to measure the metric on; the last model is kept as long as that is so.
    """

    def __init__(
        self, metric: ChosenMetric, keep: bool, patience: int | None, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.metric, self.keep, self.patience, self._say, self._said = metric, keep, patience, say, False
        self.step, self.value, self.without = 0, math.nan, 0
        self.weights: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor] = {}

    @property
    def exhausted(self) -> bool:
        """Whether the patience is at its end."""
        return self.patience is not None and self.without >= self.patience

    def take(self, step: int, model: nn.Module, reports: Mapping[str, Report]) -> None:
        """Compare the model of ``step`` with the best so far, and keep a copy of it when it is better."""
        value = self.metric.value(reports)
        if math.isnan(value):
            self._warn()
            if not math.isnan(self.value):
                return
        elif value <= self.value:  # of equals the first
            self.without += 1
            return
        else:
            self.without = 0
        self.step, self.value = step, value
        if self.keep:
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
            self.counts = {head: from_numpy(report.matrix.matrix.copy()) for head, report in reports.items()}

    def _warn(self) -> None:
        if not self._said:
            self._say(
                f"warning: train.metric {self.metric.text} has no number, as the validation split has no pixels for it: "
                "patience does not count, and the last model is kept; take another train.metric, or images that show it"
            )
        self._said = True

    def reports(self, latest: Mapping[str, Report]) -> dict[str, Report]:
        """Return the reports of the best model, on the images that ``latest`` is of."""
        found = {}
        for head, report in latest.items():
            matrix = ConfusionMatrix(len(report.labels))
            matrix.matrix = self.counts[head].numpy()
            found[head] = Report(report.dataset, report.labels, matrix, report.images, report.absent)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return all of it, for a resumed stage."""
        return {key: getattr(self, key) for key in ("step", "value", "without", "weights", "counts")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up :meth:`state_dict`."""
        for key, value in state_dict.items():
            setattr(self, key, value)
