"""``fullconv crossval``: train a recipe once for each fold."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from fullconv.cli.output import log, show
from fullconv.errors import SpecError


def crossval(
    recipe: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    folds: Annotated[int | None, Parameter(validator=validators.Number(gte=2))] = None,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Cross-validate a recipe: train it once for each fold, each time without the images that it is measured on.

    Any value of the recipe can be given as --KEY VALUE. Prints mean and standard deviation over the folds for every metric and
    class, and writes them to crossval.csv; each fold is a run of its own in the folder. Ctrl-C saves and says how to go on.

    Parameters
    ----------
    recipe
        A YAML file of a folder whose splits are drawn, or the folder of a cross-validation, which holds its own.
    folds
        Number of folds; data.folder.folds of the recipe by default, else 5.
    out
        Folder for the folds; runs/RECIPE-crossval by default, or with --resume the folder that is named as recipe.
    resume
        Continue with the folds that are missing: fullconv crossval OUT --resume.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv crossval photos.yaml --folds 5
    fullconv crossval runs/photos-crossval --resume
    """
    from fullconv.spec.recipe import load_recipe, parse_overrides

    if recipe.startswith("-"):
        raise SpecError(f"{recipe} stands before the recipe; write fullconv crossval RECIPE {recipe} …")
    chosen = load_recipe(recipe, parse_overrides(overrides))
    from fullconv.training.crossval import cross_validate  # takes seconds, which a mistyped recipe need not wait for

    folder = Path(recipe) if resume and Path(recipe).is_dir() else Path("runs") / f"{chosen.name}-crossval"
    found = cross_validate(chosen, out or folder, folds, resume)
    if as_json:
        show(json.dumps(found.to_dict()))
    else:
        for head in found.heads:
            show(found.table(head))
    log(f"the folds are runs in {found.out}; the numbers are in {found.out / 'crossval.json'} and as CSV beside it")
