"""COCO (cocodataset.org/#format-data): object, stuff and panoptic segmentation read, the regions of many label maps written.

Letters: H W image.
"""

import functools
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.errors import DataError
from fullconv.formats import Labelled
from fullconv.formats.annotations import AnnotatedImage, Annotations, Area, Polygons, Runs, Shape, class_names
from fullconv.formats.polygons import Region, find_objects
from fullconv.formats.rasterise import Patch
from fullconv.formats.reading import points_of, size_of
from fullconv.labels import LabelSet


def run_lengths(region: Region, height: int, width: int) -> dict[str, Any]:
    """Return COCO's uncompressed run lengths of a region in an image: columns one after another, the first run is outside.

    Examples
    --------
    >>> from fullconv.formats.polygons import find_regions
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
    with path.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        written = 0
        for name, labels in images:
            height, width = labels.shape
            described.append(_image(len(described) + 1, name, height, width))
            for region in find_objects(labels, label_set):
                written += 1
                annotation = {"id": written, "image_id": len(described), **_coco_object(region, height, width)}
                file.write((",\n" if written > 1 else "\n") + json.dumps(annotation))
        file.write(f'\n],\n"images": {json.dumps(described)},\n"categories": {json.dumps(_categories(label_set))}}}\n')


def to_coco(labels: NDArray[np.uint8], label_set: LabelSet, image: str) -> dict[str, Any]:
    """Return what :func:`write_coco` writes of one image with labels (H, W), JSON-able.

    Examples
    --------
    >>> from fullconv.labels import VOC
    >>> to_coco(np.array([[0, 12]], np.uint8), VOC, "a.jpg")["annotations"][0]["bbox"]
    [1, 0, 1, 1]
    """
    height, width = labels.shape
    regions = enumerate(find_objects(labels, label_set), start=1)
    return {
        "annotations": [{"id": k, "image_id": 1, **_coco_object(region, height, width)} for k, region in regions],
        "images": [_image(1, image, height, width)],
        "categories": _categories(label_set),
    }


def _image(number: int, name: str, height: int, width: int) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": height, "width": width}


def _categories(label_set: LabelSet) -> list[dict[str, Any]]:
    return [{"id": k, "name": name, "supercategory": ""} for k, name in enumerate(label_set.names) if name != "background"]


def _coco_object(region: Region, height: int, width: int) -> dict[str, Any]:
    outer, *holes = region.rings
    return {
        "category_id": region.label,
        "segmentation": run_lengths(region, height, width) if holes else [outer.ravel().tolist()],
        "area": region.area,
        "bbox": list(region.box),
        "iscrowd": 0,
    }


def is_coco(content: Any) -> bool:
    """Return whether a JSON file's content is COCO's."""
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    )


def read_coco(content: Any, path: Path) -> Annotations:
    """Return the annotations of a COCO file.

    Polygons, run lengths in both spellings and panoptic PNGs are read. COCO has no order: larger areas lie behind smaller ones.
    Crowds are without ground truth, and behind all else. A category that no annotation has and that is but the heading of others,
    as Roboflow writes it, is no class.

    Raises
    ------
    DataError
        When a category is not known, or run lengths are of another size than their image.
    """
    categories = {_key(one["id"]): str(one["name"]) for one in content["categories"]}
    used = {_key(one.get("category_id")) for one in content["annotations"]}
    headings = {one.get("supercategory") for one in content["categories"] if _key(one["id"]) in used}
    classes = [categories[key] for key in sorted(categories, key=_order) if key in used or categories[key] not in headings]
    notes: Counter[str] = Counter()
    shapes: dict[str, list[Shape]] = {_key(one["id"]): [] for one in content["images"]}
    sizes = {_key(one["id"]): _size(one) for one in content["images"]}
    for one in content["annotations"]:
        image = _key(one["image_id"])
        if image not in shapes:
            notes["annotation of an image that the file does not list, left out"] += 1
            continue
        for part in _panoptic(one, path) if "segments_info" in one else (one,):
            category = _key(part.get("category_id"))
            if category not in categories:
                raise DataError(f"the category {part.get('category_id')!r} of an annotation is not among the file's categories")
            area = part.get("area_on_file") or _area(part.get("segmentation"), sizes[image], notes)
            if area is not None:
                shapes[image].append(Shape(categories[category], area, bool(part.get("iscrowd"))))
    images = (
        AnnotatedImage(str(one["file_name"]), sizes[_key(one["id"])], tuple(shapes[_key(one["id"])]), largest_first=True)
        for one in content["images"]
    )
    return Annotations(class_names(classes), tuple(images), notes=notes)


def _key(number: Any) -> str:
    """Return an id as text: some tools write numbers as text, or with a fraction of 0, in one place and not in the other."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number).strip()


