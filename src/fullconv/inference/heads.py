"""The outputs of a model and the names of their classes, and whether the two agree."""

from collections.abc import Iterable, Mapping

from fullconv.errors import SpecError
from fullconv.labels import LabelSet


def check_heads(heads: Mapping[str, int], labels: Mapping[str, LabelSet]) -> None:
    """Check that there are names for every output's classes.

    Parameters
    ----------
    heads
        The number of classes of each output.
    labels
        The names of each.

    Raises
    ------
    SpecError
        When they are of other outputs or other numbers of classes.
    """
    named = {head: len(classes) for head, classes in labels.items()}
    if named != dict(heads):
        raise SpecError(f"the model gives {_classes(heads)}, and names are given for {_classes(named)}; they must agree")


def find_head(heads: Iterable[str], name: str | None) -> str:
    """Return the name of an output: the first when none is given.

    Raises
    ------
    SpecError
        When there is no such output.
    """
    known = list(heads)
    if name is not None and name not in known:
        raise SpecError(f"the model has no head {name!r}; it has {', '.join(known)}")
    return name or known[0]


def _classes(heads: Mapping[str, int]) -> str:
    return ", ".join(f"{classes} classes of {head}" for head, classes in heads.items()) or "no head"
