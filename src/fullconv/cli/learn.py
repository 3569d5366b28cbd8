"""Commands that train: ``train`` and ``demo``."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import log, show


def train(
    recipe: str,
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Train a recipe; any of its values can be given as --KEY VALUE, such as --data.root DIR or --train.seed 1.

    Ctrl-C saves and says how to go on. The run folder gets the trained model, its scores, curves and pictures.

    Parameters
    ----------
    recipe
        Name of a shipped recipe (see `fullconv recipes`) or a YAML file.
    out
        The run folder; runs/RECIPE by default.
    resume
        Go on with the run in the folder.
    as_json
        Print one JSON object.
    """
    from fullconv.recipe import load_recipe, parse_overrides
    from fullconv.training import train as run

    chosen = load_recipe(recipe, parse_overrides(overrides))
    result = run(chosen, out or Path("runs") / chosen.name, resume=resume)
    if as_json:
        show(json.dumps({"out": str(result.out), "seconds": result.seconds, "stages": result.stages}))
    else:
        log(f"the model is {result.model}; look at {result.out / 'predictions.png'} and {result.out / 'curves.png'}")


def demo(*, out: Path = Path("demo"), as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """Tell the paper's story on rendered scenes, in minutes, without network: pictures, a table, index.html.

    Parameters
    ----------
    out
        Folder for everything; must not hold an earlier demo.
    as_json
        Print one JSON object.
    """
    from fullconv.paper.demo import run

    found = run(out)
    show(json.dumps(found.to_dict()) if as_json else found.table())
    order = "comes out" if found.in_order else "does NOT come out"
    log(
        f"the paper's order (32s-fixed < 32s < 16s <= 8s) {order}; {sum(found.seconds.values()):.0f} s; open {out / 'index.html'}"
    )
