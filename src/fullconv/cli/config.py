"""``fullconv config``: every key of a recipe, with its value and its meaning."""

import json
import shutil
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from fullconv.cli.output import WIDE, log, show

if TYPE_CHECKING:
    from fullconv.spec.reference import Key


def config(
    recipe: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    about: str | None = None,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """List the keys of recipes: what each accepts, its value and what it means.

    Without a recipe the values are the defaults. With a recipe they are those that training would use, and values that differ
    from the default are marked with *.

    Parameters
    ----------
    recipe
        Name of a shipped recipe (see `fullconv recipes`), a YAML file, or the folder of a run. Changes may follow: --KEY VALUE.
    about
        Only keys that have this in their name: train.optimizer, crop, learning_rate.
    as_json
        Print one JSON object: key to accepted, default, value and meaning.

    Examples
    --------
    fullconv config
    fullconv config --about train.optimizer
    fullconv config voc-fcn8s-squeezenet1_1 --about learning_rate
    """
    from fullconv.errors import SpecError, nearest
    from fullconv.spec.recipe import load_recipe, parse_overrides
    from fullconv.spec.reference import recipe_keys, values_of

    if recipe is not None and recipe.startswith("-"):
        raise SpecError(f"{recipe} stands before the recipe; write fullconv config RECIPE {recipe} …")
    keys = list(recipe_keys())
    values = values_of(load_recipe(recipe, parse_overrides(overrides))) if recipe is not None else None
    found = [key for key in keys if about is None or about.lower() in key.name]
    if not found:
        near = nearest(str(about), [part for key in keys for part in key.name.split(".")], 1, 0.6)
        hint = f"did you mean {near[0]}?" if near else "leave --about out to see all keys"
        raise SpecError(f"no key has {about!r} in its name; {hint}")
    if as_json:
        show(json.dumps({key.name: _facts(key, values) for key in found}))
    else:
        show(_text(found, values))
        log("change a key in the recipe, or for one run: fullconv train RECIPE --KEY VALUE")


def _facts(key: "Key", values: Mapping[str, Any] | None) -> dict[str, Any]:
    facts = {"accepts": key.accepts, "default": key.default, "required": key.required, "meaning": key.meaning}
    return facts if values is None else {**facts, "value": values.get(key.name, key.default)}


def _text(keys: "list[Key]", values: Mapping[str, Any] | None) -> str:
    """Return the keys as text: name, value and what is accepted on one line, the meaning indented below."""
    wide = min(shutil.get_terminal_size((WIDE, 24)).columns, WIDE)
    lines = []
    for key in keys:
        shown = key.shown_default
        if values is not None and key.name in values and not key.group:
            shown = json.dumps(values[key.name], ensure_ascii=False)
            shown += " *" if shown != key.shown_default else ""
        lines.append(f"{key.name}{': ' * bool(shown)}{shown}  ({key.accepts})")
        lines += textwrap.wrap(key.meaning, wide, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)
