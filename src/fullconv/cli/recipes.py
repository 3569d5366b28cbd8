"""``fullconv recipes``: the recipes that come with fullconv."""

import json
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.output import show


def recipes(name: str | None = None, /, *, as_json: Annotated[bool, Parameter("--json", negative="")] = False) -> None:
    """List the shipped recipes, or print one to start your own from.

    Parameters
    ----------
    name
        Recipe to print; all are listed by default.
    as_json
        Print one JSON object.

    Examples
    --------
    fullconv recipes
    fullconv recipes voc-fcn8s-squeezenet1_1
    """
    from rich.markup import escape
    from rich.table import Table

    from fullconv.spec.recipe import find_recipe, load_recipe, shipped_recipes

    if name is not None:
        recipe = load_recipe(name)
        show(recipe.model_dump_json() if as_json else find_recipe(name).read_text(encoding="utf-8").rstrip())
        return
    found = shipped_recipes()
    if as_json:
        show(json.dumps(found))
        return
    table = Table("recipe", "what it is")
    for recipe_name, line in found.items():
        table.add_row(recipe_name, escape(line))  # [rgb] is no markup
    show(table)
