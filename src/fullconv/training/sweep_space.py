"""What a sweep may try: ``KEY=LOW:HIGH`` or ``KEY=A,B,C``, checked against the recipe's keys before anything is trained.

A range is of whole numbers where the key takes only those, else of any. It is drawn on a logarithmic scale where both ends are
positive and the upper one is at least ten times the lower, else evenly; ``LOW:HIGH:log`` and ``LOW:HIGH:linear`` say it.
A list is tried entry by entry; entries are YAML, so ``[96, 128]``, ``null`` and ``true`` are what they are in a recipe.
"""

import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from pydantic import BaseModel

from fullconv.errors import SpecError
from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe, merge
from fullconv.spec.renamed import Say, to_standard_error, with_new_keys

DECADE = 10.0


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included."""

    key: str
    low: float
    high: float
    log: bool
    whole: bool

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that must be accepted for the range to be."""
        return (self.low, self.high)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.key}={self.low:g}:{self.high:g}:{'log' if self.log else 'linear'}"


@dataclass(frozen=True)
class Choice:
    """A few values."""

    key: str
    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that must be accepted for the list to be: all."""
        return self.values

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"{self.key}={','.join(json.dumps(value) for value in self.values)}"


Tried = Range | Choice


def parse_tries(texts: Sequence[str], say: Say = to_standard_error) -> list[Tried]:
    """Return what the texts of ``--try`` ask for.

    Raises
    ------
    SpecError
        When a text is not of the form, a key is given twice, or a range is given for a key that takes no numbers.

    Examples
    --------
    >>> for tried in parse_tries(["train.optimizer.learning_rate=1e-4:1e-2", "model.dropout=0.2,0.5", "train.batch_size=2:8"]):
    ...     print(tried)
    train.optimizer.learning_rate=0.0001:0.01:log
    model.dropout=0.2,0.5
    train.batch_size=2:8:linear
    """
    found: dict[str, Tried] = {}
    for text in texts:
        key, given, values = text.partition("=")
        key = key.strip().removeprefix("--")
        if not given or not key or not values.strip():
            raise SpecError(f"--try {text!r}: write KEY=LOW:HIGH or KEY=A,B,C, such as train.optimizer.learning_rate=1e-4:1e-2")
        (key,) = dotted(with_new_keys(nested({key: None}), f"--try {text}", say))
        if key in found:
            raise SpecError(f"--try gives {key} twice; give it once")
        found[key] = _range(key, values) or Choice(key, _entries(key, values))
    return list(found.values())


def _range(key: str, text: str) -> Range | None:
    """Return the range that a text asks for, or nothing when it is a list."""
    parts = [part.strip() for part in text.split(":")]
    scale = parts.pop() if parts[-1] in ("log", "linear") else None
    try:
        low, high = map(float, parts)
    except ValueError:
        if scale is None and not (len(parts) in (2, 3) and _is_number(parts[0])):
            return None
        raise SpecError(f"--try {key}={text}: a range is LOW:HIGH, LOW:HIGH:log or LOW:HIGH:linear") from None
    kinds = numbers_of(key)
    whole = kinds == {int}
    if not kinds:
        raise SpecError(f"--try {key}={text}: {key} takes no range of numbers; give a list, {key}=A,B")
    if not low < high < float("inf"):
        raise SpecError(f"--try {key}={text}: a range goes from a lower number to a higher one")
    if whole and not (low.is_integer() and high.is_integer()):
        raise SpecError(f"--try {key}={text}: {key} takes whole numbers")
    if scale == "log" and low <= 0:
        raise SpecError(f"--try {key}={text}: a logarithmic range begins above 0; take {key}={parts[0]}:{parts[1]}:linear")
    log = scale == "log" if scale else low > 0 and high >= DECADE * low
    return Range(key, int(low) if whole else low, int(high) if whole else high, log, whole)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _entries(key: str, text: str) -> tuple[Any, ...]:
    """Return the entries of a list; commas within brackets do not part them."""
    try:
        entries = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        raise SpecError(f"--try {key}={text}: the values are not YAML; give KEY=A,B,C or KEY=LOW:HIGH") from None
    entries = [float(entry) if isinstance(entry, str) and _is_number(entry) else entry for entry in entries]  # YAML's 1e-3
    if len({json.dumps(entry) for entry in entries}) < max(len(entries), 2):
        raise SpecError(
            f"--try {key}={text}: give at least two values, each once, or a range LOW:HIGH; one value is --{key} VALUE"
        )
    return tuple(entries)


def numbers_of(key: str) -> set[type]:
    """Return which kinds of numbers a recipe takes for a key: ``int``, ``float``, both or none; of an unknown key both.

    Examples
    --------
    >>> numbers_of("train.batch_size"), numbers_of("model.dropout"), numbers_of("train.optimizer.name")
    ({<class 'int'>}, {<class 'float'>}, set())
    """
    inside: set[Any] = {Recipe}
    for part in key.split("."):
        inside = {inner for each in inside for inner in _below(each, part)}
    if not inside:
        return {int, float}
    if any(isinstance(each, type) and issubclass(each, BaseModel) for each in inside):
        return {float}  # a number for all of its keys, if it takes any
    return inside & {int, float}


def _below(kind: Any, part: str) -> Iterator[Any]:
    """Yield the kinds of values that a key's part has within a kind of value."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if part in kind.model_fields:
            yield from _kinds(kind.model_fields[part].annotation)
    elif typing.get_origin(kind) is dict:
        yield from _kinds(typing.get_args(kind)[1])
    elif typing.get_origin(kind) is tuple and part.isdigit():
        arguments = typing.get_args(kind)
        yield from _kinds(arguments[min(int(part), len(arguments) - 1)] if arguments[-1] is not Ellipsis else arguments[0])


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without what only constrains them."""
    if typing.get_origin(annotation) is Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        for member in typing.get_args(annotation):
            yield from _kinds(member)
    else:
        yield annotation


def recipe_with(name: str, overrides: Mapping[str, Any], params: Mapping[str, Any], say: Say = lambda line: None) -> Recipe:
    """Return a recipe with overrides and, over them, the values of a trial by their dotted keys."""
    return load_recipe(name, merge(overrides, nested(params), ""), say)


def check_space(name: str, overrides: Mapping[str, Any], tries: Sequence[Tried]) -> None:
    """Make sure that every value that may be tried makes a recipe, and another one than the next.

    Raises
    ------
    SpecError
        When a key is unknown, a value does not fit, or none changes anything.
    """
    for tried in tries:
        made = []
        for value in tried.ends:
            recipe = recipe_with(name, overrides, {tried.key: value})
            content = dict(dotted(recipe.model_dump(mode="json")))
            made.append({key: value for key, value in content.items() if key != "train.optimizer.learning_rate"})
        if tried.key == "train.optimizer.learning_rate" and made[0] == made[-1]:
            raise SpecError(
                "--try train.optimizer.learning_rate changes nothing, as every stage has a learning rate of its own here; give "
                "train.stages.0.learning_rate"
            )


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted keys as nested mappings.

    Examples
    --------
    >>> nested({"train.seed": 1, "train.steps": 2})
    {'train': {'seed': 1, 'steps': 2}}
    """
    found: dict[str, Any] = {}
    for key, value in params.items():
        *parents, last = key.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return found


def dotted(content: Any, before: str = "") -> dict[str, Any]:
    """Return nested mappings and lists as dotted keys; what is empty is a value."""
    entries: Any = content.items() if isinstance(content, Mapping) else enumerate(content)
    found: dict[str, Any] = {}
    for name, value in entries:
        if isinstance(value, Mapping | list) and value:
            found |= dotted(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found
