"""``fullconv train``: train a recipe."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import CycloptsError, Parameter

from fullconv.cli.output import log, show
from fullconv.errors import SpecError, nearest

USUAL_KEYS = """Keys of recipes that are often changed:
  --data.root DIR                 folder of the data
  --data.scale 0.5                train on images of half the size
  --data.augment.crop "[320,320]" height and width of a random window
  --model.name fcn8s-resnet50     fcn32s-, fcn16s-, fcn8s- or fcn4s-BACKBONE
  --model.weights imagenet        pretrained, or a model to fine-tune
  --train.epochs 50               or --train.minutes 30, or --train.steps 2000
  --train.batch_size 16           images at a time; auto fills a GPU's memory
  --train.optimizer.learning_rate 1e-3
  --train.loss dice               cross_entropy, dice, focal, lovasz, or a sum
  --train.class_weights balanced  give rare classes more weight
  --train.seed 1                  another seed

`fullconv config` lists all keys with defaults and meanings, and
`fullconv config RECIPE` those of a recipe with its values."""
"""Stands below the help of the command."""


def train(
    recipe: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Train a model as a recipe says; any key of the recipe can be changed for this run by --KEY VALUE.

    The run folder gets the trained model, its metrics, the curves of the training and a picture of predictions. Ctrl-C saves
    the state; the same command with --resume goes on from it.

    Parameters
    ----------
    recipe
        Name of a shipped recipe (see `fullconv recipes`), a YAML file, or the folder of a run, which holds its own.
    out
        Run folder to write; runs/RECIPE by default, or with --resume the folder that is given as recipe.
    resume
        Continue the run in the folder: fullconv train RUN --resume.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv train photos.yaml --out run
    fullconv train photos.yaml --train.epochs 50 --train.batch_size 16
    fullconv train photos.yaml --model.name fcn8s-resnet50 --train.seed 1
    fullconv train run --resume
    """
    from fullconv.spec.recipe import load_recipe, parse_overrides

    if recipe.startswith("-"):
        raise SpecError(f"{recipe} stands before the recipe; write fullconv train RECIPE {recipe} …")
    _refuse_mistyped(overrides)
    chosen = load_recipe(recipe, parse_overrides(overrides))
    from fullconv.training import train as run  # takes seconds, which a mistyped recipe need not wait for

    folder = Path(recipe) if resume and Path(recipe).is_dir() else Path("runs") / chosen.name
    result = run(chosen, out or folder, resume=resume)
    if as_json:
        show(json.dumps({"out": str(result.out), "seconds": result.seconds, "stages": result.stages}))
    else:
        pictures = [*sorted(result.out.glob("predictions*.png")), result.out / "curves.png"]  # one of predictions for each head
        log(f"the model is {result.model}; look at {' and '.join(map(str, pictures))}")


def _refuse_mistyped(overrides: Sequence[str]) -> None:
    """Find options of the command itself that were meant: whatever it does not know is taken for a key of the recipe."""
    for name in (token for token in overrides if token.startswith("--") and "." not in token):
        near = nearest(name.partition("=")[0], ("--out", "--resume", "--json"), 1, 0.7)
        if near:
            raise CycloptsError(msg=f"Unknown option: {name}. Did you mean {near[0]}?")
