"""What the depth map of a pair showed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.data.depth.depth import read_depth
from fullconv.errors import DataError

MISSING = "there is no depth map of its name"


@dataclass(frozen=True)
class DepthFacts:
    """What a depth map held.

    Attributes
    ----------
    path
        Its file.
    size
        (height, width) in pixels.
    median
        In metres, holes left out.
    holes
        Their share, 0 to 1.
    """

    path: Path
    size: tuple[int, int]
    median: float
    holes: float


def depth_facts(path: Path | None, unit: str | float) -> DepthFacts | str:
    """Return what a depth map holds, or why it cannot be read: :data:`MISSING` for no file."""
    if path is None or not path.is_file():
        return MISSING
    try:
        depth = read_depth(path, unit)
    except DataError as error:
        return str(error)
    known = depth[depth > 0]
    return DepthFacts(path, (depth.shape[0], depth.shape[1]), float(np.median(known)), 1 - known.size / depth.size)
