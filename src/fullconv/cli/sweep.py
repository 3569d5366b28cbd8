"""``fullconv sweep``: find better values for some keys of a recipe."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from fullconv.cli.output import log, progress_bar, show
from fullconv.cli.runs import Metric
from fullconv.errors import SpecError, TrainingError


def sweep(
    recipe: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    tries: Annotated[list[str] | None, Parameter("--try", negative="", consume_multiple=False)] = None,
    minutes: Annotated[float | None, Parameter(validator=validators.Number(gt=0))] = None,
    trials: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    metric: Metric = "mean_iu",
    prune: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Train a recipe again and again with other values of some keys, and write the best recipe: OUT/best.yaml.

    Any other value of the recipe can be given as --KEY VALUE, and then holds for all trials. Every trial is a run folder in OUT.
    The same command goes on with a sweep that was interrupted, or has more minutes or trials by now.

    Parameters
    ----------
    recipe
        Name of a shipped recipe (see `fullconv recipes`) or a YAML file.
    tries
        KEY=LOW:HIGH or KEY=A,B,C, once for each key. A range is logarithmic where its ends are positive and a factor of ten
        apart, and of whole numbers where the key takes those; LOW:HIGH:log and LOW:HIGH:linear say it.
    minutes
        Time limit of the whole sweep; the trial that runs then is stopped. Give --minutes, --trials or both.
    trials
        Largest number of trials.
    seed
        Seed of the search: the same seed proposes the same trials.
    metric
        Metric on the validation split that the search maximises.
    prune
        Stop trials early that are below the median of the others at the same step; needs --train.validate_every.
    out
        Folder for the trials; sweeps/RECIPE by default.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv sweep photos.yaml --try model.dropout=0:0.5 --trials 10
    fullconv sweep photos.yaml --try train.loss=dice,focal --minutes 60
    """
    from fullconv.spec.recipe import load_recipe, parse_overrides
    from fullconv.training.sweep_space import parse_tries

    if recipe.startswith("-"):
        raise SpecError(f"{recipe} stands before the recipe; write fullconv sweep RECIPE {recipe} …")
    changes = parse_overrides(overrides)
    folder = out or Path("sweeps") / load_recipe(recipe, changes).name
    tried = parse_tries(tries or [])
    from fullconv.training.sweep import sweep as run  # takes seconds, which a mistyped command need not wait for
    from fullconv.training.sweep_report import sweep_table, write_sweep
    from fullconv.training.sweep_trials import SweepSpec

    spec = SweepSpec(recipe, tried, changes, minutes, trials, seed, metric, prune)
    with progress_bar("training") as bar:
        task = bar.add_task("steps", total=None)
        found = run(spec, folder, bar.console, lambda trial, step, steps: bar.update(task, completed=step, total=steps))
    best = write_sweep(spec, found, folder)
    if as_json:
        show(json.dumps({"out": str(folder), "trials": [dataclasses.asdict(trial) for trial in found]}))
    else:
        show(sweep_table(spec, found))
    if best is None:
        raise TrainingError("no trial has finished; give more --minutes, or shorter trials, such as by --train.stages.0.steps")
    model = folder / best.name / "model.safetensors"
    log(f"the best recipe is {folder / 'best.yaml'}; its model is {model}; look at {folder / 'sweep.png'}")
