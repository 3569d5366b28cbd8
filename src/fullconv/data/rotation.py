"""On which pixels a mask lies where EXIF turns its image: on the turned image, as viewers show it, or on the stored one.

A mask may have been drawn in a program that turns images, or in one that does not. Where the turn swaps height and width, the
mask's size tells. Of square images and half turns its outlines tell: objects begin where the image changes, so the gradient of
the image is larger on the borders of the right mask than elsewhere. What is not clear even so is for the rest of the folder,
or a person, to say.

Letters: H height, W width.
"""

import os
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import picture_of, read_both_ways
from fullconv.errors import DataError
from fullconv.spec import ImageSpec

Lies = Literal["turned", "stored", "unclear", "none"]
"""``none``: the mask has the size of neither."""
MARGIN = 1.25
"""How much stronger the gradient on borders must be in one way than in the other, and than in the whole image."""
FEWEST = 40
"""Pixels of borders below which outlines tell nothing."""
ASK = (
    "EXIF turns the image, and neither sizes nor outlines tell whether the mask lies on the turned image; look at one and set "
    "data.image.rotation to turned or stored, or remove the EXIF orientation"
)


def image_for_mask(
    path: str | os.PathLike[str], mask: NDArray[np.integer], how: ImageSpec, others: Callable[[], Lies] = lambda: "unclear"
) -> NDArray[np.uint8]:
    """Return an image uint8 (H, W, C) with the pixels that its mask lies on.

    Parameters
    ----------
    path
        Of the image.
    mask
        Labels or values (H, W).
    how
        How the image is read; its ``rotation`` holds where the mask itself does not tell.
    others
        Asked where neither tells: what the other images of the folder say.

    Raises
    ------
    DataError
        When the image cannot be read, or nothing tells. Where the mask has another size than the image, the turned image is
        returned.
    """
    upright, stored = read_both_ways(path, how)
    if stored is None:
        return upright
    lies = mask_lies_on(upright, stored, mask)
    if lies == "unclear":
        lies = how.rotation or others()
    if lies == "unclear":
        raise DataError(f"{path}: {ASK}")
    return stored if lies == "stored" else upright


def look(path: str | os.PathLike[str], mask: NDArray[np.integer], how: ImageSpec) -> Lies | None:
    """Return on which pixels of an image its mask lies; ``None`` where EXIF does not turn the image."""
    upright, stored = read_both_ways(path, how)
    return None if stored is None else mask_lies_on(upright, stored, mask)


def mask_lies_on(upright: NDArray[np.uint8], stored: NDArray[np.uint8], mask: NDArray[np.integer]) -> Lies:
    """Return which of two images (H, W, C), turned and as stored, a mask (H, W) belongs to, by size and by its outlines.

    Examples
    --------
    >>> square = np.zeros((32, 32, 3), np.uint8)
    >>> square[4:20, 2:12] = 255
    >>> mask_lies_on(square, square[::-1, ::-1], square[..., 0] // 255)
    'turned'
    """
    fits = [image.shape[:2] == mask.shape for image in (upright, stored)]
    if not all(fits):
        return "turned" if fits[0] else "stored" if fits[1] else "none"
    borders = _borders(mask)
    if borders.sum() < FEWEST:
        return "unclear"
    as_turned, as_stored = (_contrast(image, borders) for image in (upright, stored))
    if max(as_turned, as_stored) < MARGIN or max(as_turned, as_stored) < MARGIN * min(as_turned, as_stored):
        return "unclear"
    return "turned" if as_turned > as_stored else "stored"


def agreed(found: list[Lies]) -> Lies:
    """Return what all images that tell say; ``unclear`` where none does or they differ.

    Examples
    --------
    >>> agreed(["unclear", "stored", "stored"]), agreed(["turned", "stored"])
    ('stored', 'unclear')
    """
    told = {lies for lies in found if lies in ("turned", "stored")}
    return told.pop() if len(told) == 1 else "unclear"


def _borders(mask: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return where a mask's value differs from that of the right or lower neighbour."""
    found = np.zeros(mask.shape, bool)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    return found


def _contrast(image: NDArray[np.uint8], borders: NDArray[np.bool_]) -> float:
    """Return the mean gradient of an image on borders over that of the whole image."""
    channels = picture_of(image).astype(np.float32)
    change = np.zeros(image.shape[:2], np.float32)
    # over two pixels, so that an outline may be one pixel off
    change[1:-1] += np.abs(channels[2:] - channels[:-2]).sum(2)
    change[:, 1:-1] += np.abs(channels[:, 2:] - channels[:, :-2]).sum(2)
    return float(change[borders].mean() / max(float(change.mean()), 1e-6))
