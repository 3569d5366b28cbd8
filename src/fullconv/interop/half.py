"""A trained model in half the bytes, and how little that changes: labels of the same images before and after."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.errors import DataError, WeightsError
from fullconv.files import replacing
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint

MOST = 0.001
"""Share of the pixels of all images that may get another label."""


@dataclass(frozen=True)
class Halved:
    """What became of a model: bytes of the file, and of the images' pixels the share, 0 to 1, that has another label."""

    bytes: int
    changed: float
    pixels: int


def write_half(
    checkpoint: str | os.PathLike[str], out: str | os.PathLike[str], images: Sequence[str | os.PathLike[str]], most: float = MOST
) -> Halved:
    """Write a checkpoint with its weights in float16, if that changes hardly a label; return what it changes.

    Parameters
    ----------
    checkpoint
        A path or name.
    out
        Ends in ``.safetensors``; written when the labels have been compared.
    images
        Of the kind that the model is for; its first head labels them before and after.
    most
        Share of pixels, 0 to 1, that may change.

    Raises
    ------
    WeightsError
        When more of them change, or a weight does not fit into float16; nothing is written.
    DataError
        When there are no images, or one cannot be read.
    """
    if not images:
        raise DataError("no images to compare labels on; give some of the kind that the model is for")
    found = load_checkpoint(checkpoint)
    before = Predictor(found.model, found.labels, found.scale, None, found.image, found.label_maps)
    with replacing(out) as temporary:
        settings = (found.history, found.scale, found.image, found.label_maps)
        save_checkpoint(temporary, found.model, found.labels, *settings, half=True)
        changed, pixels = _compare(before, load(temporary, "cpu"), images)
        if changed > most * pixels:
            raise WeightsError(
                f"{changed} of {pixels} pixels get another label in float16, and {100 * most:g} % may; share it as it is"
            )
    return Halved(Path(out).stat().st_size, changed / pixels, pixels)


def _compare(before: Predictor, after: Predictor, images: Sequence[str | os.PathLike[str]]) -> tuple[int, int]:
    changed = pixels = 0
    for image in images:
        labels = before.predict(image).labels
        changed += int(np.count_nonzero(labels != after.predict(image).labels))
        pixels += labels.size
    return changed, pixels
