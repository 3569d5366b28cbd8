"""``metrics.csv``: one row for each moment that something was measured; a resumed run goes on in the same file."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fullconv.errors import FullconvError
from fullconv.evaluation import METRICS, Report
from fullconv.files import replacing

TRAINING = ("loss", "learning_rate", "images_per_second", "waiting")
RENAMED = {"rate": "learning_rate"}
"""Columns of files that an older version began."""


class MetricsFile:
    """The rows of a run: ``stage`` and ``step``, what training showed, and each head's metrics where it was validated.

    Parameters
    ----------
    path
        Of the CSV file.
    heads
        Names of the model's outputs.
    chosen
        Column of the metric that tells which model is kept, which may be none of theirs, such as ``semantic_iu.road``.
    """

    def __init__(self, path: Path, heads: tuple[str, ...], chosen: str | None = None) -> None:
        self.path = path
        usual = ("stage", "step", *TRAINING, *(f"{head}_{metric}" for head in heads for metric in METRICS))
        self.columns = usual if chosen is None or chosen in usual else (*usual, chosen)

    def append(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Add a row; ``values`` by column, what is not given stays empty."""
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        try:
            with self.path.open("a", newline="", encoding="utf-8") as handle:
                writer = csv.DictWriter(handle, self.columns)
                if fresh:
                    writer.writeheader()
                writer.writerow({"stage": stage, "step": step, **values})
        except OSError as error:
            raise FullconvError(f"cannot write {self.path}: {error.strerror}; free space, then go on by --resume") from error

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows: ``stage`` a text, ``step`` an int, the others floats, without those that are empty.

        Raises
        ------
        FullconvError
            When the file is damaged.
        """
        if not self.path.exists():
            return []
        try:
            with self.path.open(newline="", encoding="utf-8") as handle:
                return [
                    {"stage": row.pop("stage"), "step": int(row.pop("step"))}
                    | {RENAMED.get(column, column): float(value) for column, value in row.items() if value}
                    for row in csv.DictReader(handle)
                ]
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise FullconvError(f"{self.path} is damaged ({error}); delete it: only the curves lose what is in it") from error

    def cut(self, stage: str, step: int) -> None:
        """Drop the rows of ``stage`` after ``step``: a run that was killed wrote them after its last save."""
        rows = self.rows()
        kept = [row for row in rows if row["stage"] != stage or row["step"] <= step]
        if kept == rows and self._has_our_columns():
            return
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, self.columns)
            writer.writeheader()
            writer.writerows(kept)

    def _has_our_columns(self) -> bool:
        """Return whether rows may be added: an older version's file has fewer columns."""
        if not self.path.exists():
            return True
        with self.path.open(newline="", encoding="utf-8") as handle:
            return next(csv.reader(handle), list(self.columns)) == list(self.columns)


def metrics_of(reports: Mapping[str, Report]) -> dict[str, float]:
    """Return the four metrics of every head by their columns' names, in 0..1."""
    return {f"{head}_{key}": getattr(report.metrics, key) for head, report in reports.items() for key in METRICS}
