"""Every key of a recipe with its type, its default and its meaning, read from the specs and their docstrings."""

import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import docstring_parser
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fullconv.spec import Recipe

UNION = (types.UnionType, typing.Union)
PLAIN_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): "null"}


@dataclass(frozen=True)
class Key:
    """One key of a recipe.

    Parameters
    ----------
    name
        Dotted, as on the command line: ``train.optimizer.name``; ``N`` stands for the number of an entry of a list, from 0.
    accepts
        What it may be, in words.
    default
        Its value when a recipe says nothing, as JSON has it; ``None`` stands for null, and for ``required`` keys.
    required
        Whether a recipe must give it.
    meaning
        What its spec's docstring says, as plain text.
    group
        Whether it holds further keys, which follow.
    """

    name: str
    accepts: str
    default: Any
    required: bool
    meaning: str
    group: bool = False

    @property
    def shown_default(self) -> str:
        """The default as text: ``required`` where a recipe must give the key, nothing for keys that hold others."""
        if self.required:
            return "required"
        return "" if self.group else json.dumps(self.default, ensure_ascii=False)


def recipe_keys(spec: type[BaseModel] = Recipe, before: str = "") -> Iterator[Key]:
    """Yield every key of a recipe in the order of its specs, those of nested specs after the key that holds them.

    Examples
    --------
    >>> found = {key.name: key for key in recipe_keys()}
    >>> found["train.optimizer.name"].accepts, found["train.optimizer.name"].default
    ('sgd or adamw', 'sgd')
    >>> found["train.batch_size"].accepts
    'whole number or auto'
    """
    meanings = meanings_of(spec)
    for name, entry in spec.model_fields.items():
        inner = _spec_in(entry.annotation)
        given = entry.get_default(call_default_factory=True)
        required = given is PydanticUndefined
        default = None if required else _as_data(given)
        yield Key(before + name, accepted(entry.annotation), default, required, meanings[name], inner is not None)
        if inner is not None:
            listed = typing.get_origin(entry.annotation) is tuple
            yield from recipe_keys(inner, f"{before}{name}.{'N.' if listed else ''}")


def values_of(recipe: Recipe) -> dict[str, Any]:
    """Return the values of a recipe by dotted key; of lists of nested keys, such as the stages, one list a key.

    Examples
    --------
    >>> from fullconv.spec.recipe import load_recipe
    >>> found = values_of(load_recipe("scenes-fcn8s-minivgg"))
    >>> found["train.batch_size"], found["train.stages.N.stride"]
    (8, [32, 16, 8])
    """
    return dict(_values(recipe.model_dump(mode="json"), ""))


def _values(place: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in place.items():
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            for inner in value[0]:
                yield f"{before}{name}.N.{inner}", [entry.get(inner) for entry in value]
        elif isinstance(value, Mapping):
            yield from _values(value, f"{before}{name}.")
            yield before + name, value
        else:
            yield before + name, value


@cache
def meanings_of(spec: type[BaseModel]) -> Mapping[str, str]:
    """Return what a spec's docstring says of each of its keys; keys that share an entry share its text."""
    found = {}
    owners = [owner for owner in reversed(spec.__mro__) if issubclass(owner, BaseModel) and owner.__doc__]
    for owner in owners:
        for parameter in docstring_parser.parse(owner.__doc__ or "", docstring_parser.DocstringStyle.NUMPYDOC).params:
            for name in parameter.arg_name.split(","):
                found[name.strip()] = plain(parameter.description or "")
    return found


def plain(text: str) -> str:
    """Return the text of a docstring in one line, with roles and double backquotes as single backquotes.

    Examples
    --------
    >>> plain("see :class:`~fullconv.spec.LossSpec`, or ``None``")
    'see `LossSpec`, or `null`'
    """
    text = re.sub(r":\w+:`~[\w.]*?(\w+)`", r"`\1`", " ".join(text.split()))
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")
    return text.replace("`None`", "`null`").replace("`False`", "`false`").replace("`True`", "`true`")


def accepted(annotation: Any) -> str:
    """Return in words what a type of a key accepts, as a recipe has it."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return accepted(inside[0])
    if origin is typing.Literal:
        return " or ".join(map(str, inside))
    if origin in UNION:
        return " or ".join(accepted(part) for part in inside)
    if origin is tuple and inside[-1] is Ellipsis:
        return f"list of: {accepted(inside[0])}"
    if origin is tuple:
        return f"[{', '.join(accepted(part) for part in inside)}]"
    if origin is dict:
        return f"mapping of {accepted(inside[0])} to: {accepted(inside[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "the keys below"
    return PLAIN_TYPES.get(annotation, "path" if getattr(annotation, "__name__", "") == "Path" else "anything")


def _spec_in(annotation: Any) -> type[BaseModel] | None:
    """Return the spec that a type is, or whose list or optional it is."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (*UNION, tuple):
        return next((found for part in typing.get_args(annotation) if (found := _spec_in(part)) is not None), None)
    return None


def _as_data(value: Any) -> Any:
    """Return a default as a recipe writes it: paths as text, tuples as lists, nested specs as nothing of their own."""
    if isinstance(value, BaseModel):
        return None
    if isinstance(value, tuple):
        return [_as_data(part) for part in value]
    return value
