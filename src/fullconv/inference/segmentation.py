"""What is predicted for an image: the class of every pixel, and how probable each class is.

Letters: H height, W width, K classes.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.drawing import overlay
from fullconv.errors import DataError
from fullconv.files import replacing
from fullconv.inference.original_values import original_mask
from fullconv.inference.sources import ImageLike, as_array
from fullconv.labelmap import LabelMap
from fullconv.labels import LabelSet

Values = Literal["labels", "original", "colors"]
"""What a file of labels holds."""
NO_VALUES = "models of named data sets and of older versions know their labels alone: leave the values out"


@dataclass(frozen=True)
class Segmentation:
    """The classes of an image's pixels.

    Parameters
    ----------
    labels
        uint8 (H, W), each below K.
    probabilities
        float32 (K, H, W): of each class, 0 to 1, summing to 1; ``None`` when not asked for.
    label_set
        Names and colours of the classes.
    label_map
        What the masks that the model learned from stored for them; ``None`` where it does not know.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None
    label_set: LabelSet
    label_map: LabelMap | None = None

    def save(self, path: str | os.PathLike[str], values: Values = "labels") -> None:
        """Write the labels as a PNG: the file is the old one or whole.

        Parameters
        ----------
        path
            Ends in ``.png``.
        values
            What is written of each class: its label, with the palette (``labels``); the value that the masks of training had
            (``original``: the first that the recipe declares, or the first colour where it has no value), 8 or 16 bits as they
            need; its colour, RGB (``colors``).

        Raises
        ------
        DataError
            When ``path`` does not end in ``.png``: other formats would change labels or lose the palette. When the model does not
            know the masks' values, or one does not fit into 16 bits.
        FullconvError
            When the folder cannot be written or the disk is full.
        """
        if Path(path).suffix.lower() != ".png":
            raise DataError(f"{path}: labels are written as PNG, which keeps them exact; end the name in .png")
        with replacing(path) as temporary:
            self.to_image(values).save(temporary, format="PNG")

    def to_image(self, values: Values = "labels") -> Image.Image:
        """Return the image that :meth:`save` writes."""
        if values == "labels":
            return self.label_set.to_image(self.labels)
        if values == "colors":
            return Image.fromarray(self.label_set.colorize(self.labels))
        if self.label_map is None:
            raise DataError(f"the model's file does not say what values its masks had; {NO_VALUES}")
        return Image.fromarray(original_mask(self.labels, self.label_map))

    def confidence(self) -> NDArray[np.float32]:
        """Return float32 (H, W): the probability of each pixel's class, 1/K to 1.

        Raises
        ------
        DataError
            When the probabilities were not asked for.
        """
        return self._known().max(axis=0)

    def entropy(self) -> NDArray[np.float32]:
        """Return float32 (H, W): the entropy of each pixel's probabilities over that of K equal ones, ln K.

        0 where one class is certain, 1 where all are equally likely; 0 everywhere when there is one class only.

        Raises
        ------
        DataError
            When the probabilities were not asked for.
        """
        known, least = self._known(), np.finfo(np.float32).tiny
        entropy = -(known * np.log(np.maximum(known, least))).sum(axis=0)
        return np.clip(entropy / max(math.log(len(known)), least), 0, 1)

    def _known(self) -> NDArray[np.float32]:
        if self.probabilities is None:
            raise DataError("this segmentation holds no probabilities; predict with probabilities=True")
        return self.probabilities

    def overlay(self, image: ImageLike) -> Image.Image:
        """Return the image with the labels drawn over it and a legend with each class's share below.

        Raises
        ------
        DataError
            When the image cannot be read, or is of another size than the labels.
        """
        return overlay(as_array(image), self.labels, self.label_set)
