"""What can be written for each image, and for all of them together: names, files, and the functions that write them.

A new kind of result is a function here and a line in one of the two tables.
"""

import io
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fullconv.errors import DataError
from fullconv.formats import Labelled
from fullconv.formats.areas import write_areas
from fullconv.formats.coco import write_coco
from fullconv.formats.geojson import to_geojson
from fullconv.formats.labelme import to_labelme
from fullconv.formats.voc_submission import write_comp6
from fullconv.inference.remote import Place
from fullconv.inference.segmentation import Segmentation, Values
from fullconv.labels import LabelSet

WAY = "fullconv"
"""The text of a PNG with labels that says how they were predicted."""
HEAD = 8192
"""Bytes at the beginning of such a PNG in which that stands: all but its pixels."""
Target = Path | BinaryIO
"""Where a result is written: a file by its path, or an open one."""


@dataclass(frozen=True)
class Result:
    """An image with its prediction.

    Parameters
    ----------
    source
        Where the image lies; its name alone where it and the results do not both lie in folders of this machine.
    image
        Its pixels, uint8 (H, W, 3) RGB.
    found
        What was predicted, with probabilities when one of :data:`WITH_PROBABILITIES` is to be written.
    way
        How it was predicted, such as ``head semantic``; kept in the labels' file.
    values
        What the labels' file holds of each class, see :meth:`fullconv.inference.segmentation.Segmentation.save`.
    """

    source: Path | str
    image: NDArray[np.uint8]
    found: Segmentation
    way: str
    values: Values = "labels"


def write_labels(result: Result, path: Target) -> None:
    """Write the class of each pixel, see :data:`OUTPUTS`."""
    about = PngInfo()
    about.add_text(WAY, result.way)
    result.found.to_image(result.values).save(path, format="PNG", pnginfo=about)


def way_of(labels: Place) -> str | None:
    """Return how a file of labels was predicted; ``None`` where it does not say."""
    try:
        with Image.open(labels if isinstance(labels, Path) else io.BytesIO(labels.read_bytes(HEAD))) as image:
            way = image.info.get(WAY)
    except (OSError, ValueError, SyntaxError, DataError):
        return None
    return way if isinstance(way, str) else None


def write_overlay(result: Result, path: Target) -> None:
    """Write the image under its labels, see :data:`OUTPUTS`."""
    # a photograph packs no better at a higher level, and takes three times as long
    result.found.overlay(result.image).save(path, format="PNG", compress_level=1)


def _probabilities(result: Result, path: Path) -> None:
    assert result.found.probabilities is not None  # as WITH_PROBABILITIES says
    np.save(path, result.found.probabilities.astype(np.float16))


def write_confidence(result: Result, path: Target) -> None:
    """Write the largest probability, see :data:`OUTPUTS`."""
    _grey(result.found.confidence()).save(path, format="PNG")


def write_entropy(result: Result, path: Target) -> None:
    """Write the entropy of the probabilities, see :data:`OUTPUTS`."""
    _grey(result.found.entropy()).save(path, format="PNG")


def _grey(values: NDArray[np.float32]) -> Image.Image:
    """Return values 0 to 1 as an 8-bit image: 255ths, rounded."""
    return Image.fromarray((values * 255).round().astype(np.uint8))


def _labelme(result: Result, path: Path) -> None:
    if isinstance(result.source, str):
        _json(to_labelme(result.found.labels, result.found.label_set, result.source), path)
        return
    folder = os.path.realpath(path.parent)
    image = os.path.join(os.path.realpath(result.source.parent), result.source.name)  # noqa: PTH118  # for relpath
    _json(to_labelme(result.found.labels, result.found.label_set, os.path.relpath(image, folder)), path)


def _geojson(result: Result, path: Path) -> None:
    _json(to_geojson(result.found.labels, result.found.label_set), path)


def _json(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


OUTPUTS: dict[str, tuple[str, Callable[[Result, Path], None]]] = {
    "labels": (".png", write_labels),
    "overlay": ("-overlay.png", write_overlay),
    "probabilities": ("-probabilities.npy", _probabilities),
    "confidence": ("-confidence.png", write_confidence),
    "entropy": ("-entropy.png", write_entropy),
    "labelme": (".json", _labelme),
    "geojson": (".geojson", _geojson),
}
"""Of each image: what its file's name ends in, after the image's own, and how it is written.

``labels``         palette PNG: the class of each pixel; or the value or colour that the masks of training have for it
``overlay``        PNG, RGB: the image under its labels, with a legend
``probabilities``  npy, float16 (K, H, W): 0 to 1
``confidence``     PNG, 8-bit grey: the largest probability, in 255ths
``entropy``        PNG, 8-bit grey: the entropy of the probabilities, in 255ths of the largest possible, ln K
``labelme``        polygons as LabelMe reads them
``geojson``        polygons in pixel units
"""

WITH_PROBABILITIES = frozenset({"probabilities", "confidence", "entropy"})
"""Outputs that need the probabilities."""

SUMMARIES: dict[str, tuple[str, Callable[[Path, Iterable[Labelled], LabelSet], None]]] = {
    "coco": ("coco.json", write_coco),
    "areas": ("areas.csv", write_areas),
    "comp6": ("comp6.tgz", write_comp6),
}
"""Of all images together: the file's name, and how it is written."""
