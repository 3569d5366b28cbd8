"""One operation of a traced net at one image size, as a rule sees it: its arguments, and what it gives without memory."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fullconv.geometry.known_shapes import KnownShapes
from fullconv.geometry.layout import KEPT, Map, Maps


@dataclass(frozen=True)
class Call:
    """An operation with the values of its arguments.

    Parameters
    ----------
    args, kwargs
        Maps (:class:`fullconv.geometry.layout.Map`), constants on the meta device, and everything else as it is.
    function
        Does it, on tensors of the meta device.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    function: Callable[..., Any]

    @functools.cached_property
    def maps(self) -> list[Map]:
        """The maps among the arguments, in order."""
        return [one for one in leaves((self.args, self.kwargs)) if isinstance(one, Map)]

    @property
    def constants(self) -> list[Tensor]:
        """The tensors among the arguments that do not depend on the image."""
        return [one for one in leaves((self.args, self.kwargs)) if isinstance(one, Tensor)]

    def given(self, *names: str) -> dict[str, Any]:
        """Return the arguments after the first by name; ``names`` are the function's own, in its order, without the first."""
        return {**dict(zip(names, self.args[1:], strict=False)), **self.kwargs}

    def run(self) -> Any:
        """Return what the operation gives, on the meta device."""
        args, kwargs = replaced_in((self.args, self.kwargs), Map, lambda one: one.tensor)
        with KnownShapes():
            return self.function(*args, **kwargs)


def leaves(value: Any) -> Iterator[Any]:
    """Yield what nested lists, tuples, dicts and slices hold."""
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, Mapping):
        yield from leaves(list(value.values()))
    elif isinstance(value, slice):
        yield from (value.start, value.stop, value.step)
    else:
        yield value


def replaced_in(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return nested lists, tuples, dicts and slices with everything of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, (tuple, list)):
        parts = [replaced_in(part, kind, change) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, Mapping):
        return {name: replaced_in(part, kind, change) for name, part in value.items()}
    return value


@dataclass(frozen=True)
class Outcome:
    """What a rule answers: the value, made of maps (their layer is filled in later), and what happens along each axis.

    ``fill``: how a layer pads its input by itself where not with zeros: the maps of that padding.
    """

    value: Any
    maps: Maps = KEPT
    fill: Maps | None = None


Rule = Callable[[Call], Outcome]


def numbers(value: Any, count: int = 2) -> tuple[int, ...]:
    """Return ``count`` numbers from one or as many."""
    found = tuple(value) if isinstance(value, Sequence) else (value,) * count
    return found * count if len(found) == 1 else found


def dimensions(value: Any, rank: int) -> list[int]:
    """Return dimensions counted from 0; all of them for ``None``."""
    if value is None:
        return list(range(rank))
    return [d % rank for d in (value if isinstance(value, Sequence) else (value,))]
