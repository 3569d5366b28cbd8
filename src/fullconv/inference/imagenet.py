"""The 1000 classes of ImageNet by number and by name."""

import functools
from collections.abc import Sequence
from importlib import resources

from fullconv.errors import SpecError, nearest


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1000 classes in the order of the usual classifiers; synonyms are joined by commas.

    Examples
    --------
    >>> imagenet_classes()[88]
    'macaw'
    """
    text = resources.files("fullconv").joinpath("data/sets/lists/imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def find_class(wanted: str, classes: Sequence[str]) -> int:
    """Return the number of the class that is meant.

    Parameters
    ----------
    wanted
        A number; or a name, one of its synonyms, or a part of it that occurs in one class only. Case does not matter.
    classes
        Names by number; synonyms joined by commas.

    Raises
    ------
    SpecError
        When none fits (the nearest names are given), or several do (they are listed).

    Examples
    --------
    >>> find_class("tiger cat", imagenet_classes()), find_class("88", imagenet_classes())
    (282, 88)
    """
    if wanted.isdecimal():
        if int(wanted) < len(classes):
            return int(wanted)
        raise SpecError(f"there is no class {wanted}; the classes are numbered from 0 to {len(classes) - 1}")
    name = wanted.strip().lower()
    synonyms = [[part.strip() for part in entry.lower().split(",")] for entry in classes]
    found = [k for k, names in enumerate(synonyms) if name == classes[k].lower() or name in names]
    found = found or [k for k, entry in enumerate(classes) if name and name in entry.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        some = "; ".join(f"{k} {classes[k]}" for k in found[:6])
        raise SpecError(f"{len(found)} classes are called {wanted!r}; give the number: {some}{'; …' if len(found) > 6 else ''}")
    near = nearest(name, (part for names in synonyms for part in names), alike=0.5)
    hint = f"nearest: {', '.join(near)}" if near else "give a name of ImageNet's 1000 classes or a number"
    raise SpecError(f"no class is called {wanted!r}; {hint}")
