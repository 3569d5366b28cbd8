"""Annotations of images as records: what every format is read into, and how it becomes a mask.

A shape has a class and an area; an area knows which pixels of an image of a given size it covers. Shapes are drawn one over the
other: in the order in which they stand, or the largest first where the format has no order, so that small things stay visible.
Crowds come first, and are pixels without ground truth.

Letters: H W image.
"""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.errors import DataError, some
from fullconv.formats.rasterise import Patch, Points, coco_polygon, labelme_figure

IGNORE = 255
"""The value of pixels without ground truth."""
BACKGROUND = 0
"""The value of pixels that no shape covers."""
IGNORED_NAMES = frozenset({"__ignore__"})
BACKGROUND_NAMES = frozenset({"_background_", "background"})
"""Names of LabelMe and others that are no classes to be numbered; case does not matter."""


class Area(Protocol):
    """Some pixels of an image."""

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        ...


@dataclass(frozen=True)
class Polygons:
    """The pixels of any of the outer rings and of none of the holes, by COCO's rule."""

    outer: tuple[Points, ...]
    holes: tuple[Points, ...] = ()

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        if len(self.outer) == 1 and not self.holes:
            return coco_polygon(self.outer[0], size)
        whole = np.zeros(size, bool)
        for rings, value in ((self.outer, True), (self.holes, False)):
            for ring in rings:
                coco_polygon(ring, size).set(whole, value)
        return Patch(0, 0, whole)


@dataclass(frozen=True)
class Figure:
    """A shape of LabelMe but its masks, by its own rule."""

    kind: str
    points: Points

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        return labelme_figure(self.kind, self.points, size)


@dataclass(frozen=True)
class Runs:
    """A window of pixels as lengths of runs, the first outside; row by row, or column by column as COCO has them."""

    top: int
    left: int
    size: tuple[int, int]
    counts: NDArray[np.int64]
    by_columns: bool = False

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        height, width = self.size
        if (self.counts < 0).any() or self.counts.sum() != height * width:
            raise DataError(f"run lengths of {self.counts.sum()} pixels for a mask of {height}x{width}; they are damaged")
        flat = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return Patch(self.top, self.left, flat.reshape(width, height).T if self.by_columns else flat.reshape(height, width))


@dataclass(frozen=True)
class Bitmap:
    """A small image, such as a PNG: what is not 0 there, of one with transparency what is not transparent."""

    top: int
    left: int
    content: bytes

    def patch(self, size: tuple[int, int]) -> Patch:
        """Return the pixels that it covers in an image of (height, width)."""
        try:
            with Image.open(io.BytesIO(self.content)) as image:
                if image.width * image.height > max(1, 4 * size[0] * size[1]):
                    raise DataError(f"a mask of {image.height}x{image.width} px in an image of {size[0]}x{size[1]}")
                # a palette may be transparent where its index is 0, so the alpha of RGBA only
                pixels = np.asarray(image.getchannel("A") if image.mode in ("RGBA", "LA") else image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"the image of a mask cannot be read ({error}); it is damaged") from error
        return Patch(self.top, self.left, pixels.astype(bool) if pixels.ndim == 2 else np.any(pixels.astype(bool), axis=2))


@dataclass(frozen=True)
class Shape:
    """An area of a class; ``order`` is greater the further in front it lies, ``crowd`` says that it has no ground truth."""

    name: str
    area: Area
    crowd: bool = False
    order: float = 0


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with its shapes.

    Parameters
    ----------
    file
        Its path: of a file that is there, or as the export calls it.
    size
        (height, width) as the export says; ``None`` where it does not.
    shapes
        Those behind first, but see ``largest_first``.
    split
        Which it belongs to; empty where the export does not say.
    largest_first
        Draw shapes by size, as they have no order.
    """

    file: str
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    split: str = ""
    largest_first: bool = False


@dataclass(frozen=True)
class Annotations:
    """What an export holds.

    Parameters
    ----------
    classes
        All that it names, in its order, without those that stand for background or ignore.
    images
        With their shapes.
    colors
        Those of classes that have one.
    notes
        What a person should know, with a count: what was left out, such as ``polyline, which has no area``, or is drawn coarsely.
    """

    classes: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    colors: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=Counter)

    def used(self) -> Counter[str]:
        """Return how many shapes each class has."""
        return Counter(shape.name for image in self.images for shape in image.shapes if not shape.crowd)


def class_names(names: list[str]) -> tuple[str, ...]:
    """Return names, each once, without those that stand for background or ignore."""
    return tuple(name for name in dict.fromkeys(names) if special_value(name) is None)


def special_value(name: str) -> int | None:
    """Return the value of what is no class: 255 for ``__ignore__``, 0 for names of the background; ``None`` for classes.

    Examples
    --------
    >>> [special_value(name) for name in ("__ignore__", "Background", "cat")]
    [255, 0, None]
    """
    plain = name.lower()
    return IGNORE if plain in IGNORED_NAMES else BACKGROUND if plain in BACKGROUND_NAMES else None


def numbered(classes: tuple[str, ...]) -> dict[str, int]:
    """Return a value for each class: 1, 2, 3 and so on, without 255.

    Examples
    --------
    >>> numbered(("cat", "dog"))
    {'cat': 1, 'dog': 2}
    """
    return {name: number + (number >= IGNORE) for number, name in enumerate(classes, start=1)}


def draw(image: AnnotatedImage, size: tuple[int, int], values: Mapping[str, int]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the mask (H, W) of an image, uint8, or uint16 when a value needs it.

    Parameters
    ----------
    image
        With its shapes.
    size
        (height, width) of the mask.
    values
        Of every class; crowds and what is called ``__ignore__`` are 255, what no shape covers is 0.

    Raises
    ------
    DataError
        For a class without a value, or a shape that cannot be drawn.
    """
    used = dict.fromkeys(shape.name for shape in image.shapes if not shape.crowd)
    found = {name: values.get(name, special_value(name)) for name in used}
    unknown = [name for name, value in found.items() if value is None]
    if unknown:
        raise DataError(f"{image.file}: no value is known for the class {some(unknown)}; there are {some(list(values))}")
    known = {name: value for name, value in found.items() if value is not None}
    target = np.zeros(size, np.uint8 if max(known.values(), default=0) < 256 else np.uint16)
    for shape in _ordered(image, size):
        value = IGNORE if shape.crowd else known[shape.name]
        try:
            shape.area.patch(size).set(target, value)
        except DataError as error:
            raise DataError(f"{image.file}: a shape of {shape.name} cannot be drawn: {error}") from error
    return target


def _ordered(image: AnnotatedImage, size: tuple[int, int]) -> list[Shape]:
    if not image.largest_first:
        return sorted(image.shapes, key=lambda shape: (not shape.crowd, shape.order))
    areas = [int(shape.area.patch(size).on(size).sum()) for shape in image.shapes]
    order = sorted(range(len(areas)), key=lambda place: (not image.shapes[place].crowd, -areas[place]))
    return [image.shapes[place] for place in order]


def merged(parts: list[Annotations]) -> Annotations:
    """Return several files of one export as one."""
    notes: Counter[str] = Counter()
    colors: dict[str, tuple[int, int, int]] = {}
    for part in parts:
        notes.update(part.notes)
        colors |= part.colors
    images = tuple(image for part in parts for image in part.images)
    return Annotations(class_names([name for part in parts for name in part.classes]), images, colors, notes)
