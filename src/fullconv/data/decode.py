"""Images and masks from disk as arrays, with errors that name the file."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.errors import DataError
from fullconv.labels import LabelSet


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return the image at ``path`` as uint8 (H, W, 3) RGB, rows as stored; grey, palette and CMYK are converted.

    Raises
    ------
    DataError
        When the file is missing, no image, cut short, or has more than 8 bits a channel.
    """
    image = decode(path)
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: {image.mode} pixels (more than 8 bits); images must have 8 bits a channel, convert it first")
    image.info.pop("transparency", None)  # dropped anyway; PIL would warn about it
    return np.array(image.convert("RGB"))


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


def decode(path: str | os.PathLike[str]) -> Image.Image:
    """Return the image at ``path``, read whole; errors name the file."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        with Image.open(path) as image:
            image.load()
    # the decoders of damaged files raise whatever comes: OSError, SyntaxError, struct.error, EOFError, a bomb's error
    except Exception as error:
        raise DataError(f"{path}: cannot be read ({error}); it is damaged or no image, copy it again") from error
    return image
