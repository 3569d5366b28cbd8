"""A real photograph that is installed with a library, and what ImageNet's classes call the thing that it shows."""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from matplotlib import cbook
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import read_image

SHORT_SIDE = 300
"""Pixels that a photograph's shorter side is brought to: what it shows then about fills a window of 224."""


@dataclass(frozen=True)
class Photograph:
    """A photograph, where it comes from, and the classes of ImageNet for what it shows.

    Attributes
    ----------
    image
        uint8 (H, W, 3) RGB; the shorter side is :data:`SHORT_SIDE`.
    about
        What it shows and whose it is, as a sentence goes on after "The photograph is".
    classes
        Numbers of the classes that are right, the most fitting first.
    together
        What these classes are together.
    """

    image: NDArray[np.uint8]
    about: str
    classes: tuple[int, ...]
    together: str


def installed_photograph() -> Photograph:
    """Return scikit-image's tabby cat, or the portrait that comes with matplotlib where scikit-image is not installed.

    Examples
    --------
    >>> shown = installed_photograph()
    >>> min(shown.image.shape[:2])
    300
    """
    if find_spec("skimage") is not None:
        from skimage import data

        cats = tuple(range(281, 286))  # tabby, tiger cat, Persian cat, Siamese cat, Egyptian cat
        return Photograph(
            _at_size(data.chelsea()), "Chelsea, a tabby cat, from scikit-image", cats, "ImageNet's five kinds of house cat"
        )
    portrait = read_image(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return Photograph(_at_size(portrait), "Grace Hopper in uniform, from matplotlib", (652,), "military uniform")


def _at_size(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    factor = SHORT_SIDE / min(height, width)
    size = round(width * factor), round(height * factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def middle(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the square of an image's middle, as large as fits, at (side, side): what a classifier is usually shown."""
    height, width = image.shape[:2]
    edge = min(height, width)
    left, top = (width - edge) // 2, (height - edge) // 2
    square = Image.fromarray(image[top : top + edge, left : left + edge])
    return np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))
