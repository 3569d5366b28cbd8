"""What a sweep leaves: a table, a CSV file, a plot of the metric over each key, and the best recipe ready to train."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from fullconv.evaluation import METRICS
from fullconv.evaluation.plots import drawable, figure
from fullconv.evaluation.report import percent
from fullconv.files import replacing
from fullconv.spec.recipe import to_yaml
from fullconv.training.sweep_space import Range, recipe_with
from fullconv.training.sweep_trials import SweepSpec, Trial, best_of, told


def sweep_table(spec: SweepSpec, trials: Sequence[Trial]) -> Table:
    """Return a row a trial, the best first: its values, its metric in percent, minutes, and what became of it."""
    table = Table(title=f"{METRICS[spec.metric]} on the validation split, percent")
    table.add_column("trial", justify="right")
    for tried in spec.tries:
        table.add_column(escape(tried.key), justify="right", overflow="fold")
    for title in (METRICS[spec.metric], "min"):
        table.add_column(title, justify="right")
    table.add_column("status", overflow="fold")
    for trial in sorted(trials, key=lambda trial: -1.0 if trial.value is None else -trial.value - 2):
        values = (_text(trial.params.get(tried.key)) for tried in spec.tries)
        value = percent(float("nan") if trial.value is None else trial.value)
        status = f"{trial.status}: {trial.reason}" if trial.reason else trial.status
        table.add_row(str(trial.number), *map(escape, values), value, f"{trial.seconds / 60:.1f}", escape(status))
    return table


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def write_sweep(spec: SweepSpec, trials: Sequence[Trial], out: Path) -> Trial | None:
    """Write ``trials.csv``, and ``best.yaml`` and ``sweep.png`` when a trial has finished; return the best trial."""
    with replacing(out / "trials.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("trial", *(tried.key for tried in spec.tries), spec.metric, "minutes", "status", "reason"))
        for trial in trials:
            values = (trial.params.get(tried.key) for tried in spec.tries)
            writer.writerow((trial.number, *values, trial.value, round(trial.seconds / 60, 3), trial.status, trial.reason))
    best = best_of(trials)
    if best is None or best.value is None:
        return None
    recipe = recipe_with(spec.recipe, spec.overrides, best.params)
    recipe = recipe.model_copy(update={"name": f"{recipe.name}-best"})
    header = f"# the best of {len(trials)} trials, {best.name}: {spec.metric} {best.value:.4f}\n# with {told(best.params)}\n"
    with replacing(out / "best.yaml") as temporary:
        temporary.write_text(header + to_yaml(recipe), encoding="utf-8")
    _draw(spec, trials, best, out / "sweep.png")
    return best


def _draw(spec: SweepSpec, trials: Sequence[Trial], best: Trial, path: Path) -> None:
    """Draw the metric over each key, a dot a trial that finished, the best one larger."""
    finished = [trial for trial in trials if trial.value is not None]
    with figure(path, (4.2 * len(spec.tries), 3.6)) as drawn:
        plots = drawn.subplots(1, len(spec.tries), sharey=True, squeeze=False)[0]
        for plot, tried in zip(plots, spec.tries, strict=True):
            for trial in finished:
                value = trial.params[tried.key]
                at = value if isinstance(tried, Range) else tried.values.index(value)
                ours = trial is best
                plot.scatter([at], [100 * (trial.value or 0.0)], color="C1" if ours else "C0", s=80 if ours else 25)
            if not isinstance(tried, Range):
                names = [drawable(_text(value)) for value in tried.values]
                plot.set_xticks(range(len(names)), names, parse_math=False)
            elif tried.log:
                plot.set_xscale("log")
                plot.set_xlim(tried.low, tried.high)
            plot.set_xlabel(tried.key)
            plot.grid(alpha=0.3)
        plots[0].set_ylabel(f"{METRICS[spec.metric]}, %")
