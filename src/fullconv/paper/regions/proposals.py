"""Region proposals: an image is grouped into small segments, neighbours are merged until one is left; every group is a region.

Selective search (Uijlings, van de Sande, Gevers, Smeulders, IJCV 2013, section 3.1) on the graph-based grouping of Felzenszwalb
and Huttenlocher (IJCV 2004), with its colour, size and fill similarities. Texture and its many colour spaces are left out.

Letters: H height, W width, S segments.
"""

import functools
import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fullconv.errors import SpecError

SCALE, SIGMA, LEAST = 100, 0.8, 20
"""Of the grouping: preference for large segments, smoothing in pixels, the smallest segment in pixels."""
BINS = 25


@dataclass(frozen=True)
class Proposals:
    """The regions of an image.

    Parameters
    ----------
    segments
        int64 (H, W): the finest grouping, numbers 0 to S - 1.
    members
        bool (N, S): which segments make up each region, the whole image first, then from the latest merge to the first, then the
        segments themselves.
    """

    segments: NDArray[np.int64]
    members: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.members)

    def mask(self, region: int) -> NDArray[np.bool_]:
        """Return the pixels (H, W) of a region."""
        return self.members[region][self.segments]

    def box(self, region: int) -> tuple[int, int, int, int]:
        """Return top, left, bottom, right of a region, the latter two exclusive."""
        boxes = self._boxes[self.members[region]]
        (top, left), (bottom, right) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        return int(top), int(left), int(bottom), int(right)

    @functools.cached_property
    def _boxes(self) -> NDArray[np.int64]:
        """The boxes (S, 4) of the segments."""
        found = ndimage.find_objects(self.segments + 1)
        return np.array([(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in found])


def propose(image: NDArray[np.uint8], most: int) -> Proposals:
    """Return at most ``most`` regions of an image uint8 (H, W, 3), the latest merges first, which are most of the large ones.

    Raises
    ------
    SpecError
        When scikit-image is not installed.
    """
    segments = _segments(image)
    return Proposals(segments, _merged(segments, image)[:most])


def _segments(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise SpecError("region proposals need scikit-image: pip install 'fullconv[regions]'") from error
    return np.asarray(felzenszwalb(image, scale=SCALE, sigma=SIGMA, min_size=LEAST), np.int64)


@dataclass
class _Group:
    """Segments that were merged: which, their pixels, their colours' histogram, and their box."""

    members: NDArray[np.bool_]
    size: int
    colors: NDArray[np.float64]
    box: tuple[int, int, int, int]
    neighbours: set[int]

    def joined(self, other: "_Group") -> "_Group":
        size = self.size + other.size
        top, left, bottom, right = zip(self.box, other.box, strict=True)
        return _Group(
            self.members | other.members,
            size,
            (self.colors * self.size + other.colors * other.size) / size,
            (min(top), min(left), max(bottom), max(right)),
            self.neighbours | other.neighbours,
        )

    def likeness(self, other: "_Group", pixels: int) -> float:
        """Return the similarity, 0 to 3: of colours, how small both are, and how well they fill their common box."""
        top, left, bottom, right = zip(self.box, other.box, strict=True)
        around = (max(bottom) - min(top)) * (max(right) - min(left))
        both = self.size + other.size
        return float(np.minimum(self.colors, other.colors).sum()) + 2 - both / pixels - (around - both) / pixels


def _merged(segments: NDArray[np.int64], image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the members of every group: always the two most alike neighbours are merged next."""
    groups = dict(enumerate(_groups(segments, image)))
    singles, pixels = len(groups), segments.size
    waiting = [
        (-group.likeness(groups[other], pixels), number, other)
        for number, group in groups.items()
        for other in group.neighbours
        if number < other
    ]
    heapq.heapify(waiting)
    alive = set(groups)
    while waiting:
        _, first, second = heapq.heappop(waiting)
        if first not in alive or second not in alive:
            continue
        new, number = groups[first].joined(groups[second]), len(groups)
        alive -= {first, second}
        new.neighbours &= alive
        for other in new.neighbours:
            groups[other].neighbours.add(number)
            heapq.heappush(waiting, (-new.likeness(groups[other], pixels), other, number))
        groups[number] = new
        alive.add(number)
    order = [*range(len(groups) - 1, singles - 1, -1), *range(singles)]
    return np.stack([groups[number].members for number in order])


def _groups(segments: NDArray[np.int64], image: NDArray[np.uint8]) -> list[_Group]:
    count = int(segments.max()) + 1
    sizes = np.bincount(segments.ravel(), minlength=count)
    histograms = np.zeros((count, 3 * BINS))
    for channel in range(3):
        binned = image[..., channel].astype(np.int64) * BINS // 256 + channel * BINS
        np.add.at(histograms, (segments, binned), 1)
    histograms /= 3 * sizes[:, None]
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for one, other in ((segments[1:], segments[:-1]), (segments[:, 1:], segments[:, :-1])):
        for a, b in np.unique(np.stack([one[one != other], other[one != other]], 1), axis=0).tolist():
            neighbours[a].add(b)
            neighbours[b].add(a)
    return [
        _Group(np.arange(count) == number, int(sizes[number]), histograms[number], box, neighbours[number])
        for number, box in enumerate(_boxes(segments, count))
    ]


def _boxes(segments: NDArray[np.int64], count: int) -> list[tuple[int, int, int, int]]:
    edges: list[Any] = []
    for place in np.indices(segments.shape):
        low, high = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
        np.minimum.at(low, segments, place)
        np.maximum.at(high, segments, place + 1)
        edges.append((low, high))
    (top, bottom), (left, right) = edges
    return [tuple(map(int, box)) for box in zip(top, left, bottom, right, strict=True)]  # type: ignore[misc]  # four of each
