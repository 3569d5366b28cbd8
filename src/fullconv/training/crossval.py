"""Cross-validation: a recipe trained once for each fold of a folder, and the metrics' mean and deviation over the folds."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fullconv.errors import SpecError, TrainingError
from fullconv.evaluation import METRICS
from fullconv.files import replacing
from fullconv.spec import FolderSpec, Recipe
from fullconv.spec.recipe import RUN_RECIPE, to_yaml
from fullconv.training.folder import RunFolder
from fullconv.training.interrupt import Interrupted
from fullconv.training.run import train

FOLDS = 5
"""Where neither the command nor the recipe says how many."""


@dataclass(frozen=True)
class CrossValidation:
    """What was measured in each fold on the images that it did not train on.

    Attributes
    ----------
    out
        The folder, with a run ``fold-0`` and so on for each fold.
    folds
        The last stage's record of each fold, as in its ``result.json``.
    """

    out: Path
    folds: list[dict[str, Any]]

    def rows(self, head: str) -> list[tuple[str, list[float]]]:
        """Return (name, value in every fold) of each metric and of each class's IU, 0..1, ``nan`` where nothing was counted."""
        reports = [record["heads"][head] for record in self.folds]
        metrics = [(title, [_number(report[key]) for report in reports]) for key, title in METRICS.items()]
        return metrics + [(f"IU {name}", [_number(report["iu"][name]) for report in reports]) for name in reports[0]["iu"]]

    @property
    def heads(self) -> list[str]:
        """The names of the outputs."""
        return list(self.folds[0]["heads"])

    def table(self, head: str) -> Table:
        """Return mean ± standard deviation over the folds and every fold's value in percent, a row a metric and a row a class."""
        of = f" of {head}" if len(self.heads) > 1 else ""
        count = len(self.folds)
        table = Table(title=f"{escape(self.out.name)}{of}: {count} folds, percent", caption="± standard deviation over folds")
        table.add_column("")
        for title in ("mean ± sd", *(f"fold {number}" for number in range(count))):
            table.add_column(title, justify="right")
        for place, (name, values) in enumerate(self.rows(head)):
            if place == len(METRICS):
                table.add_section()
            table.add_row(escape(name), mean_and_deviation(values), *(_percent(value) for value in values))
        return table

    def write(self) -> None:
        """Write ``crossval.csv``, of each head where there are several, and ``crossval.json`` to :attr:`out`."""
        for head in self.heads:
            name = "crossval.csv" if len(self.heads) == 1 else f"crossval-{head}.csv"
            with replacing(self.out / name) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
                writer = csv.writer(handle)
                writer.writerow(("name", "mean", "sd", *(f"fold {number}" for number in range(len(self.folds)))))
                for row, values in self.rows(head):
                    cells = (*summary(values), *values)
                    writer.writerow((row, *("" if math.isnan(value) else value for value in cells)))
        with replacing(self.out / "crossval.json") as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Return mean, deviation and the folds' values of every metric and class by head, JSON-able."""
        found: dict[str, Any] = {"out": str(self.out), "folds": len(self.folds), "heads": {}}
        for head in self.heads:
            found["heads"][head] = {
                name: dict(zip(("mean", "sd"), map(_or_none, summary(values)), strict=True)) | {"folds": [*map(_or_none, values)]}
                for name, values in self.rows(head)
            }
        return found


def cross_validate(
    recipe: Recipe, out: Path, folds: int | None = None, resume: bool = False, console: Console | None = None
) -> CrossValidation:
    """Train ``recipe`` once for each fold into ``out``; return what was measured, and write it there.

    Parameters
    ----------
    recipe
        Its data are a folder whose splits are drawn.
    out
        Gets a run folder ``fold-0`` and so on for each.
    folds
        How many; what the recipe says by default, else :data:`FOLDS`.
    resume
        Go on with the folds that are there: finished ones are not trained again.
    console
        For progress; standard error by default.

    Raises
    ------
    SpecError
        When the data have splits of their own, or there are fewer than two folds.
    TrainingError
        When folds are there and are not to be gone on with.
    Interrupted
        After Ctrl-C or SIGTERM; the message says how to go on.
    FullconvError
        As :func:`fullconv.training.train`.
    """
    console = console or Console(stderr=True)
    given = recipe.data.folder
    chosen = [_of_fold(recipe, folds or given.folds or FOLDS, number) for number in range(folds or given.folds or FOLDS)]
    if not resume and (out / RUN_RECIPE).exists():
        raise TrainingError(
            f"{out} holds folds already; go on with `fullconv crossval {quote(str(out))} --resume`, or choose another --out"
        )
    with replacing(out / RUN_RECIPE) as temporary:
        temporary.write_text(to_yaml(chosen[0]), encoding="utf-8")
    records = []
    for number, fold in enumerate(chosen):
        console.rule(f"fold {number}, {number + 1} of {len(chosen)}")
        try:
            records.append(_train_fold(fold, out / f"fold-{number}", number, console))
        except Interrupted:
            raise Interrupted(
                f"stopped in fold {number} of 0 to {len(chosen) - 1}; go on with: fullconv crossval {quote(str(out))} --resume"
            ) from None
        except BaseException:
            if not any((out / f"fold-{each}" / RUN_RECIPE).exists() for each in range(len(chosen))):
                (out / RUN_RECIPE).unlink()  # nothing was trained, so that the corrected command can start here
            raise
    found = CrossValidation(out, records)
    found.write()
    return found


def _of_fold(recipe: Recipe, folds: int, number: int) -> Recipe:
    if recipe.data.name != "folder":
        raise SpecError(f"{recipe.data.name} has splits of its own; cross-validation draws those of a folder of images and masks")
    try:
        folder = FolderSpec.model_validate(recipe.data.folder.model_dump() | {"folds": folds, "fold": number})
    except ValueError as error:
        reason = str(error).split("Value error, ")[-1].split(" [type=")[0]
        raise SpecError(f"data.folder: {reason}") from error
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"folder": folder})})


def _train_fold(recipe: Recipe, out: Path, number: int, console: Console) -> dict[str, Any]:
    """Return the record of a fold's last stage: trained, gone on with, or as it was left when it is done."""
    folder = RunFolder(out)
    begun = folder.recipe.exists()
    if begun and folder.is_finished():
        folder.check(recipe)
        console.print(f"{out} is done already")
        return folder.finished()[-1]
    # the images and masks of all folds are the same: the first one looks into them
    return train(recipe, out, resume=begun, console=console, examined=number > 0).stages[-1]


def summary(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation of what is not ``nan``; ``nan`` where there is too little.

    Examples
    --------
    >>> summary([0.5, 0.7, float("nan")])
    (0.6, 0.141...)
    """
    known = [value for value in values if not math.isnan(value)]
    return (fmean(known) if known else math.nan), (stdev(known) if len(known) > 1 else math.nan)


def mean_and_deviation(values: Sequence[float]) -> str:
    """Return ``mean ± sd`` in percent.

    Examples
    --------
    >>> mean_and_deviation([0.5, 0.7])
    '60.0 ± 14.1'
    """
    mean, deviation = summary(values)
    return _percent(mean) if math.isnan(deviation) else f"{_percent(mean)} ± {100 * deviation:.1f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
