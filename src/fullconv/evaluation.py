"""Measure any predictor on any data set: evaluate(predict, dataset, labels) -> Report. Knows no model.

Whole image, tiled or at several scales is the caller's choice, made in ``predict``.
"""

import csv
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from fullconv.data.sample import SEMANTIC, Dataset
from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.labels import LabelSet
from fullconv.metrics import Absent, ConfusionMatrix, Scores, scores

Predict = Callable[[Mapping[str, Tensor]], NDArray[np.integer]]
"""Input streams of one sample, uint8 (C, H, W) each, to the labels (H, W) of one head."""

METRICS = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iu": "mean IU",
    "frequency_weighted_iu": "f.w. IU",
}
"""The four metrics as they are called in code and in tables."""


@dataclass(frozen=True)
class Report:
    """What an evaluation found: the counts, and every score that follows from them.

    Parameters
    ----------
    dataset
        What was measured on, such as ``voc2012 val``.
    labels
        The classes.
    matrix
        Counted pixels, rows = truth.
    images
        How many images.
    absent
        What means do with classes without truth, see :data:`fullconv.metrics.Absent`.
    """

    dataset: str
    labels: LabelSet
    matrix: ConfusionMatrix
    images: int
    absent: Absent = "skip"

    @cached_property
    def scores(self) -> Scores:
        """The paper's metrics, all in 0..1."""
        return scores(self.matrix, self.absent)

    @property
    def classes(self) -> int:
        """How many classes the mean IU is taken over."""
        return int((~np.isnan(self.scores.iu)).sum())

    def rows(self) -> list[tuple[str, float, float, int]]:
        """Return (class, IU, accuracy, pixels of truth) for every class, scores in 0..1 or ``nan`` where left out."""
        truth = self.matrix.matrix.sum(1)
        columns = zip(self.labels.names, self.scores.iu, self.scores.accuracy, truth, strict=True)
        return [(name, float(iu), float(accuracy), int(pixels)) for name, iu, accuracy, pixels in columns]

    def table(self) -> Table:
        """Return the scores in percent as a rich table: a row a class, the means below, the four metrics as caption."""
        result = self.scores
        total = max(int(self.matrix.matrix.sum()), 1)
        parts = [f"{title} {_percent(getattr(result, key))}" for key, title in METRICS.items()]
        caption = f"{' · '.join(parts[:2])}\n{' · '.join(parts[2:])}"  # two lines fit below the narrow columns
        table = Table(title=f"{escape(self.dataset)}, {self.images} images", caption=caption, show_footer=True)
        table.add_column("class", f"mean over {self.classes} classes")
        table.add_column("IU %", _percent(result.mean_iu), justify="right")
        table.add_column("accuracy %", _percent(result.mean_accuracy), justify="right")
        table.add_column("share of truth %", justify="right")
        for name, iu, accuracy, pixels in self.rows():
            table.add_row(escape(name), _percent(iu), _percent(accuracy), f"{100 * pixels / total:.2f}")
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the matrix, JSON-able: scores in 0..1 with ``None`` where nothing was counted."""
        names = self.labels.names
        return {
            "dataset": self.dataset,
            "images": self.images,
            "absent": self.absent,
            "classes": self.classes,
            **{key: _json(getattr(self.scores, key)) for key in METRICS},
            "iu": dict(zip(names, map(_json, self.scores.iu), strict=True)),
            "accuracy": dict(zip(names, map(_json, self.scores.accuracy), strict=True)),
            "pixels": dict(zip(names, self.matrix.matrix.sum(1).tolist(), strict=True)),
        }

    def markdown(self) -> str:
        """Return the four metrics and the per-class table, in percent, as Markdown."""
        lines = [
            f"{self.dataset}, {self.images} images; means over {self.classes} classes (absent classes: {self.absent})",
            "",
            f"| {' | '.join(METRICS.values())} |",
            "|---:|---:|---:|---:|",
            f"| {' | '.join(_percent(getattr(self.scores, key)) for key in METRICS)} |",
            "",
            "| class | IU % | accuracy % | pixels of truth |",
            "|---|---:|---:|---:|",
            *(f"| {name} | {_percent(iu)} | {_percent(acc)} | {pixels} |" for name, iu, acc, pixels in self.rows()),
        ]
        return "\n".join(lines) + "\n"

    def write_markdown(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`markdown` to ``path``."""
        with replacing(path) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write class, iu, accuracy (0..1, empty where left out) and pixels of truth to ``path``, a row a class."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(("class", "iu", "accuracy", "pixels"))
            writer.writerows((name, _json(iu), _json(accuracy), pixels) for name, iu, accuracy, pixels in self.rows())


def evaluate(
    predict: Predict,
    dataset: Dataset,
    labels: LabelSet,
    *,
    head: str = SEMANTIC,
    absent: Absent = "skip",
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Return the :class:`Report` of ``predict`` on every sample of ``dataset``, one image at a time at its own size.

    Parameters
    ----------
    predict
        Gets the input streams of a sample, uint8 (C, H, W) each; returns integer labels (H, W).
    dataset
        Samples with truth for ``head``.
    labels
        The classes of that head; its ignore value is left out of all counts.
    absent
        What means do with classes without truth.
    progress
        Called with (images done, images in all) after each image.

    Raises
    ------
    DataError
        When the data set is empty, lacks the head or has other classes; when truth or prediction hold labels that are not
        in ``labels``, or differ in size; the sample is named.
    """
    if not len(dataset):
        raise DataError(f"{dataset.name} is empty; nothing can be measured on it")
    if head in dataset.labels and dataset.labels[head].names != labels.names:
        raise DataError(
            f"{dataset.name} has the classes {_some(dataset.labels[head])}, but the predictions are of {_some(labels)}; "
            "measure a model on the classes that it was trained for"
        )
    matrix = ConfusionMatrix(len(labels))
    for index in range(len(dataset)):
        sample = dataset[index]
        if head not in sample.targets:
            raise DataError(f"{sample.name}: no truth for head {head!r}; there is {', '.join(sample.targets) or 'none'}")
        try:
            matrix.update(sample.targets[head].numpy(), predict(sample.inputs), labels.ignore_index)
        except DataError as error:
            raise DataError(f"{dataset.name}, {sample.name}: {error}") from error
        if progress is not None:
            progress(index + 1, len(dataset))
    return Report(dataset.name, labels, matrix, len(dataset), absent)


def _some(labels: LabelSet) -> str:
    return f"{', '.join(labels.names[:4])}{', …' if len(labels) > 4 else ''} ({len(labels)})"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def _json(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
