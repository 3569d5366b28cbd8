"""Runs as tables: a list of them, sorted, and several side by side with what differs between them; their curves in one image."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from fullconv.errors import DataError, nearest
from fullconv.evaluation import METRICS
from fullconv.evaluation.pages import Page
from fullconv.evaluation.plots import drawable, figure
from fullconv.evaluation.report import estimate, percent
from fullconv.training.runs import RunRecord

COLUMNS = ("name", "date", "net", "data", "steps", "status", "minutes")
NAN = float("nan")


def sorted_runs(runs: Sequence[RunRecord], by: str) -> list[RunRecord]:
    """Return runs in the order of a column or metric: metrics the highest first, dates the latest first, all else rising.

    Raises
    ------
    DataError
        When there is no such column.
    """
    keys: dict[str, Any] = {
        "name": lambda run: str(run.path),
        "date": lambda run: -run.started.timestamp() if run.started else 0.0,
        "net": lambda run: run.net,
        "data": lambda run: run.data,
        "steps": lambda run: run.steps,
        "status": lambda run: run.status,
        "minutes": lambda run: run.minutes or 0.0,
    } | {metric: lambda run, metric=metric: -(run.score(metric) if run.score(metric) is not None else -1.0) for metric in METRICS}
    if by not in keys:
        near = nearest(by, keys, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(keys)}"
        raise DataError(f"--sort {by}: runs have no such column; {hint}")
    return sorted(runs, key=keys[by])


def run_table(runs: Sequence[RunRecord], metric: str = "mean_iu") -> Table:
    """Return a row a run: name, date, net, data, steps, status, the metric at the end and at its best, minutes."""
    table = Table()
    for title in ("run", "date", "net", "data"):
        table.add_column(title, overflow="fold")
    for title in ("steps", f"{METRICS[metric]} %", "best %", "min"):
        table.add_column(title, justify="right")
    table.add_column("status", overflow="fold")
    for run in runs:
        date = f"{run.started:%Y-%m-%d %H:%M}" if run.started else "–"
        score, best = (percent(NAN if value is None else value) for value in (run.score(metric), run.best(metric)))
        minutes = "–" if run.minutes is None else f"{run.minutes:.1f}"
        steps = f"{run.steps}" if run.planned in (None, run.steps) else f"{run.steps}/{run.planned}"
        status = f"damaged: {run.problem}" if run.problem else run.status
        status += ", ended by patience" if run.ended_by_patience else ""
        texts = map(escape, (str(run.path), date, run.net, run.data))
        table.add_row(*texts, steps, score, best, minutes, escape(status))
    return table


class Comparison:
    """Several runs side by side.

    Parameters
    ----------
    runs
        At least two, none of them twice; each has a recipe or a measurement.
    head
        Which output's metrics; the first run's first by default.

    Raises
    ------
    DataError
        When there are fewer, one is there twice, or one has nothing to compare.
    """

    def __init__(self, runs: Sequence[RunRecord], head: str | None = None) -> None:
        if len({run.path.resolve() for run in runs}) < max(len(runs), 2):
            raise DataError("give at least two runs, each once: their folders")
        for run in runs:
            if not run.recipe:
                raise DataError(f"{run.path} cannot be compared: {run.problem or 'it has no recipe'}")
        self.runs = list(runs)
        self.head = head or runs[0].heads[0]
        self.names = _names([run.path for run in runs])
        self.reports = [_report(run, self.head) for run in runs]

    def differences(self) -> list[tuple[str, ...]]:
        """Return a row a key of the recipes that differs: the key, and each run's value; a dash where it has none."""
        flat = [dict(_leaves(run.recipe)) for run in self.runs]
        keys = dict.fromkeys(key for values in flat for key in values)
        rows = [(key, *(values.get(key, "–") for values in flat)) for key in keys]
        return [row for row in rows if len(set(row[1:])) > 1]

    def metric_rows(self) -> list[tuple[str, ...]]:
        """Return a row a metric: its title, and each run's value in percent, with its interval where a report tells it."""
        return [(title, *(self._estimate(number, key) for number in range(len(self.runs)))) for key, title in METRICS.items()]

    def _estimate(self, number: int, key: str) -> str:
        report = self.reports[number]
        value = report.get(key) if report else self.runs[number].score(key, self.head)
        low, high = report.get("intervals", {}).get(key) or (None, None)
        known = (NAN if end is None else float(end) for end in (value, low, high))
        value, low, high = known
        return estimate(value, (low, high))

    def class_rows(self) -> list[tuple[str, ...]]:
        """Return a row a class of any run: its name, and each run's IU in percent; a dash where it has none."""
        found = [report.get("iu", {}) for report in self.reports]
        names = dict.fromkeys(name for values in found for name in values)
        return [
            (name, *(percent(NAN if values.get(name) is None else float(values[name])) for values in found)) for name in names
        ]

    def warnings(self) -> list[str]:
        """Return a line for everything that makes the runs' metrics no measure of each other."""
        measured = [f"{report.get('dataset')}, {report.get('images')} images" if report else "" for report in self.reports]
        lines = [f"{name} has no finished stage" for name, where in zip(self.names, measured, strict=True) if not where]
        if len({where for where in measured if where}) > 1:
            told = "; ".join(f"{name}: {where}" for name, where in zip(self.names, measured, strict=True) if where)
            lines.append(f"measured on different images, so the metrics cannot be compared: {told}")
        classes = {tuple(report["iu"]) for report in self.reports if report.get("iu")}
        if len(classes) > 1:
            lines.append("the classes differ, so means are over different classes")
        return lines

    def table(self) -> Table:
        """Return everything as one rich table with a column a run."""
        table = Table(caption="metrics in percent, of the last finished stage; in parentheses: 95 % interval over images")
        table.add_column("")
        for name in self.names:
            table.add_column(escape(name), justify="right", overflow="fold")
        for rows in (self.differences(), self.metric_rows(), [(f"IU {row[0]}", *row[1:]) for row in self.class_rows()]):
            for row in rows:
                table.add_row(*map(escape, row))
            table.add_section()
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return everything, JSON-able: the differences by key and run, the metrics and reports by run."""
        return {
            "runs": {name: run.to_dict() for name, run in zip(self.names, self.runs, strict=True)},
            "head": self.head,
            "differences": {key: dict(zip(self.names, values, strict=True)) for key, *values in self.differences()},
            "reports": dict(zip(self.names, self.reports, strict=True)),
            "warnings": self.warnings(),
        }

    def draw(self, path: Path) -> None:
        """Draw loss and mean IU of all runs over their steps into a PNG."""
        with figure(path, (9, 7)) as drawing:
            plots = drawing.subplots(2, 1, sharex=True)
            for number, (name, run) in enumerate(zip(self.names, self.runs, strict=True)):
                for plot, column, factor in zip(plots, ("loss", f"{self.head}_mean_iu"), (1, 100), strict=True):
                    points = [(at, factor * row[column]) for at, row in _along(run) if column in row]
                    steps, values = zip(*points, strict=True) if points else ((), ())
                    marker = "." if len(points) < 40 else ""
                    # a label that begins with an underscore would be left out of the legend
                    plot.plot(steps, values, marker=marker, color=f"C{number % 10}", label=f" {drawable(name)}")
            for plot, title in zip(plots, ("loss", "mean IU, %"), strict=True):
                plot.set_ylabel(title)
                plot.grid(alpha=0.3)
            plots[1].set_xlabel("step")
            for text in plots[0].legend().get_texts():
                text.set_parse_math(False)

    def write(self, path: Path) -> None:
        """Write the curves as a ``.png``, or everything as an ``.html`` page with the curves in a PNG beside it.

        Raises
        ------
        DataError
            When ``path`` ends in neither.
        """
        check_out(path)
        if path.suffix.lower() == ".png":
            self.draw(path)
            return
        curves = path.with_suffix(".png")
        self.draw(curves)
        page = Page(f"{len(self.runs)} runs")
        for line in self.warnings():
            page.text(line)
        page.heading("Recipes")
        page.table(("key", *self.names), self.differences())
        page.heading("Metrics")
        page.table(("%", *self.names), self.metric_rows())
        page.text("Of the last finished stage. In parentheses: the 95 % interval over images, where an evaluation tells it.")
        page.heading("Curves")
        page.picture(curves.name, "Loss and mean IU over the steps of all stages, one after the other.")
        page.heading("Classes")
        page.table(("IU %", *self.names), self.class_rows())
        page.write(path)


def check_out(path: Path) -> None:
    """Raise DataError where a comparison cannot be written to a file of this name."""
    if path.suffix.lower() not in (".png", ".html"):
        raise DataError(f"--out {path}: a comparison is written as .png (the curves) or .html (everything); choose one of them")


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the last part of each path, or as many as tell them apart."""
    resolved = [path.resolve().parts for path in paths]
    for parts in range(1, max(map(len, resolved)) + 1):
        names = ["/".join(each[-parts:]) for each in resolved]
        if len(set(names)) == len(names):
            break
    return names


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of every value of a recipe; entries of lists of mappings by their number."""
    inner: Any = None
    if isinstance(value, Mapping) and value:
        inner = value.items()
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        inner = enumerate(value)
    if inner is None:
        yield key, "none" if value is None else json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
        return
    for name, entry in inner:
        yield from _leaves(entry, f"{key}.{name}" if key else str(name))


def _along(run: RunRecord) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (step from the start of the run, row) of the log."""
    lengths: dict[str, int] = {}
    for row in run.rows:
        lengths[row["stage"]] = max(lengths.get(row["stage"], 0), row["step"])
    begins = dict(zip(lengths, accumulate(lengths.values(), initial=0), strict=False))
    for row in run.rows:
        yield begins[row["stage"]] + row["step"], row


def _report(run: RunRecord, head: str) -> dict[str, Any]:
    """Return a run's own report of its last stage, or an evaluation's in its folder of the same images, which has intervals."""
    own = dict(run.stages[-1]["heads"].get(head) or {}) if run.stages else {}
    for path in sorted(run.path.glob("*/report.json")) if own else []:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        same = isinstance(found, dict) and all(found.get(key) == own.get(key) for key in ("dataset", "images", "absent"))
        if same and "intervals" in found and list(found.get("iu", {})) == list(own.get("iu", {})):
            return found
    return own
