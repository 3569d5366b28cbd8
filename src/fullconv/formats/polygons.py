"""The regions of a label map as polygons along the pixels' edges; nothing is smoothed, so they hold exactly the map.

A region is a set of pixels of one label that hang together by their sides (4-connected). Its boundary is made of straight
sides; each is walked with the region on its right, so outer rings run clockwise in the image and the rings of holes
counterclockwise. Coordinates are those of pixel corners, x to the right and y down: the pixel in row i and column j is the
square from (j, i) to (j + 1, i + 1).

Letters: H W image, S straight sides, n vertices of a ring.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError
from fullconv.labels import LabelSet

Ints = NDArray[np.int64]

_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
"""Where each side of a pixel begins, walked clockwise, as (x, y) from its top left corner."""


@dataclass(frozen=True)
class Region:
    """Pixels of one label that hang together by their sides.

    Parameters
    ----------
    label
        Theirs.
    rings
        int64 (n, 2): the corners (x, y), each once, without any on a straight line. The first ring is the outer boundary and
        begins at the top left corner of the region's first pixel; the others are holes. No ring meets itself; where the
        region touches itself diagonally, two of its rings share that corner.
    area
        Number of pixels.
    """

    label: int
    rings: tuple[Ints, ...]
    area: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest upright rectangle around the region: left, top, width, height in pixels."""
        left, top = self.rings[0].min(axis=0).tolist()
        right, bottom = self.rings[0].max(axis=0).tolist()
        return left, top, right - left, bottom - top

    def crossings(self) -> tuple[Ints, Ints]:
        """Return columns x and heights y of all pixel edges of the boundary that lie level, each once.

        Going down a column of pixels, the region is entered and left by turns at these heights.
        """
        begin = np.concatenate(self.rings)
        end = np.concatenate([np.roll(ring, -1, axis=0) for ring in self.rings])
        level = begin[:, 1] == end[:, 1]
        left, length = np.minimum(begin, end)[level, 0], abs(end - begin)[level, 0]
        before = np.repeat(np.cumsum(length) - length, length)
        return np.repeat(left, length) + np.arange(length.sum()) - before, np.repeat(begin[level, 1], length)

    def mask(self) -> NDArray[np.bool_]:
        """Return bool (height, width) of :attr:`box`: where the region is."""
        left, top, width, height = self.box
        x, y = self.crossings()
        changes = np.zeros((height + 1, width), bool)
        changes[y - top, x - left] = True
        return np.logical_xor.accumulate(changes, axis=0)[:height]


