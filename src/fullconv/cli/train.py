"""``fullconv train``: train a recipe."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import CycloptsError, Parameter

from fullconv.cli.output import log, show


def train(
    recipe: Annotated[str, Parameter(allow_leading_hyphen=True)],
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
    from fullconv.errors import SpecError
    from fullconv.spec.recipe import load_recipe, parse_overrides

    if recipe.startswith("-"):
        raise SpecError(f"{recipe} stands before the recipe; write fullconv train RECIPE {recipe} …")
    _refuse_mistyped(overrides)
    chosen = load_recipe(recipe, parse_overrides(overrides))
    from fullconv.training import train as run  # takes seconds, which a mistyped recipe need not wait for

    result = run(chosen, out or Path("runs") / chosen.name, resume=resume)
    if as_json:
        show(json.dumps({"out": str(result.out), "seconds": result.seconds, "stages": result.stages}))
    else:
        pictures = [*sorted(result.out.glob("predictions*.png")), result.out / "curves.png"]  # one of predictions for each head
        log(f"the model is {result.model}; look at {' and '.join(map(str, pictures))}")


def _refuse_mistyped(overrides: Sequence[str]) -> None:
    """Find options of the command itself that were meant: whatever it does not know is taken for a key of the recipe."""
    for name in (token for token in overrides if token.startswith("--") and "." not in token):
        near = difflib.get_close_matches(name.partition("=")[0], ("--out", "--resume", "--json"), 1, 0.7)
        if near:
            raise CycloptsError(msg=f"Unknown option: {name}. Did you mean {near[0]}?")
