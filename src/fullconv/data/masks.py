"""Masks as people store them (grey, palette, 16-bit, bilevel, colours) to labels, by a declared :class:`LabelMap`."""

import os

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import decode
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap, codes_of
from fullconv.labels import LabelSet

MASK_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Formats that masks are looked for in; those with losses are read too, and the doctor warns of them."""


def read_labels(path: str | os.PathLike[str], label_map: LabelMap) -> NDArray[np.uint8]:
    """Return the labels uint8 (H, W) of a mask, 255 = ignore.

    Raises
    ------
    DataError
        When the file is missing or damaged, or holds values or colours without a meaning; counts are given.
    """
    return label_map.apply(read_stored(path, label_map), str(path))


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


def read_stored(path: str | os.PathLike[str], label_map: LabelMap) -> NDArray[np.integer]:
    """Return what a mask stores, as ``label_map`` speaks of it: values (H, W), or colours uint8 (H, W, 3).

    A palette image is read as its indices, unless the map has colours only. A colour image whose three channels are equal is
    grey if the map has values only. Transparency does not matter.

    Raises
    ------
    DataError
        When the file is missing or damaged, or holds colours and the map has none.
    """
    return stored_in(decode(path), label_map, path)


def stored_in(image: Image.Image, label_map: LabelMap, path: str | os.PathLike[str]) -> NDArray[np.integer]:
    """Return what :func:`read_stored` does of the mask that was read from ``path``."""
    if image.mode == "P":
        return _palette(image, label_map)
    if image.mode in ("LA", "La"):
        image = image.getchannel(0)
    if image.mode in ("1", "L") or image.mode.startswith("I"):
        values = np.asarray(image)
        values = values.astype(np.uint8) if values.dtype == bool else values
        return values if label_map.has_values else np.repeat(values.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
    if image.mode == "F":
        raise DataError(f"{path}: a mask of floating point numbers; store whole numbers or colours")
    image.info.pop("transparency", None)
    colors = np.asarray(image.convert("RGB"))
    if label_map.has_colors:
        return colors
    if (colors == colors[..., :1]).all():
        return colors[..., 0]
    found, counts = np.unique(codes_of(colors), return_counts=True)
    several = ", ".join(f"({code >> 16 & 255}, {code >> 8 & 255}, {code & 255})" for code in found[np.argsort(-counts)][:4])
    raise DataError(
        f"{path}: the mask stores colours, {len(found)} of them such as {several}, and data.labels has numbers only; "
        "give colours there"
    )


def undeclared_in(image: Image.Image) -> NDArray[np.integer]:
    """Return what a mask stores where nothing says what it should: values (H, W), or colours uint8 (H, W, 3).

    A palette image is read as its indices, a colour image of three equal channels as grey.
    """
    stored = np.asarray(image if image.mode in ("1", "L", "P") or image.mode.startswith("I") else image.convert("RGB"))
    return stored[..., 0] if stored.ndim == 3 and (stored == stored[..., :1]).all() else stored


def _palette(image: Image.Image, label_map: LabelMap) -> NDArray[np.integer]:
    """Return the indices, or the colours where the map has no values or not all of the indices."""
    indices = np.asarray(image)
    if not label_map.has_colors:
        return indices
    table = np.zeros((256, 3), np.uint8)
    palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
    table[: len(palette)] = palette
    if not label_map.has_values or not all(int(value) in label_map.meaning for value in np.unique(indices)):
        return table[indices]
    return indices
