"""The errors that fullconv raises on purpose; the command line prints them in one line and exits with 1.

::

    FullconvError
    ├── SpecError        a recipe, an override or a name that does not fit
    ├── DataError        an image, a mask, a data set or a folder
    ├── GeometryError    an operation the calculus does not know, maps that cannot be aligned, an impossible size
    ├── WeightsError     weights that are missing, damaged or do not fit
    └── TrainingError    a loss that is not finite, a run that cannot go on

A message says what came, what is accepted and what to do; :func:`nearest` and :func:`some` help to say it.
"""

import difflib
from collections.abc import Iterable, Sequence


class FullconvError(Exception):
    """Base of every error that fullconv raises on purpose."""


class SpecError(FullconvError):
    """A recipe, an override or a name that does not fit."""


class DataError(FullconvError):
    """An image, a mask, a data set or a folder that cannot be used as it is."""


class GeometryError(FullconvError):
    """An operation without a known coordinate map, maps that cannot be aligned, or an impossible size."""


class WeightsError(FullconvError):
    """Weights that are missing, damaged, or of another network."""


class TrainingError(FullconvError):
    """Training that cannot start or go on."""


def nearest(name: str, known: Iterable[str], most: int = 3, alike: float = 0.4) -> list[str]:
    """Return the names that are spelled most like a mistyped one, the most alike first; none when nothing is near.

    Parameters
    ----------
    name
        What was given.
    known
        What there is.
    most
        How many are wanted at most.
    alike
        How alike they must be, 0 to 1: twice the letters in common over the letters of both.

    Examples
    --------
    >>> nearest("resnet5", ["vgg16", "resnet50", "resnet18"])
    ['resnet50', 'resnet18']
    """
    return difflib.get_close_matches(name, list(known), most, alike)


def some(names: Sequence[object], most: int = 5) -> str:
    """Return the first of many names for a message.

    Examples
    --------
    >>> some([1, 2, 3], most=2)
    '1, 2, …'
    """
    return f"{', '.join(map(str, names[:most]))}{', …' * (len(names) > most)}"
