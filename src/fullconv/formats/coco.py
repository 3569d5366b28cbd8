"""COCO object detection (cocodataset.org/#format-data): the regions of many label maps in one file.

Letters: H W image.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.formats import Labelled
from fullconv.formats.polygons import Region, find_objects
from fullconv.labels import LabelSet


def run_lengths(region: Region, height: int, width: int) -> dict[str, Any]:
    """Return COCO's uncompressed run lengths of a region in an image: columns one after another, the first run is outside.

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


def write_coco(path: Path, images: Iterable[Labelled], label_set: LabelSet) -> None:
    """Write the objects of many images as one COCO file, image by image, so that memory does not grow with them.

    Images and annotations are numbered from 1; a category's id is its label. An object without holes is a polygon, one with
    holes uncompressed run lengths, as COCO's polygons have no holes; ``iscrowd`` is 0 for both, ``area`` the number of pixels.
    """
    described: list[dict[str, Any]] = []
    categories = [{"id": k, "name": name, "supercategory": ""} for k, name in enumerate(label_set.names) if name != "background"]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        written = 0
        for name, labels in images:
            height, width = labels.shape
            described.append({"id": len(described) + 1, "file_name": name, "height": height, "width": width})
            for region in find_objects(labels, label_set):
                written += 1
                annotation = {"id": written, "image_id": len(described), **_coco_object(region, height, width)}
                file.write((",\n" if written > 1 else "\n") + json.dumps(annotation))
        file.write(f'\n],\n"images": {json.dumps(described)},\n"categories": {json.dumps(categories)}}}\n')


def _coco_object(region: Region, height: int, width: int) -> dict[str, Any]:
    outer, *holes = region.rings
    return {
        "category_id": region.label,
        "segmentation": run_lengths(region, height, width) if holes else [outer.ravel().tolist()],
        "area": region.area,
        "bbox": list(region.box),
        "iscrowd": 0,
    }
