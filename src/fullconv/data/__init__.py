"""The data sets by name; all yield :class:`~fullconv.data.sample.Sample`.

Its names are imported when they are first used: what only reads images, such as ``fullconv predict`` and ``fullconv serve``,
imports :mod:`fullconv.data.images` and needs no data set, nor what they all import (torchvision, SciPy, Matplotlib), which takes
seconds.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullconv.data.named_sets import DATASETS, open_dataset, spec_of

__all__ = ["DATASETS", "open_dataset", "spec_of"]


def __getattr__(name: str) -> Any:
    """Return a public name, importing all data sets now."""
    if name not in __all__:
        raise AttributeError(f"module 'fullconv.data' has no attribute {name!r}")
    from fullconv.data import named_sets

    return getattr(named_sets, name)
