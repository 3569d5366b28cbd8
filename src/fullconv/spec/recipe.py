"""Recipes: where they are found, how overrides change them, and one clear line for every mistake in them."""

import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from fullconv.errors import SpecError, nearest
from fullconv.spec import Recipe
from fullconv.spec.model import NAMED, nearest_model
from fullconv.spec.renamed import Say, to_standard_error, with_new_keys
from fullconv.spec.usual_names import USUAL_NAMES

FOLDER = Path(__file__).parents[1] / "recipes"
RUN_RECIPE = "recipe.yaml"
"""What the recipe in the folder of a run is called."""
PLACEHOLDER = re.compile(r"\{(split|stem|parent)(\[[-:\d]*\])?\}")
"""What begins with one is a pattern of names; as YAML it would be a mapping."""


def shipped_recipes() -> dict[str, str]:
    """Return the shipped recipes: name to what its header says before the command, in alphabetical order.

    Examples
    --------
    >>> "scenes-fcn8s-minivgg" in shipped_recipes()
    True
    """
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").partition("# command:")[0]
        found[path.stem] = " ".join(line.removeprefix("#").strip() for line in first.splitlines())
    return found


def load_recipe(name: str | Path, overrides: Mapping[str, Any] | None = None, say: Say = to_standard_error) -> Recipe:
    """Return a recipe.

    Parameters
    ----------
    name
        Of a shipped recipe, or a path to a YAML file or to the folder of a run, which holds its own.
    overrides
        Nested values that replace the file's, see :func:`parse_overrides`.
    say
        Called with a line for every key that has a new name by now, see :mod:`fullconv.spec.renamed`.

    Raises
    ------
    SpecError
        When there is no such recipe, it is not YAML, a key is not known (the nearest is named) or a value does not fit.

    Examples
    --------
    >>> load_recipe("scenes-fcn8s-minivgg", {"train": {"seed": 7}}).train.seed
    7
    """
    path = find_recipe(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read the recipe {path}: {error}; give a YAML file that can be read") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path} holds {type(content).__name__}; a recipe is a mapping with the keys {_listed(Recipe)}")
    content = with_new_keys(content, str(name), say)
    changes = with_new_keys(overrides or {}, f"changes to {name}", say)  # before they meet, so that a change wins over the file
    recipe = read_recipe(merge({"name": path.stem, **content}, changes, ""), str(name))
    _refuse_idle_steps(content, changes, str(name))
    return recipe


def _refuse_idle_steps(content: Mapping[str, Any], overrides: Mapping[str, Any], source: str) -> None:
    """Raise SpecError when ``train.steps`` is asked for and every stage has steps of its own: nothing would come of it."""
    train, asked = content.get("train", {}), overrides.get("train", {})
    stages = merge(train, asked, "train.").get("stages", [])
    if "steps" in asked and all(isinstance(stage, Mapping) and stage.get("steps") for stage in stages):
        keys = ", ".join(f"--train.stages.{number}.steps" for number in range(len(stages)))
        raise SpecError(f"{source}: --train.steps is for stages without steps, and each has its own here; give {keys}")


def find_recipe(name: str | Path) -> Path:
    """Return the file of a shipped recipe's name, of a path or of the folder of a run.

    Raises
    ------
    SpecError
        When there is none; the nearest shipped ones are named.
    """
    shipped = FOLDER / f"{name}.yaml"
    if Path(name).name == str(name) and shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    if (Path(name) / RUN_RECIPE).is_file():
        return Path(name) / RUN_RECIPE
    if Path(name).is_dir():
        own = Path(f"{Path(name).resolve().name}.yaml")
        hint = (
            f"did you mean {own}?"
            if own.is_file()
            else f"`fullconv init {name}` writes a recipe for a folder of images and masks"
        )
        raise SpecError(f"{name} is a folder and holds no {RUN_RECIPE}, so it is no run; {hint}")
    near = nearest(Path(name).stem, shipped_recipes())
    hint = f"nearest shipped: {', '.join(near)}" if near else "`fullconv recipes` lists those that are shipped"
    raise SpecError(f"no recipe is called {str(name)!r} and no such file exists; {hint}")


def read_recipe(content: Mapping[str, Any], source: str) -> Recipe:
    """Return the recipe of a mapping; ``source`` opens the message of a :class:`SpecError`."""
    try:
        return Recipe.model_validate(with_new_keys(content, source))
    except ValidationError as error:
        raise SpecError(f"{source}: {'; '.join(_mistakes(error))}") from error