def find_regions(labels: NDArray[np.integer]) -> list[Region]:
    """Return the 4-connected regions of a label map, in reading order of their first pixels; together they cover it.

    Parameters
    ----------
    labels
        Integers (H, W); every value is a label of its own.

    Raises
    ------
    DataError
        When ``labels`` has another number of axes, no pixels, or no integers.

    Examples
    --------
    >>> ring, hole = find_regions(np.array([[7, 7, 7], [7, 2, 7], [7, 7, 7]]))
    >>> ring.label, ring.area, [corners.tolist() for corners in ring.rings]
    (7, 8, [[[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 2], [2, 2], [2, 1], [1, 1]]])
    >>> hole.label, hole.box
    (2, (1, 1, 1, 1))
    """
    if labels.ndim != 2 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"regions are found in integers (H, W) with at least one pixel; got {labels.dtype} {labels.shape}")
    sides = _straight_sides(labels)
    order, begins = _walk(sides.next)
    touching = np.flatnonzero(sides.across >= 0)
    ring_of = _ring_of(order, begins)
    own = touching[ring_of[touching] == ring_of[sides.across[touching]]]
    if own.size:  # a ring that meets itself is cut there into an outer one and a hole, or two holes
        sides.next[own] = sides.across[own]
        order, begins = _walk(sides.next)
    corners = np.stack([sides.pixel % labels.shape[1], sides.pixel // labels.shape[1]], 1) + _CORNERS[sides.kind]
    areas = _signed_areas(corners[order], begins)
    owner = np.arange(len(begins))
    holes = np.flatnonzero(areas < 0)
    if holes.size:
        owner[holes] = _rings_around(labels, sides, order, begins, holes)
        while (inner := holes[areas[owner[holes]] < 0]).size:  # what lies above a hole may be another hole of the region
            owner[inner] = owner[owner[inner]]
    return _collect(corners[order], begins, owner, areas, labels.ravel()[sides.pixel[order[begins]]])


def find_objects(labels: NDArray[np.integer], label_set: LabelSet) -> list[Region]:
    """Return the regions of a label map (H, W) that annotation files hold: all but a class ``background`` and what has no class.

    Examples
    --------
    >>> from fullconv.labels import VOC
    >>> [region.label for region in find_objects(np.array([[0, 15, 255, 15]]), VOC)]
    [15, 15]
    """
    annotated = {k for k, name in enumerate(label_set.names) if name != "background"}
    return [region for region in find_regions(labels) if region.label in annotated]


class _Sides(NamedTuple):
    """Maximal straight pieces of boundary, each (S,): kind by kind from the top sides on, the top sides in reading order."""

    kind: Ints  # top, right, bottom or left of its pixels
    pixel: Ints  # at which it begins, row · W + column
    next: Ints  # side that follows it around the region
    across: Ints  # side that begins where it ends but belongs to a pixel diagonally opposite, of the same label; or -1


def _straight_sides(labels: NDArray[np.integer]) -> _Sides:
    pixels = np.arange(labels.size, dtype=np.int32).reshape(
        labels.shape
    )  # half the memory, and more pixels than fit no PIL image has
    begins_at = np.empty((4, labels.size), np.int32)  # only read where it was written
    kinds, firsts, goals, opposites = [], [], [], []
    count = 0
    for kind in range(4):  # turned so that this side of every pixel is on top and walked from left to right
        seen, index = np.rot90(labels, kind), np.rot90(pixels, kind)
        edge = _top_edges(seen)
        begins = _run_begins(seen, edge)
        ahead = np.zeros(seen.shape, bool)
        ahead[:, :-1] = seen[:, :-1] == seen[:, 1:]
        ends = edge.copy()
        ends[:, :-1] &= ~(edge[:, 1:] & ahead[:, :-1])
        diagonal = np.full(seen.shape, -1, np.int32)  # the pixel ahead and one up, where it has the same label
        diagonal[1:, :-1] = np.where(seen[1:, :-1] == seen[:-1, 1:], index[:-1, 1:], -1)
        first, last, opposite, onward = index[begins], index[ends], diagonal[ends], ahead[ends]
        begins_at[kind, first] = np.arange(count, count + len(first))
        count += len(first)
        left, right = (kind + 3) % 4 * labels.size, (kind + 1) % 4 * labels.size
        kinds.append(np.full(len(first), kind))
        firsts.append(first)
        goals.append(np.where(onward, left + opposite, right + last))
        opposites.append(np.where(~onward & (opposite >= 0), left + opposite, -1))
    goal, opposite = np.concatenate(goals), np.concatenate(opposites)
    table = begins_at.ravel()
    return _Sides(np.concatenate(kinds), np.concatenate(firsts), table[goal], np.where(opposite >= 0, table[opposite], -1))


def _top_edges(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return where a pixel's upper neighbour has another label, or there is none."""
    edge = np.ones(labels.shape, bool)
    edge[1:] = labels[1:] != labels[:-1]
    return edge


def _run_begins(labels: NDArray[np.integer], edge: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels at which a straight top side begins."""
    begins = edge.copy()
    begins[:, 1:] &= ~(edge[:, :-1] & (labels[:, 1:] == labels[:, :-1]))
    return begins


def _walk(following: Ints) -> tuple[Ints, Ints]:
    """Return the sides ring by ring in the order of a walk, (S,), and where in it each ring begins."""
    ahead = following.tolist()  # a plain list is walked faster than an array
    order: list[int] = []
    begins = []
    for start in range(len(ahead)):
        if ahead[start] < 0:
            continue
        begins.append(len(order))
        side = start
        while ahead[side] >= 0:
            order.append(side)
            ahead[side], side = -1, ahead[side]
    return np.array(order), np.array(begins)


def _ring_of(order: Ints, begins: Ints) -> Ints:
    """Return the number of the ring of each side, (S,)."""
    ring = np.empty(len(order), np.int64)
    ring[order] = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(order)))
    return ring


def _signed_areas(points: Ints, begins: Ints) -> Ints:
    """Return the area in pixels inside each ring, negative for holes: the shoelace formula."""
    following = np.arange(1, len(points) + 1)
    following[np.append(begins[1:], len(points)) - 1] = begins
    (x, y), (x1, y1) = points.T, points[following].T
    return np.add.reduceat(x * y1 - x1 * y, begins) // 2


def _rings_around(labels: NDArray[np.integer], sides: _Sides, order: Ints, begins: Ints, holes: Ints) -> Ints:
    """Return for each hole the ring that is met first on the way up through the region from the hole's topmost edge."""
    below = np.where(sides.kind == _BOTTOM, sides.pixel, labels.size)[order]
    pixel = np.minimum.reduceat(below, begins)[holes]
    edge = _top_edges(labels)
    rows = np.maximum.accumulate(np.where(edge, np.arange(len(labels))[:, None], 0), axis=0)
    width = labels.shape[1]
    highest = rows.ravel()[pixel] * width + pixel % width
    top_side = np.cumsum(_run_begins(labels, edge))[highest] - 1  # top sides are numbered in reading order from 0
    return _ring_of(order, begins)[top_side]


def _collect(points: Ints, begins: Ints, owner: Ints, areas: Ints, labels: NDArray[np.integer]) -> list[Region]:
    rings: dict[int, list[Ints]] = {}
    sizes: dict[int, int] = {}
    pieces = list(zip(begins.tolist(), np.append(begins[1:], len(points)).tolist(), owner.tolist(), areas.tolist(), strict=True))
    for begin, end, region, area in sorted(pieces, key=lambda piece: piece[3] < 0):  # outer rings first, in reading order
        rings.setdefault(region, []).append(points[begin:end])
        sizes[region] = sizes.get(region, 0) + area
    return [Region(int(labels[ring]), tuple(parts), sizes[ring]) for ring, parts in rings.items()]
