"""The errors that fullconv raises on purpose; the command line prints them in one line and exits with 1.

::

    FullconvError
    ├── SpecError        a recipe, an override or a name that does not fit
    ├── DataError        an image, a mask, a data set or a folder
    ├── GeometryError    an operation the calculus does not know, maps that cannot be aligned, an impossible size
    ├── WeightsError     weights that are missing, damaged or do not fit
    └── TrainingError    a loss that is not finite, a run that cannot go on

A message says what came, what is accepted and what to do.
"""


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
