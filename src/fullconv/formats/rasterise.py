"""Polygons and figures to pixels, exactly as COCO's and LabelMe's own tools draw them.

COCO's rule (``rleFrPoly`` in cocoapi's ``maskApi.c``): corners are rounded on a grid five times as fine as the pixels, the
boundary is walked on that grid, and in each column of pixels the heights at which the boundary passes its middle are where the
polygon is entered and left. Corners of pixels at whole numbers are drawn without loss.

LabelMe's rule (``shape_to_mask`` in its ``utils/shape.py``): Pillow's ``ImageDraw`` with the outline, so that pixels which the
outline touches belong to the figure. Lines are 10 px wide, a point is a disc of radius 5.

Letters: H W image, n corners, m steps of the walk.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fullconv.errors import DataError

Points = NDArray[np.float64]
"""Corners (n, 2): x to the right, y down, in pixels from the top left corner of the image."""
FINE = 5
"""Steps of COCO's grid in a pixel."""
LINE_WIDTH, POINT_RADIUS = 10, 5
"""LabelMe's, in pixels."""


class Patch(NamedTuple):
    """A part of an image: bool (h, w), and where its first pixel lies."""

    top: int
    left: int
    pixels: NDArray[np.bool_]

    def on(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return bool (H, W) of an image; what lies outside is cut off."""
        whole = np.zeros(size, bool)
        self.set(whole, True)
        return whole

    def set(self, target: NDArray[np.generic], value: int) -> None:
        """Set the patch's pixels of ``target`` (H, W) to a value; what lies outside is cut off."""
        height, width = self.pixels.shape
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + height, target.shape[0]), min(self.left + width, target.shape[1])
        if top < bottom and left < right:
            part = self.pixels[top - self.top : bottom - self.top, left - self.left : right - self.left]
            target[top:bottom, left:right][part] = value


def coco_polygon(points: Points, size: tuple[int, int]) -> Patch:
    """Return the pixels of a polygon by COCO's rule.

    Parameters
    ----------
    points
        Float (n, 2), the corners x, y; they may lie outside the image.
    size
        (height, width) of the image.

    Examples
    --------
    >>> coco_polygon(np.array([[1, 1], [3, 1], [3, 2], [1, 2.0]]), (3, 4)).on((3, 4)).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    height, width = size
    u, v = _walk(np.trunc(FINE * points + 0.5).astype(np.int64))
    moved = np.flatnonzero(u[1:] != u[:-1]) + 1
    column = (np.minimum(u[moved], u[moved - 1]) + 0.5) / FINE - 0.5  # the middle of a pixel's column is a whole number here
    passes = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    x = column[passes].astype(np.int64)
    row = (np.minimum(v[moved], v[moved - 1])[passes] + 0.5) / FINE - 0.5
    y = np.ceil(row.clip(0, height)).astype(np.int64)
    if not x.size:
        return Patch(0, 0, np.zeros((0, 0), bool))
    left, columns = int(x.min()), int(np.ptp(x)) + 1
    changes = np.bincount((x - left) * height + y, minlength=columns * height + 1) % 2
    inside = np.cumsum(changes[: columns * height]) % 2 == 1
    return Patch(0, left, inside.reshape(columns, height).T)


def _walk(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the columns and rows of the fine grid, (m,), that the closed boundary passes, side by side."""
    begin, end = corners, np.roll(corners, -1, axis=0)
    span = np.abs(end - begin)
    level = span[:, 0] >= span[:, 1]  # sides that go further across than down are walked column by column
    along = np.where(level, 0, 1)
    each = np.arange(len(corners))
    turned = begin[each, along] > end[each, along]  # COCO computes every side from its smaller end
    first, last = np.where(turned[:, None], end, begin), np.where(turned[:, None], begin, end)
    length = span[each, along]
    rise = last[each, 1 - along] - first[each, 1 - along]
    slope = np.divide(rise, length, out=np.zeros(len(corners)), where=length > 0)
    count = length + 1
    side = np.repeat(each, count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    step = np.where(turned[side], length[side] - step, step)
    main = first[side, along[side]] + step
    other = np.trunc(first[side, 1 - along[side]] + slope[side] * step + 0.5).astype(np.int64)
    return np.where(level[side], main, other), np.where(level[side], other, main)


def labelme_figure(kind: str, points: Points, size: tuple[int, int]) -> Patch:
    """Return the pixels of a LabelMe shape by its own rule.

    Parameters
    ----------
    kind
        ``polygon``, ``rectangle``, ``oriented_rectangle``, ``circle``, ``line``, ``linestrip`` or ``point``.
    points
        Float (n, 2): the corners; of a rectangle two opposite ones; of a circle its centre and a point on it.
    size
        (height, width) of the image.

    Raises
    ------
    DataError
        For another kind, or a number of points that the kind does not have.

    Examples
    --------
    >>> labelme_figure("rectangle", np.array([[1, 0], [2, 1.0]]), (3, 4)).pixels.astype(int).tolist()
    [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    height, width = size
    least, most = POINTS.get(kind, (0, 0))
    if not most:
        raise DataError(f"the shape {kind!r} is not known; LabelMe has mask, {', '.join(POINTS)}")
    if not least <= len(points) <= most:
        raise DataError(f"a {kind} with {len(points)} points; it has {least}{'' if least == most else ' or more'}")
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    corners = [(float(x), float(y)) for x, y in points]
    (x, y), (x1, y1) = corners[0], corners[-1]
    if kind == "rectangle":
        draw.rectangle((min(x, x1), min(y, y1), max(x, x1), max(y, y1)), fill=1, outline=1)
    elif kind in ("circle", "point"):
        radius = math.sqrt((x - x1) ** 2 + (y - y1) ** 2) if kind == "circle" else POINT_RADIUS
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
    elif kind in ("line", "linestrip"):
        draw.line(corners, fill=1, width=LINE_WIDTH)
    else:
        draw.polygon(corners, fill=1, outline=1)
    return Patch(0, 0, np.asarray(image).astype(bool))


POINTS = {
    "polygon": (3, 1 << 30),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, 1 << 30),
    "point": (1, 1),
}
"""How many points LabelMe's shapes have at least and at most."""


def ellipse_points(center: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0, corners: int = 64) -> Points:
    """Return an ellipse as a polygon (n, 2), turned clockwise in the image; inside by less than a thousandth of its radius."""
    angle = np.arange(corners) * (2 * math.pi / corners)
    points = np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)], 1)
    return turned(points, degrees) + np.array(center)


def box_points(left: float, top: float, right: float, bottom: float, degrees: float = 0.0, pivot: str = "center") -> Points:
    """Return a box as a polygon (4, 2), turned clockwise in the image about its ``center`` or its ``corner`` left and top."""
    points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    about = points.mean(0) if pivot == "center" else points[0]
    return turned(points - about, degrees) + about


def turned(points: Points, degrees: float) -> Points:
    """Return points turned about (0, 0), clockwise as the image is seen."""
    if not degrees:
        return points
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return points @ np.array([[cosine, sine], [-sine, cosine]])
