"""What holds for annotations of every format once they are read: names without spaces around them, corners in pixels."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.annotations import AnnotatedImage, Annotations, Figure, Polygons, class_names
from fullconv.formats.rasterise import Points

SLACK = 0.05
"""Pixels by which corners in shares of an image may lie outside of it."""
WITHIN = 1 / 32
"""A pixel's share at its sides: regions of a single pixel have their corners there, those in shares of an image do not."""


def settled(found: Annotations, path: Path) -> Annotations:
    """Return annotations whose names have no spaces around them.

    Raises
    ------
    DataError
        When all polygons of an image lie within one pixel, as corners from 0 to 1 do.
    """
    for image in found.images:
        _refuse_shares(image, path)
    images = tuple(
        replace(image, shapes=tuple(replace(shape, name=shape.name.strip()) for shape in image.shapes)) for image in found.images
    )
    colors = {name.strip(): color for name, color in found.colors.items()}
    return replace(found, classes=class_names([name.strip() for name in found.classes]), images=images, colors=colors)


def _refuse_shares(image: AnnotatedImage, path: Path) -> None:
    rings = [ring for shape in image.shapes for ring in _corners(shape.area)]
    if not rings:
        return
    corners = np.concatenate(rings)
    apart = (corners > WITHIN) & (corners < 1 - WITHIN)
    if (corners >= -SLACK).all() and (corners <= 1 + SLACK).all() and apart.any():
        x, y = corners.max(0)
        raise DataError(
            f"{path}: all polygons of {image.file} lie within one pixel (x up to {x:.3g}, y up to {y:.3g}), so they look "
            "normalised to 0..1; export them in pixels, or multiply x by the width and y by the height of the image"
        )


def _corners(area: object) -> Iterable[Points]:
    if isinstance(area, Polygons):
        return area.outer
    return (area.points,) if isinstance(area, Figure) and area.kind != "point" else ()


def same_but_case(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that differ by case only.

    Examples
    --------
    >>> same_but_case(["Cat", "dog", "cat"])
    [('Cat', 'cat')]
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(name.casefold(), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
