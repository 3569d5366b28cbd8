"""Which values of masks fill areas and so are classes, where JPEG or smooth resizing has left others along borders."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

SOLID = 0.3
"""The share of a class's pixels whose neighbours are of it, from which on it fills areas."""
FILLS, FILLS_OF_ALL = 0.1, 5e-4
"""The same for values that borders of others add to: of their own pixels and of all. JPEG leaves 0.05 at quality 30, smoothing
nothing."""
JPEG_ERROR = 16
"""So far JPEG moves values beside borders, and all values of an area at low quality."""
REST = 4
"""So far values of areas lie from where they were in PNG, of what once was JPEG."""


def areas(pixels: Mapping[int, int], solid: Mapping[int, int]) -> list[int]:
    """Return the codes that fill areas, in the order of ``pixels``; of smooth masks the classes.

    Parameters
    ----------
    pixels
        Of every code.
    solid
        Of every code the pixels whose four neighbours have it too.

    Examples
    --------
    >>> areas({0: 900, 60: 20, 128: 50, 255: 30}, {0: 850, 128: 12})
    [0, 128]
    """
    of_all = FILLS_OF_ALL * sum(pixels.values())
    return [code for code, count in pixels.items() if solid.get(code, 0) > max(FILLS * count, min(SOLID * count, of_all))]


def with_ends(filled: Sequence[int], pixels: Mapping[int, int]) -> list[int]:
    """Return values that fill areas, and the least and largest of all where they lie far beyond: of an object too small to fill.

    Mixtures lie between the values that they are of, but for what JPEG and bicubic resizing swing beyond: a quarter of the way.

    Examples
    --------
    >>> with_ends([0, 128], {0: 900, 60: 20, 128: 50, 150: 3}), with_ends([0, 128], {0: 900, 128: 50, 255: 8})
    ([0, 128], [0, 128, 255])
    """
    if len(filled) < 2:
        return list(filled)
    low, high, least, largest = min(filled), max(filled), min(pixels), max(pixels)
    beyond = (high - low) / 4
    return [*([least] if least < low - beyond else []), *filled, *([largest] if largest > high + beyond else [])]


def lost_in_jpeg(pixels: Mapping[int, int], solid: Mapping[int, int]) -> tuple[int, int] | None:
    """Return two values of JPEG masks that are so near each other that JPEG turns one into the other; ``None`` without any.

    A mask that holds nothing but values within :data:`JPEG_ERROR` is of that kind whatever it holds: of 0 and 1 a quality of 50
    leaves 0.

    Examples
    --------
    >>> lost_in_jpeg({0: 900, 1: 80, 2: 3}, {0: 850, 1: 60}), lost_in_jpeg({0: 900, 3: 9, 255: 80}, {0: 850, 255: 60})
    ((0, 2), None)
    """
    low, high = min(pixels, default=0), max(pixels, default=0)
    if 0 <= low <= high <= JPEG_ERROR:
        return low, high
    return _nearest(areas(pixels, solid))


def _nearest(codes: Iterable[int]) -> tuple[int, int] | None:
    values = sorted(code for code in codes if 0 <= code <= 65535)
    pairs = [pair for pair in pairwise(values) if pair[1] - pair[0] <= JPEG_ERROR]
    return min(pairs, key=lambda pair: pair[1] - pair[0], default=None)