def to_yaml(recipe: Recipe) -> str:
    """Return a recipe as YAML that :func:`load_recipe` reads, every value written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def parse_overrides(tokens: Sequence[str]) -> dict[str, Any]:
    """Return nested values of command-line tokens; values are read as YAML, but for patterns such as ``{stem[:4]}``.

    Raises
    ------
    SpecError
        When a key or its value is missing.

    Examples
    --------
    >>> parse_overrides(["--train.seed", "1", "--data.root=VOCdevkit", "--train.stages", "[32, 16]"])
    {'train': {'seed': 1, 'stages': [32, 16]}, 'data': {'root': 'VOCdevkit'}}
    """
    found: dict[str, Any] = {}
    rest = iter(tokens)
    for token in rest:
        key, given, value = token.removeprefix("--").partition("=")
        if not token.startswith("--") or not key:
            raise SpecError(f"{token!r} is no override; write --KEY VALUE, such as --train.seed 1")
        if not given:
            value = next(rest, "--")
            if value.startswith("--"):
                raise SpecError(f"--{key} has no value; write --{key} VALUE")
        try:
            parsed = value if PLACEHOLDER.match(value) else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SpecError(f"--{key} {value!r} is not YAML: {' '.join(str(error).split())}") from error
        *parents, last = key.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise SpecError(f"--{key}: {parent} was given a value of its own already; give one or the other")
        place[last] = parsed
    return found


def merge(base: Any, changes: Mapping[str, Any], where: str) -> Any:
    """Return ``base`` with nested changes; a number as key counts the entries of a list from 0."""
    if isinstance(base, list):
        merged: Any = list(base)
        for key, value in changes.items():
            if not key.isdigit() or int(key) >= len(base):
                raise SpecError(f"{where}{key}: {where.rstrip('.')} has the entries 0 to {len(base) - 1}")
            merged[int(key)] = _change(base[int(key)], value, f"{where}{key}.")
        return merged
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = _change(base.get(key), value, f"{where}{key}.")
    return merged


def _change(old: Any, new: Any, where: str) -> Any:
    if isinstance(old, int) and isinstance(new, Mapping) and where.startswith("train.stages."):
        old = {"stride": old}  # the short form of a stage
    nested = isinstance(new, Mapping) and isinstance(old, dict | list)
    return merge(old, new, where) if nested else new


def _mistakes(error: ValidationError) -> Iterator[str]:
    """Yield one clause a mistake, without those that only follow from a mistake further in (a list empty without it)."""
    entries = error.errors()
    for entry in entries:
        location = entry["loc"]
        if not any(len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in entries):
            yield _explain(entry)


def _explain(entry: Any) -> str:
    """Return one mistake that pydantic found as a clause: where, what came, what is accepted."""
    spec, path = _locate(entry["loc"])
    dotted = ".".join(str(part) for part in path)
    if entry["type"] == "extra_forbidden":
        return _unknown_key(spec, dotted)
    if entry["type"] == "missing":
        return f"{dotted} is missing"
    if entry["type"] == "tuple_type":
        return f"{dotted} is a list in brackets, such as [a, b]; got {entry['input']!r}"
    if path == ["model", "name"] and entry["type"] == "string_pattern_mismatch":
        return f"{dotted}: {NAMED}; got {entry['input']!r}; did you mean {nearest_model(entry['input'])}?"
    said = entry["msg"].removeprefix("Value error, ")
    said = said[0].lower() + said[1:]
    return f"{dotted}: {said}; got {entry['input']!r}" if dotted and entry["type"] != "value_error" else said


def _unknown_key(spec: type[BaseModel], dotted: str) -> str:
    parent, _, last = dotted.rpartition(".")
    if usual := USUAL_NAMES.get(last.lower().replace("-", "_")):
        return f"no key is called {dotted}; did you mean {usual}?"
    elsewhere = {key.rpartition(".")[2]: key for key in _keys(Recipe)}
    near = nearest(last, spec.model_fields, 1, 0.6)
    if near:
        found = f"{parent}.{near[0]}" if parent else near[0]
        return f"no key is called {dotted}; did you mean {found}?"
    others = nearest(last, elsewhere, 1, 0.75)
    hint = f"did you mean {elsewhere[others[0]]}?" if others else f"known here: {_listed(spec)}"
    return f"no key is called {dotted}; {hint}"


def _listed(spec: type[BaseModel]) -> str:
    return ", ".join(spec.model_fields)


def _locate(location: tuple[int | str, ...]) -> tuple[type[BaseModel], list[int | str]]:
    """Return the spec that a pydantic location lies in, and the location without names of a union's members."""
    spec: type[BaseModel] = Recipe
    path: list[int | str] = []
    inside: Any = Recipe
    for part in location:
        if isinstance(part, int) or typing.get_origin(inside) is dict:
            path.append(part)
        elif isinstance(inside, type) and issubclass(inside, BaseModel):
            spec = inside
            path.append(part)
            inside = _inner(inside.model_fields[part].annotation) if part in inside.model_fields else None
    return spec, path


def _inner(annotation: Any) -> Any:
    """Return the spec within an annotation such as ``tuple[StageSpec, ...]``, or the annotation itself, such as a dict."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) not in (None, dict):
        specs = [a for a in typing.get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
        return specs[0] if specs else None
    return annotation


def _keys(spec: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield every key of a spec and of those within it, dotted; lists by their first entry."""
    for name, entry in spec.model_fields.items():
        yield before + name
        inside = _inner(entry.annotation)
        if isinstance(inside, type) and issubclass(inside, BaseModel):
            listed = typing.get_origin(entry.annotation) is tuple
            yield from _keys(inside, f"{before}{name}.{'0.' if listed else ''}")
