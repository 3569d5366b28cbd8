"""What a finished run shows: a table of its stages, curves, and the numbers of ``result.json``."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from matplotlib.ticker import LogFormatter
from rich.table import Table

from fullconv.evaluation import METRICS, Report
from fullconv.evaluation.plots import figure
from fullconv.training.log import MetricsFile


def stage_table(stages: Sequence[Mapping[str, Any]]) -> Table:
    """Return the four metrics of every stage in percent, a row a stage and head, from the records of ``result.json``."""
    table = Table("stage", "head", "steps", "min", title="on the validation split, percent")
    for title in METRICS.values():
        table.add_column(title, justify="right")
    for stage in stages:
        for head, report in stage["heads"].items():
            numbers = ["–" if report[key] is None else f"{100 * report[key]:.1f}" for key in METRICS]
            kept = stage.get("kept", {})
            steps = str(stage["steps"])
            if kept.get("step", stage["steps"]) != stage["steps"]:
                steps += f", best at {kept['step']}"
            table.add_row(stage["stage"], head, steps, f"{stage['seconds'] / 60:.1f}", *numbers)
    return table


def write_reports(folder: Path, reports: Mapping[str, Report]) -> None:
    """Write ``per-class.csv`` and ``per-class.md`` of the heads; ``per-class-HEAD`` where there are several."""
    for head, report in reports.items():
        name = "per-class" if len(reports) == 1 else f"per-class-{head}"
        report.write_csv(folder / f"{name}.csv")
        report.write_markdown(folder / f"{name}.md")


def draw_curves(path: Path, log: MetricsFile, stages: Sequence[Mapping[str, Any]]) -> None:
    """Draw loss, learning rate and the heads' mean IU over the steps of all stages, one after the other, into a PNG."""
    rows = _along_the_run(log, stages)
    with figure(path, (8, 8), {"left": 0.11, "right": 0.98, "bottom": 0.07, "top": 0.98, "hspace": 0.08}) as drawing:
        plots = drawing.subplots(3, 1, sharex=True)
        heads = [column.removesuffix("_mean_iu") for column in log.columns if column.endswith("_mean_iu")]
        groups = ["loss"], ["learning_rate"], [f"{head}_mean_iu" for head in heads]
        for plot, columns, title in zip(plots, groups, ("loss", "learning rate", "mean IU"), strict=True):
            for number, column in enumerate(columns):
                _draw_line(plot, column, rows, f"C{number}")
            plot.set_ylabel(title)
            plot.yaxis.set_label_coords(-0.09, 0.5)
            plot.grid(alpha=0.3)
            for end in accumulate(stage["steps"] for stage in stages[:-1]):
                plot.axvline(end, color="grey", linewidth=0.8)
        positive = [row["loss"] for row in rows if "loss" in row and row["loss"] > 0]
        wide = bool(positive) and max(positive) > 20 * min(positive)
        for plot in plots[:2] if wide else plots[1:2]:
            plot.set_yscale("log")
            plot.yaxis.set_major_formatter(LogFormatter())
            plot.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
        if len(heads) > 1:
            plots[2].legend()
        plots[2].set_xlabel(f"step ({' → '.join(str(stage['stage']) for stage in stages)})")


def _draw_line(plot: Any, column: str, rows: Sequence[Mapping[str, Any]], color: str) -> None:
    """Draw one column over the steps of the run; a new line begins with every stage."""
    given = [row for row in rows if column in row]
    for number, (_, stage) in enumerate(groupby(given, key=lambda row: row["stage"])):
        points = [(row["at"], row[column]) for row in stage]
        marker = "." if len(points) < 40 else ""
        plot.plot(*zip(*points, strict=True), marker=marker, color=color, label="" if number else column.removesuffix("_mean_iu"))


def _along_the_run(log: MetricsFile, stages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the log's rows with ``at``, the step counted from the start of the run."""
    begins = dict(zip((s["stage"] for s in stages), accumulate((s["steps"] for s in stages), initial=0), strict=False))
    return [row | {"at": begins[row["stage"]] + row["step"]} for row in log.rows() if row["stage"] in begins]
