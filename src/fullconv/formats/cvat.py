"""CVAT: ``CVAT for images 1.1`` (XML), and the class list and image lists of ``Segmentation mask 1.1``.

Shapes are drawn by their ``z_order``, those of one order as they stand in the file.
Source: CVAT's documentation of its XML format.
"""

import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Area, Polygons, Runs, Shape, class_names
from fullconv.formats.rasterise import box_points, ellipse_points
from fullconv.formats.reading import points_of, size_of

NO_AREA = frozenset({"polyline", "points", "cuboid", "skeleton", "tag"})
DEFAULT = "default"
"""CVAT's subset of images that belong to none."""


def is_cvat(path: Path) -> bool:
    """Return whether an XML file is CVAT's, by its first element."""
    try:
        with path.open("rb") as file:
            for _, element in ElementTree.iterparse(file, events=("start",)):
                return element.tag == "annotations"
    except (OSError, ElementTree.ParseError, ValueError):
        return False
    return False


def read_cvat(path: Path) -> Annotations:
    """Return the annotations of an XML file for images; a box is a rectangle, lines and points have no area and are counted.

    Raises
    ------
    DataError
        When the XML is damaged, or of the format for video.
    """
    names: list[str] = []
    colors: dict[str, tuple[int, int, int]] = {}
    images: list[AnnotatedImage] = []
    notes: Counter[str] = Counter()
    try:
        with path.open("rb") as file:
            for _, element in ElementTree.iterparse(file, events=("end",)):
                if element.tag == "label" and element.find("name") is not None:
                    name = element.findtext("name") or ""
                    names.append(name)
                    colors |= _color(name, element.findtext("color") or "")
                elif element.tag == "track":
                    raise DataError("tracks of CVAT for video; export the task as 'CVAT for images 1.1'")
                elif element.tag == "image" and "name" in element.attrib:
                    images.append(_image(element, notes))
                    element.clear()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: no XML ({error}); it is damaged or cut short, export it again") from error
    used = [shape.name for image in images for shape in image.shapes]
    splits = {image.split for image in images}
    if len(splits - {""}) < 2:
        images = [AnnotatedImage(image.file, image.size, image.shapes) for image in images]
    return Annotations(class_names([*names, *used]), tuple(images), colors, notes)


def _color(name: str, text: str) -> dict[str, tuple[int, int, int]]:
    try:
        value = bytes.fromhex(text.removeprefix("#"))
    except ValueError:
        return {}
    return {name: (value[0], value[1], value[2])} if len(value) == 3 else {}


def _image(element: ElementTree.Element, notes: Counter[str]) -> AnnotatedImage:
    size = size_of(element.get("height"), element.get("width"))
    shapes = tuple(_shapes(element, notes))
    subset = element.get("subset", "")
    return AnnotatedImage(element.attrib["name"], size, shapes, "" if subset.lower() == DEFAULT else subset)


def _shapes(image: ElementTree.Element, notes: Counter[str]) -> Iterator[Shape]:
    for element in image:
        if element.tag in NO_AREA:
            notes[f"{element.tag}, which has no area, left out"] += 1
            continue
        area = _area(element, notes)
        if area is not None:
            yield Shape(element.attrib["label"], area, order=float(element.get("z_order", 0)))


def _area(element: ElementTree.Element, notes: Counter[str]) -> Area | None:
    kind, given = element.tag, element.attrib
    turn = float(given.get("rotation", 0))
    if kind == "polygon":
        points = points_of(pair.split(",") for pair in given["points"].split(";"))
        if len(points) < 3:
            notes["polygon of fewer than three corners, left out"] += 1
            return None
        return Polygons((points,))
    if kind == "box":
        notes["box, drawn as a rectangle"] += 1
        left, top, right, bottom = (float(given[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return Polygons((points_of(box_points(left, top, right, bottom, turn)),))
    if kind == "ellipse":
        x, y, across, down = (float(given[key]) for key in ("cx", "cy", "rx", "ry"))
        return Polygons((points_of(ellipse_points((x, y), (across, down), turn)),))
    if kind == "mask":
        counts = np.array([int(count) for count in given["rle"].split(",")], np.int64)
        size = size_of(given["height"], given["width"])
        return Runs(int(float(given["top"])), int(float(given["left"])), size, counts)
    raise DataError(f"a shape {kind!r} of {given.get('label', 'no class')}; known are polygon, box, ellipse, mask")
