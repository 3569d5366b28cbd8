"""Label maps in the files of annotation tools: COCO, LabelMe and GeoJSON; and a table of areas.

Every 4-connected region of a class is one object, its polygon exact along pixel edges (:mod:`fullconv.formats.polygons`).
A class called ``background`` and pixels without a class (the ignore value) are in none of the three, but in the table.

Formats: COCO object detection (cocodataset.org/#format-data), LabelMe's ``.json`` beside each picture, RFC 7946.
Letters: H W picture, K classes.
"""

import base64
import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.formats.polygons import Region, find_regions
from fullconv.labels import LabelSet

LABELME_VERSION = "5.5.0"
"""Of the LabelMe whose format is written; masks came with 5.3."""

Labelled = tuple[str, NDArray[np.uint8]]
"""A picture's name and its labels (H, W)."""


def find_objects(labels: NDArray[np.integer], label_set: LabelSet) -> list[Region]:
    """Return the regions of a label map (H, W) that are annotated: all but the background and what has no class.

    Examples
    --------
    >>> from fullconv.labels import VOC
    >>> [region.label for region in find_objects(np.array([[0, 15, 255, 15]]), VOC)]
    [15, 15]
    """
    annotated = {k for k, name in enumerate(label_set.names) if name != "background"}
    return [region for region in find_regions(labels) if region.label in annotated]


def run_lengths(region: Region, height: int, width: int) -> dict[str, Any]:
    """Return COCO's uncompressed run lengths of a region in a picture: columns one after another, the first run is outside.

    Examples
    --------
    >>> run_lengths(find_regions(np.array([[0, 1], [0, 0]]))[0], 2, 2)
    {'size': [2, 2], 'counts': [0, 2, 1, 1]}
    """
    x, y = region.crossings()
    changes, times = np.unique(x * height + y, return_counts=True)
    changes = changes[times % 2 == 1]  # from the foot of a column to the top of the next the region just goes on
    counts = np.diff(changes, prepend=0, append=height * width).tolist()
    return {"size": [height, width], "counts": counts if counts[-1] else counts[:-1]}


def write_coco(path: Path, pictures: Iterable[Labelled], label_set: LabelSet) -> None:
    """Write the objects of many pictures as one COCO file, picture by picture, so that memory does not grow with them.

    Images and annotations are numbered from 1; a category's id is its label. An object without holes is a polygon, one with
    holes uncompressed run lengths, as COCO's polygons have no holes; ``iscrowd`` is 0 for both, ``area`` the number of pixels.
    """
    images: list[dict[str, Any]] = []
    categories = [{"id": k, "name": name, "supercategory": ""} for k, name in enumerate(label_set.names) if name != "background"]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        written = 0
        for name, labels in pictures:
            height, width = labels.shape
            images.append({"id": len(images) + 1, "file_name": name, "height": height, "width": width})
            for region in find_objects(labels, label_set):
                written += 1
                annotation = {"id": written, "image_id": len(images), **_coco_object(region, height, width)}
                file.write((",\n" if written > 1 else "\n") + json.dumps(annotation))
        file.write(f'\n],\n"images": {json.dumps(images)},\n"categories": {json.dumps(categories)}}}\n')


def _coco_object(region: Region, height: int, width: int) -> dict[str, Any]:
    outer, *holes = region.rings
    return {
        "category_id": region.label,
        "segmentation": run_lengths(region, height, width) if holes else [outer.ravel().tolist()],
        "area": region.area,
        "bbox": list(region.box),
        "iscrowd": 0,
    }


def to_labelme(labels: NDArray[np.uint8], label_set: LabelSet, picture: str) -> dict[str, Any]:
    """Return what LabelMe reads, JSON-able: an object without holes is a polygon, one with holes a mask.

    Parameters
    ----------
    labels, label_set
        uint8 (H, W), and what they mean.
    picture
        Path of the picture as seen from the file that is to be written.
    """
    height, width = labels.shape
    return {
        "version": LABELME_VERSION,
        "flags": {},
        "shapes": [
            {"label": label_set.names[region.label], **_labelme_shape(region), "group_id": None, "description": "", "flags": {}}
            for region in find_objects(labels, label_set)
        ],
        "imagePath": picture,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _labelme_shape(region: Region) -> dict[str, Any]:
    outer, *holes = region.rings
    if not holes:
        return {"shape_type": "polygon", "points": outer.tolist(), "mask": None}
    left, top, width, height = region.box
    buffer = io.BytesIO()
    Image.fromarray(region.mask()).save(buffer, format="PNG")
    return {
        "shape_type": "mask",
        "points": [[left, top], [left + width - 1, top + height - 1]],  # the first and the last pixel
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }


def to_geojson(labels: NDArray[np.uint8], label_set: LabelSet) -> dict[str, Any]:
    """Return a GeoJSON FeatureCollection of polygons with holes, in pixels: x to the right, y down as in the picture.

    Rings are closed and in RFC 7946's order for these numbers: an outer ring has a positive shoelace area, a hole a negative
    one. That is counterclockwise for a reader that draws y upwards, and clockwise on the picture.

    Examples
    --------
    >>> from fullconv.labels import VOC
    >>> feature = to_geojson(np.array([[12]], np.uint8), VOC)["features"][0]
    >>> feature["properties"], feature["geometry"]["coordinates"]
    ({'class': 'dog', 'label': 12, 'pixels': 1}, [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]])
    """
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"class": label_set.names[region.label], "label": region.label, "pixels": region.area},
                "geometry": {"type": "Polygon", "coordinates": [_closed(ring) for ring in region.rings]},
            }
            for region in find_objects(labels, label_set)
        ],
    }


def _closed(ring: NDArray[np.int64]) -> list[list[int]]:
    return [*ring.tolist(), ring[0].tolist()]


def write_areas(path: Path, pictures: Iterable[Labelled], label_set: LabelSet) -> None:
    """Write a CSV table with a row a picture: its name and pixels, then of every class its pixels and their share, 0 to 1."""
    heads = [f"{name} {unit}" for name in label_set.names for unit in ("pixels", "share")]
    # names of files may hold bytes that are no text
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(["picture", "pixels", *heads])
        table.writerows(_areas(pictures, len(label_set)))


def _areas(pictures: Iterable[Labelled], classes: int) -> Iterator[list[str | int]]:
    for name, labels in pictures:
        counts = np.bincount(labels.ravel(), minlength=classes)[:classes].tolist()
        yield [name, labels.size, *(value for count in counts for value in (count, f"{count / labels.size:.6f}"))]
