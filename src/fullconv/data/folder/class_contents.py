"""What masks of one file a class hold, before they are put together: whether they mark one class each, and how they overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.folder.relations import mask_like, other_like, spread
from fullconv.data.masks import object_in
from fullconv.data.stored_mask import LOSSY, Stored, stored_at

Parts = Mapping[str, Mapping[str, Path]]
"""The files of every image by its key and their class."""

LOOKED_AT = 20
OTHER_KINDS = frozenset({"gray", "grey", "index", "indexed", "raw", "rgb", "id", "ids", "png", "jpg", "tif", "panoptic", "depth"})
"""What folders are called that hold another kind of the same masks, and no class."""
MUCH = 0.5
WITHIN = 0.8
MEND = "a pixel is of a class where its mask is not 0, and the later class lies on top: if 0 is the object, invert those masks"
"""What to do about a doubt."""


@dataclass(frozen=True)
class Contents:
    """What some images' masks of one file a class hold.

    Attributes
    ----------
    images
        How many were looked at.
    overlap
        The share of pixels that are in two classes or more, 0 to 1.
    around
        Classes that cover more than half of every image, with nearly all that is of another class inside.
    numbered
        Classes whose masks hold several numbers.
    """

    images: int
    overlap: float
    around: tuple[str, ...]
    numbered: frozenset[str]

    @property
    def doubt(self) -> str:
        """What is strange about how the classes overlap; empty when nothing is."""
        if self.overlap > MUCH:
            return f"{self.overlap:.0%} of the pixels in {self.images} images are in two classes or more"
        if self.around:
            several = "cover" if len(self.around) > 1 else "covers"
            return f"{', '.join(self.around)} {several} more than half of every image, the other classes too"
        return ""


def class_contents(parts: Parts) -> Contents:
    """Return what the masks of some images hold, spread over all.

    Raises
    ------
    DataError
        When one of them cannot be read, or is no mask of one class.
    """
    total = twice = 0
    numbered: set[str] = set()
    around: set[str] | None = None
    keys = spread(sorted(parts), LOOKED_AT)
    for key in keys:
        inside = {}
        for name, path in parts[key].items():
            stored = stored_at(path)
            inside[name] = object_in(stored, path)
            numbered |= {name} if _has_numbers(stored) else set()
        if len({mask.shape for mask in inside.values()}) > 1:
            continue  # said where they are put together
        count = np.stack([*inside.values()]).sum(0)
        total, twice = total + count.size, twice + int((count > 1).sum())
        wide = {name for name, mask in inside.items() if mask.mean() > MUCH and _holds_others(mask, count)}
        around = wide if around is None else around & wide
    return Contents(len(keys), twice / max(total, 1), tuple(sorted(around or ())), frozenset(numbered))


def _holds_others(mask: NDArray[np.integer | np.bool_], count: NDArray[np.integer | np.bool_]) -> bool:
    others = count - mask > 0
    return bool(others.any()) and bool((others & mask).sum() >= WITHIN * others.sum())


def _has_numbers(stored: Stored) -> bool:
    return (
        stored.palette is None and stored.plain.ndim == 2 and stored.kind not in LOSSY and 2 < len(np.unique(stored.plain)) < 100
    )


def are_classes(names: Sequence[str], parts: Parts, images: Sequence[str]) -> bool:
    """Return whether files by their names alone are one mask a class: most images have some, many of them several."""
    telling = any(mask_like(name) or other_like(name) or name.lower() in OTHER_KINDS for name in names)
    known = {*images}
    own = [files for key, files in parts.items() if key in known]
    return not telling and 2 * len(own) >= len(images) and 4 * sum(len(files) > 1 for files in own) >= len(own) > 0
