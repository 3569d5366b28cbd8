"""Keys of recipes that have new names: the old ones go on working, and a line for each says the new one."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fullconv.errors import SpecError

RENAMED = {
    "train.loss": "reduction",
    "train.stages.*.rate": "learning_rate",
    "train.optimizer.rate": "learning_rate",
    "train.optimizer.bias_rate_factor": "bias_learning_rate_factor",
    "train.optimizer.score_rate_factor": "score_learning_rate_factor",
}
"""Old key, dotted (``*`` stands for any entry of a list), to what its last part is called now."""

OLD_VALUES = {"train.loss": ("mean", "sum", "image_mean")}
"""Old keys whose names mean something else by now: they are the old ones where they have one of these values."""

Say = Callable[[str], None]


def to_standard_error(line: str) -> None:
    """Print a line to standard error."""
    print(line, file=sys.stderr)


def with_new_keys(content: Mapping[str, Any], source: str, say: Say = to_standard_error) -> dict[str, Any]:
    """Return nested values with every key of :data:`RENAMED` under its new name; ``content`` itself stays as it is.

    Parameters
    ----------
    content
        Of a recipe, or overrides of one, in which a number as key counts the entries of a list.
    source
        Where it is from, for what is said.
    say
        Called with one line for each old key.

    Raises
    ------
    SpecError
        When an old key and its new name stand side by side.

    Examples
    --------
    >>> with_new_keys({"train": {"loss": "sum"}}, "voc.yaml", print)
    voc.yaml: train.loss is now called train.reduction
    {'train': {'reduction': 'sum'}}
    """
    found: dict[str, Any] = dict(content)
    for old, new in RENAMED.items():
        *parents, last = old.split(".")
        _rename(found, parents, last, new, f"{source}: ", say, OLD_VALUES.get(old))
    return found


def _rename(place: Any, parents: list[str], last: str, new: str, where: str, say: Say, values: tuple[str, ...] | None) -> None:
    """Rename ``last`` within ``place``, a container that is ours to change, copying those on the way to it.

    With ``values`` only where it has one of them.
    """
    if parents:
        for key in _entries(place, parents[0]):
            inner = place[key]
            if isinstance(inner, Mapping | list):
                place[key] = dict(inner) if isinstance(inner, Mapping) else list(inner)
                _rename(place[key], parents[1:], last, new, f"{where}{key}.", say, values)
    elif isinstance(place, dict) and last in place and (values is None or place[last] in values):
        if new in place:
            raise SpecError(f"{where}{last} is now called {new}, and both are given; leave {last} out")
        # in the place of the old one, so that the order stays
        renamed = {new if key == last else key: value for key, value in place.items()}
        place.clear()
        place.update(renamed)
        say(f"{where}{last} is now called {where.partition(': ')[2]}{new}")


def _entries(place: Any, part: str) -> Iterator[Any]:
    """Yield the keys of ``place`` that a part of a dotted key stands for."""
    if part == "*":
        yield from range(len(place)) if isinstance(place, list) else list(place)
    elif isinstance(place, dict) and part in place:
        yield part
