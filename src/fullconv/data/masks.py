"""Masks as people store them (grey, palette, 16-bit, bilevel, colours, alpha, arrays) to labels, by a :class:`LabelMap`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import SUFFIXES, decode
from fullconv.data.mask_arrays import ARRAY_SUFFIXES
from fullconv.data.stored_mask import LOSSY, OPAQUE, Stored, stored_at
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap, show_codes
from fullconv.labels import LabelSet

MASK_SUFFIXES = ARRAY_SUFFIXES | SUFFIXES
"""Formats that masks are looked for in; those with losses are read too, and the doctor warns of them."""
MOST_OBJECTS = 100
"""The largest value of an 8-bit mask of one class that is taken for the number of an object, not for a grey."""


def read_labels(path: str | os.PathLike[str], label_map: LabelMap) -> NDArray[np.uint8]:
    """Return the labels uint8 (H, W) of a mask, 255 = ignore.

    Raises
    ------
    DataError
        When the file is missing or damaged, or holds values or colours without a meaning; counts are given.
    """
    return label_map.apply(stored_at(path).declared(label_map, path), str(path))


def read_mask(path: str | os.PathLike[str], labels: LabelSet) -> NDArray[np.uint8]:
    """Return the labels stored at ``path`` as uint8 (H, W): a palette image's indices or a grey image's values.

    Colours are never looked at, so nothing is guessed from a palette.

    Raises
    ------
    DataError
        When the file is missing, damaged, stores colours instead of indices, or holds values that ``labels`` lacks.
    """
    image = decode(path)
    if image.mode not in ("P", "L"):
        raise DataError(f"{path}: a mask must be a palette or 8-bit grey image that stores labels; this one is {image.mode}")
    mask = np.array(image)
    labels.check(mask, source=str(path))
    return mask


@dataclass(frozen=True)
class ClassMasks:
    """One mask for each class of an image; where they overlap, the class that stands later lies on top.

    Parameters
    ----------
    files
        A file for each class, in the order of the labels 1, 2, …; ``None`` where the image has nothing of a class. A pixel is of
        the class where its mask is not 0, so numbers of its objects may stand there; of greys (anti-aliased or JPEG) where it is
        at least half of the range (128 of 255); of a mask whose alpha varies, such as a cut-out photograph, where that is at
        least 128.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, row in (("road", [255, 255, 0]), ("car", [0, 255, 0])):
    ...     Image.fromarray(np.array([row], np.uint8)).save(folder / f"{name}.png")
    >>> ClassMasks((folder / "road.png", folder / "car.png")).stored().plain.tolist()
    [[1, 2, 0]]
    """

    files: tuple[Path | None, ...]

    def stored(self) -> Stored:
        """Return the values uint8 (H, W): 0 where no class is, else the number of the class, from 1 on.

        Raises
        ------
        DataError
            When there is no file, more than 254, one cannot be read, stores more than an object, or sizes differ.
        """
        present = [(number, path) for number, path in enumerate(self.files, start=1) if path is not None]
        if not present or len(self.files) >= 255:
            raise DataError(f"masks of {len(self.files)} classes, {len(present)} with a file; give 1 to 254 and at least a file")
        labels: NDArray[np.uint8] | None = None
        for number, path in present:
            inside = object_in(stored_at(path), path)
            labels = np.zeros(inside.shape, np.uint8) if labels is None else labels
            if inside.shape != labels.shape:
                (height, width), first = inside.shape, present[0][1]
                raise DataError(
                    f"{path}: {height}×{width}, but {first} is {labels.shape[0]}×{labels.shape[1]} (H×W); the masks of one image "
                    "must be of one size"
                )
            labels[inside] = number
        assert labels is not None
        return Stored(labels, "masks", "L")


def object_in(stored: Stored, path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Return where a mask of one class has its object, bool (H, W); see :class:`ClassMasks`.

    Raises
    ------
    DataError
        When it stores several colours, or several values that are neither greys between two nor numbers of objects.
    """
    values = stored.undeclared() if stored.palette is None else _brightest(stored.shown())
    if values.ndim == 3:
        values = _brightest(values)
    if stored.alpha is not None and (stored.alpha.min() != stored.alpha.max() or len(np.unique(values)) == 1):
        return _cut_out(stored.alpha, values)
    found: Sequence[int] = np.unique(values).tolist()
    if stored.kind in LOSSY and len(found) > 1:
        if found[0] < 64 and found[-1] >= 192:  # black and white, and what compression made of them
            return values >= 128
    elif len(found) == 1 or (found[0] == 0 and numbers_objects(found)):
        return values != 0
    elif found[0] == 0 and found[-1] in (255, 65535):
        return values >= (found[-1] + 1) // 2
    raise DataError(
        f"{path}: the values {show_codes(found)} in a mask of one class; it has 0 and one other value, or 0 and the numbers of "
        "objects"
    )


def numbers_objects(found: Sequence[int]) -> bool:
    """Return whether sorted values from 0 on are one object's, or number objects: small ones, or more than a picture's greys.

    Examples
    --------
    >>> [numbers_objects(found) for found in ([0, 255], [0, 1, 2, 7], [0, 1001, 1002], [0, 90, 200, 255], [0, 9, 65535])]
    [True, True, True, False, False]
    """
    return len(found) <= 2 or found[-1] <= MOST_OBJECTS or 255 < found[-1] < 65535


def _cut_out(alpha: NDArray[np.uint8], values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return what is not transparent; where that is black and one other value, the other."""
    inside = alpha >= OPAQUE if alpha.max() >= OPAQUE else (alpha > 0) & (alpha.min() != alpha.max())
    shown: Sequence[int] = np.unique(values[inside]).tolist()
    return inside & (values != 0) if len(shown) == 2 and shown[0] == 0 else inside


def _brightest(colors: NDArray[np.integer]) -> NDArray[np.integer]:
    return colors.max(2)
