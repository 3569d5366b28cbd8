"""``fullconv runs``: which runs there are, and how they differ."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from fullconv.cli.output import log, show
from fullconv.errors import DataError

Metric = Literal["pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"]
runs = App(name="runs", help="List trained runs, or compare some: recipes, metrics, curves.")


@runs.default
def list_runs(
    *folders: Path,
    sort: str = "date",
    metric: Metric = "mean_iu",
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """List the runs in and below folders: net, data, steps, how good, how long, and whether they are finished.

    Parameters
    ----------
    folders
        Folders to search for runs; runs by default.
    sort
        A column: date (latest first), name, net, data, steps, status, minutes, or a metric such as mean_iu (highest first).
    metric
        Metric to show, on the validation split: that of the model that was kept, and the best that was ever measured.
    as_json
        Print one JSON list.

    Examples
    --------
    fullconv runs
    fullconv runs runs sweeps --sort mean_iu
    """
    from fullconv.training.run_tables import run_table, sorted_runs
    from fullconv.training.runs import find_runs

    found = sorted_runs(find_runs(folders or (Path("runs"),)), sort)
    if as_json:
        show(json.dumps([run.to_dict() for run in found]))
    elif found:
        show(run_table(found, metric))
    else:
        log(f"no runs in {', '.join(map(str, folders)) or 'runs'}")


@runs.command
def compare(
    *folders: Path,
    head: str | None = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Put runs side by side: the keys of their recipes that differ, their metrics, the IU of every class, their curves.

    Metrics are those on the validation split when the last finished stage ended. Where a report of the same images lies in the
    run folder (fullconv evaluate RUN/model.safetensors --data … --out RUN/report), they come from it, with intervals.

    Parameters
    ----------
    folders
        Two or more run folders.
    head
        Which output of models that have several; the first by default.
    out
        File to write: compare.png for the curves, or compare.html for everything on one page.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv runs compare runs/a runs/b --out compare.html
    """
    from fullconv.training.run_tables import Comparison, check_out
    from fullconv.training.runs import MARKS, is_run, read_run

    if out is not None:
        check_out(out)
    for folder in folders:
        if not folder.is_dir() or not is_run([path.name for path in folder.iterdir()]):
            raise DataError(f"{folder} is not a run folder: it holds fewer than two of {', '.join(MARKS)}")
    found = Comparison([read_run(folder) for folder in folders], head)
    for line in found.warnings():
        log(f"warning: {line}")
    show(json.dumps(found.to_dict()) if as_json else found.table())
    if out is not None:
        found.write(out)
        log(f"the curves are in {out}" if out.suffix.lower() == ".png" else f"the page is {out}")