def _order(key: str) -> tuple[bool, int, str]:
    """Return what sorts ids: numbers by their size, then texts."""
    number = key.removeprefix("-").isdecimal()
    return not number, int(key) if number else 0, key


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    return size_of(image["height"], image["width"]) if image.get("height") and image.get("width") else None


def _area(segmentation: Any, size: tuple[int, int] | None, notes: Counter[str]) -> Area | None:
    if isinstance(segmentation, dict):
        counts, own = segmentation["counts"], segmentation["size"]
        own_size = size_of(own[0], own[1])
        if size is not None and own_size != size:
            raise DataError(f"run lengths of {own_size[0]}x{own_size[1]} for an image of {size[0]}x{size[1]} (height x width)")
        runs = unpacked(counts) if isinstance(counts, str) else np.array(counts, np.int64)
        return Runs(0, 0, own_size, runs, by_columns=True)
    rings = [points_of(zip(ring[::2], ring[1::2], strict=True)) for ring in segmentation or ()]
    whole = tuple(ring for ring in rings if len(ring) > 2)
    if len(whole) < len(rings):
        notes["polygon of fewer than three corners, left out"] += len(rings) - len(whole)
    elif not rings:
        notes["box without segmentation, left out"] += 1
    return Polygons(whole) if whole else None


def unpacked(text: str) -> NDArray[np.int64]:
    """Return run lengths from COCO's text: five bits a character, the lowest first, and from the third on differences.

    Source: ``rleFrString`` in cocoapi's ``maskApi.c``.

    Examples
    --------
    >>> unpacked("043").tolist()
    [0, 4, 3]
    """
    found: list[int] = []
    number = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise DataError(f"{character!r} in run lengths, which has no place there; they are damaged")
        number |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                number -= 1 << shift
            found.append(number + (found[-2] if len(found) > 2 else 0))
            number = shift = 0
    return np.array(found, np.int64)


@dataclass(frozen=True)
class Segment:
    """The pixels of a panoptic PNG whose colour is one number: red + 256 green + 65536 blue."""

    file: Path
    number: int

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        numbers = _numbers(self.file)
        if numbers.shape != size:
            raise DataError(f"{self.file} is {numbers.shape[0]}x{numbers.shape[1]} px, its image {size[0]}x{size[1]}")
        return Patch(0, 0, numbers == self.number)


@functools.lru_cache(maxsize=1)  # the segments of an image are drawn one after another
def _numbers(file: Path) -> NDArray[np.int64]:
    try:
        with Image.open(file) as image:
            colors = np.asarray(image.convert("RGB")).astype(np.int64)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: the panoptic PNG cannot be read ({error})") from error
    return colors[..., 0] + 256 * colors[..., 1] + 65536 * colors[..., 2]


def _panoptic(annotation: dict[str, Any], path: Path) -> Iterable[dict[str, Any]]:
    """Yield the segments of an image; the PNGs lie in a folder that is called as the file, or beside it."""
    name = Path(str(annotation["file_name"])).name
    places = [folder / name for folder in (path.with_suffix(""), path.parent, path.parent.parent / path.stem)]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DataError(f"the panoptic PNG {name} is not there; looked for {places[0]}")
    for one in annotation["segments_info"]:
        yield {**one, "area_on_file": Segment(file, int(one["id"]))}
