"""What a segmentation is answered as: labels, overlay, areas, polygons, probabilities; the same as ``fullconv predict`` writes.

Letters: H height, W width, K classes.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from fullconv.formats.coco import to_coco
from fullconv.formats.geojson import to_geojson
from fullconv.formats.labelme import to_labelme
from fullconv.inference.outputs import Result, Target, write_confidence, write_entropy, write_labels, write_overlay
from fullconv.inference.segmentation import Segmentation

Format = Literal["png", "json", "npz", "overlay", "confidence", "entropy"]
Polygons = Literal["coco", "labelme", "geojson"]
WITH_PROBABILITIES = frozenset({"npz", "confidence", "entropy"})
"""Formats that need the probabilities."""
IMAGE = "image"
"""What the image is called in answers, as nobody said its name."""

_WRITERS: dict[str, Callable[[Result, Target], None]] = {
    "png": write_labels,
    "overlay": write_overlay,
    "confidence": write_confidence,
    "entropy": write_entropy,
}
_POLYGONS = {"coco": to_coco, "labelme": to_labelme}


class Answer(NamedTuple):
    """The body of an answer and its media type."""

    content: bytes
    media_type: str


def answer(result: Result, format: Format, model: str, head: str, polygons: Polygons | None = None) -> Answer:
    """Return a result in a format; with the probabilities in it where the format needs them.

    ``png``         palette PNG of the labels, byte for byte as ``fullconv predict`` writes it
    ``overlay``     PNG, RGB: the image under its labels, with a legend
    ``confidence``  PNG, 8-bit grey: the largest probability, in 255ths
    ``entropy``     PNG, 8-bit grey: the entropy of the probabilities over that of K equal ones, in 255ths
    ``json``        every class's pixels and share, and polygons where they are asked for
    ``npz``         NumPy's archive: ``probabilities`` float16 (K, H, W), ``labels`` uint8 (H, W)
    """
    if format in _WRITERS:
        buffer = io.BytesIO()
        _WRITERS[format](result, buffer)
        return Answer(buffer.getvalue(), "image/png")
    if format == "npz":
        return Answer(_npz(result.found), "application/zip")
    content = {"model": model, "head": head} | areas(result.found)
    if polygons is not None:
        content["polygons"] = _polygons(result.found, polygons)
    return Answer(json.dumps(content).encode(), "application/json")


def areas(found: Segmentation) -> dict[str, Any]:
    """Return the size of the labels and of every class its id, name, colour, pixels and share (0 to 1), in their order."""
    labels, classes = found.labels, found.label_set
    counts = np.bincount(labels.ravel(), minlength=len(classes))
    return {
        "width": labels.shape[1],
        "height": labels.shape[0],
        "classes": [
            {"id": k, "name": name, "color": list(color), "pixels": int(counts[k]), "share": float(counts[k] / labels.size)}
            for k, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
        ],
    }


def _polygons(found: Segmentation, kind: Polygons) -> dict[str, Any]:
    if kind == "geojson":
        return to_geojson(found.labels, found.label_set)
    return _POLYGONS[kind](found.labels, found.label_set, IMAGE)


def _npz(found: Segmentation) -> bytes:
    assert found.probabilities is not None  # as WITH_PROBABILITIES says
    buffer = io.BytesIO()
    np.savez(buffer, probabilities=found.probabilities.astype(np.float16), labels=found.labels)
    return buffer.getvalue()


SOURCE = Path(IMAGE)
