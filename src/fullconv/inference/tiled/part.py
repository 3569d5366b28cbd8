"""What is read and what is found of one part of an image.

Letters: h height and w width of the part, C channels, K classes.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fullconv.data.sample import RGB
from fullconv.errors import DataError, SpecError
from fullconv.inference.finite import check_finite
from fullconv.inference.predictor import Predictor
from fullconv.inference.threshold import labels_at

Pixels = NDArray[np.generic] | Mapping[str, NDArray[np.generic]]
"""Of a window, (height, width, C); or of each input by its name."""

Read = Callable[[int, int, int, int], Pixels]
"""(top, left, height, width) to the pixels there, (height, width, C): uint8, or of each input by its name."""

Look = Callable[[int, int, Tensor], None]
"""Is shown the logits (K, h, w) of each part as it is made, with its first row and column in the image."""

MAPS = ("confidence", "entropy")
"""What can be made of the probabilities beside the labels: 8-bit grey in 255ths, as the files of those names hold it."""


@dataclass(frozen=True)
class Part:
    """A rectangle of an image, predicted.

    Parameters
    ----------
    top, left
        Its first row and column in the image.
    labels
        uint8 (h, w).
    maps
        uint8 (h, w) by name, those of :data:`MAPS` that were asked for.
    """

    top: int
    left: int
    labels: NDArray[np.uint8]
    maps: dict[str, NDArray[np.uint8]] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What is to be made of an image.

    Parameters
    ----------
    head
        Which of the model's outputs.
    maps
        What beside the labels, of :data:`MAPS`.
    look
        Is shown all logits.
    """

    head: str
    maps: Collection[str] = ()
    look: Look | None = None


def part_of(predictor: Predictor, logits: Tensor, wanted: Wanted, place: tuple[int, int]) -> Part:
    """Return what logits (1, K, h, w) say of a part of an image, at (row, column); errors as ``Predictor.predict``."""
    logits, head, maps = check_finite(logits), wanted.head, wanted.maps
    if wanted.look is not None:
        wanted.look(*place, logits[0])
    labels = labels_at(logits, predictor.labels[head], predictor.threshold)[0].cpu().numpy()
    found: dict[str, NDArray[np.uint8]] = {}
    if maps:
        known = logits.float().softmax(1)[0]
        if "confidence" in maps:
            found["confidence"] = _grey(known.amax(0))
        if "entropy" in maps:
            least = torch.finfo(known.dtype).tiny
            entropy = -(known * known.clamp(min=least).log()).sum(0)
            found["entropy"] = _grey((entropy / max(math.log(len(known)), least)).clamp(0, 1))
    return Part(*place, labels, found)


def _grey(values: Tensor) -> NDArray[np.uint8]:
    return (values * 255).round().to(torch.uint8).cpu().numpy()


def stacked(parts: list[Part]) -> Part:
    """Return parts that lie below each other as one."""
    first = parts[0]
    maps = {name: np.concatenate([part.maps[name] for part in parts]) for name in first.maps}
    return Part(first.top, first.left, np.concatenate([part.labels for part in parts]), maps)


def read_batch(predictor: Predictor, read: Read, top: int, left: int, height: int, width: int) -> dict[str, Tensor]:
    """Return a window as the net's inputs (1, C, height, width) by name.

    Raises
    ------
    DataError
        When what was read is of another size, or an input is missing.
    """
    found = read(top, left, height, width)
    given = found if isinstance(found, Mapping) else {RGB: found}
    batch = {}
    for name in predictor.engine.inputs:
        if name not in given:
            raise DataError(
                f"the model reads {', '.join(predictor.engine.inputs)}; of a window only {', '.join(given)} was given"
            )
        pixels = np.asarray(given[name])
        if pixels.shape[:2] != (height, width):
            raise DataError(f"a window of {height}×{width} px at row {top}, column {left} was read as {pixels.shape}")
        batch[name] = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    return batch


def check_tileable(predictor: Predictor) -> None:
    """Make sure that a predictor can work on parts of an image.

    Raises
    ------
    SpecError
        When it is one of an exported file, whose geometry is not known, or resizes images.
    """
    if not hasattr(predictor.engine, "model"):
        raise SpecError(
            "an exported file does not say what its layers depend on, so it cannot be tiled exactly; give the model.safetensors "
            "that it was made from"
        )
    if predictor.scale != 1:
        raise SpecError(
            f"the model was trained on images resized by {predictor.scale:g} and resizes them itself, whole; tiles are parts of "
            "an image as it is: resize the image first, or give one that fits into memory"
        )
