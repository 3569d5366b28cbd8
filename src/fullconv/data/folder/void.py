"""Whether 255, which often has no ground truth and often is white, is a class."""

from collections.abc import Sequence

from fullconv.data.folder.contents import Contents
from fullconv.labels import VOID_COLOR

TOPS = (255, 65535)
"""The largest values of 8 and of 16 bits."""
SOLID_VOID = 0.5
"""The share of its pixels with like neighbours from which on a value is no border, and of all pixels that void rarely has."""


def covers_objects(contents: Contents, values: Sequence[int], top: int) -> bool:
    """Return whether ``top`` fills areas and has more pixels than all ``values`` but 0, and no palette draws it as void."""
    count = contents.pixels[top]
    fills = contents.solid.get(top, 0) > SOLID_VOID * count
    objects = sum(contents.pixels[value] for value in values if value not in (0, top))
    return fills and count > objects and contents.palette.get(top) != VOID_COLOR


def evenly_spread(values: Sequence[int]) -> bool:
    """Return whether values are spread from 0 to the last in equal steps, as classes are where they are to be seen.

    Examples
    --------
    >>> evenly_spread([0, 128, 255]), evenly_spread([0, 85, 170, 255]), evenly_spread([0, 1, 255])
    (True, True, False)
    """
    if len(values) < 3 or values[0] != 0 or values[1] < len(values):
        return False
    return all(abs(value - place * values[-1] / (len(values) - 1)) <= 1 for place, value in enumerate(values))
