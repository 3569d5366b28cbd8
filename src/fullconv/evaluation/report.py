"""Report: the counted pixels of an evaluation, told as table, dictionary, Markdown and CSV."""

import csv
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from fullconv.files import replacing
from fullconv.labels import LabelSet
from fullconv.metrics import Absent, ConfusionMatrix, Metrics, metrics_of

METRICS = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iu": "mean IU",
    "frequency_weighted_iu": "f.w. IU",
}
"""The four metrics as they are called in code and in tables."""
Interval = tuple[float, float]
"""Lower and upper end, 0..1; ``nan`` where there is none."""


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
        What means do with classes without ground truth, see :data:`fullconv.metrics.Absent`.
    """

    dataset: str
    labels: LabelSet
    matrix: ConfusionMatrix
    images: int
    absent: Absent = "skip"

    @cached_property
    def metrics(self) -> Metrics:
        """The paper's metrics, all in 0..1."""
        return metrics_of(self.matrix, self.absent)

    @property
    def classes(self) -> int:
        """How many classes the mean IU is taken over."""
        return int((~np.isnan(self.metrics.iu)).sum())

    def rows(self) -> list[tuple[str, float, float, int]]:
        """Return (class, IU, accuracy, pixels of ground truth) for every class, scores in 0..1 or ``nan`` where left out."""
        truth = self.matrix.matrix.sum(1)
        columns = zip(self.labels.names, self.metrics.iu, self.metrics.accuracy, truth, strict=True)
        return [(name, float(iu), float(accuracy), int(pixels)) for name, iu, accuracy, pixels in columns]

    def of_class(self) -> dict[str, float]:
        """Return IU and Dice (F1) of the class that is told from a background, 0..1 by title; nothing where there are not two.

        Which class it is says :attr:`fullconv.labels.LabelSet.foreground`.
        """
        one = self.labels.foreground
        if one is None:
            return {}
        name = self.labels.names[one]
        return {f"IU of {name}": float(self.metrics.iu[one]), f"Dice of {name}": float(self.metrics.dice[one])}

    def table(self, intervals: Mapping[str, Interval] | None = None) -> Table:
        """Return the scores in percent as a rich table: a row a class, the means below, the four metrics as caption.

        ``intervals``, by the keys of :data:`METRICS`, stand behind the four.
        """
        result = self.metrics
        total = max(int(self.matrix.matrix.sum()), 1)
        known = dict.fromkeys(METRICS, (math.nan, math.nan)) | dict(intervals or {})
        parts = [f"{title} {estimate(getattr(result, key), known[key])}" for key, title in METRICS.items()]
        if intervals:
            caption = "\n".join((*parts, "in parentheses: 95 % interval over images"))
        else:
            caption = f"{' · '.join(parts[:2])}\n{' · '.join(parts[2:])}"  # two lines fit below the narrow columns
        if one := self.of_class():
            caption = f"{' · '.join(f'{escape(title)} {percent(value)}' for title, value in one.items())}\n{caption}"
        table = Table(title=f"{escape(self.dataset)}, {self.images} images", caption=caption, show_footer=True)
        table.add_column("class", f"mean over {self.classes} classes")
        table.add_column("IU %", percent(result.mean_iu), justify="right")
        if one:
            table.add_column("Dice %", justify="right")
        table.add_column("accuracy %", percent(result.mean_accuracy), justify="right")
        table.add_column("share of ground truth %", justify="right")
        for (name, iu, accuracy, pixels), dice in zip(self.rows(), result.dice, strict=True):
            cells = (percent(iu), *([percent(dice)] if one else []), percent(accuracy), f"{100 * pixels / total:.2f}")
            table.add_row(escape(name), *cells)
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the matrix, JSON-able: scores in 0..1 with ``None`` where nothing was counted."""
        names = self.labels.names
        return {
            "dataset": self.dataset,
            "images": self.images,
            "absent": self.absent,
            "classes": self.classes,
            **{key: or_none(getattr(self.metrics, key)) for key in METRICS},
            "iu": dict(zip(names, map(or_none, self.metrics.iu), strict=True)),
            "dice": dict(zip(names, map(or_none, self.metrics.dice), strict=True)),
            "accuracy": dict(zip(names, map(or_none, self.metrics.accuracy), strict=True)),
            "pixels": dict(zip(names, self.matrix.matrix.sum(1).tolist(), strict=True)),
        }

    def markdown(self) -> str:
        """Return the four metrics and the per-class table, in percent, as Markdown; of two classes with Dice."""
        one = self.of_class()
        dice = [f" {percent(value)} |" if one else "" for value in self.metrics.dice]
        lines = [
            f"{self.dataset}, {self.images} images; means over {self.classes} classes (absent classes: {self.absent})",
            "",
            f"| {' | '.join(METRICS.values())} |",
            "|---:|---:|---:|---:|",
            f"| {' | '.join(percent(getattr(self.metrics, key)) for key in METRICS)} |",
            "",
            *([" · ".join(f"{title} {percent(value)}" for title, value in one.items()), ""] if one else []),
            f"| class | IU % |{' Dice % |' if one else ''} accuracy % | pixels of ground truth |",
            f"|---|---:|{'---:|' if one else ''}---:|---:|",
            *(
                f"| {name} | {percent(iu)} |{cell} {percent(acc)} | {pixels} |"
                for (name, iu, acc, pixels), cell in zip(self.rows(), dice, strict=True)
            ),
        ]
        return "\n".join(lines) + "\n"

    def write_markdown(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`markdown` to ``path``."""
        with replacing(path) as temporary:
            temporary.write_text(self.markdown(), encoding="utf-8")

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write class, iu, accuracy (0..1, empty where left out), pixels of ground truth, of two classes dice, a row a class."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            with_dice = self.labels.foreground is not None
            writer.writerow(("class", "iu", "accuracy", "pixels", *(("dice",) if with_dice else ())))
            for (name, iu, accuracy, pixels), dice in zip(self.rows(), self.metrics.dice, strict=True):
                writer.writerow((name, or_none(iu), or_none(accuracy), pixels, *([or_none(dice)] if with_dice else [])))


def percent(value: float) -> str:
    """Return a score in 0..1 as it stands in tables: percent with one decimal, a dash for ``nan``."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def estimate(value: float, interval: Interval, sign: str = "") -> str:
    """Return a score, or with ``sign`` "+" a difference of scores, and its interval, if it has one, in percent.

    Examples
    --------
    >>> estimate(0.627, (0.612, 0.641)), estimate(0.02, (-0.01, 0.05), sign="+")
    ('62.7 (61.2 to 64.1)', '+2.0 (-1.0 to +5.0)')
    """
    if math.isnan(value):
        return percent(value)
    middle, low, high = (f"{100 * number:{sign}.1f}" for number in (value, *interval))
    return middle if math.isnan(interval[0]) else f"{middle} ({low} to {high})"


def or_none(value: float) -> float | None:
    """Return what JSON and CSV hold: the number, or nothing for ``nan``."""
    return None if math.isnan(value) else float(value)
