"""How far each stage is ahead of what is put out, so that every one of them goes on by as much from band to band.

An image is put out in bands, each of some strips. For its last row a band needs rows of the maps further down, as far as the net
reaches; they are computed in chunks of a few rows. Chunks lie so that one of each stage ends where a band's needs end, and the
stage behind it finds what its own chunk reads and no row more. Then each stage computes as many rows for a band as the band has
(in entries of its own map), and between two bands nothing is kept but what is read twice: a convolution's few rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fullconv.geometry.tiles import AxisPlan
from fullconv.nn.align import Step
from fullconv.nn.stages import Joining, Stage

STRIP = 256
"""Rows of the image that are put out at once."""
FAR = 4096
"""Bands that lie in front of and behind the place where needs are looked at, so that no border is near."""


@dataclass(frozen=True)
class Ahead:
    """How many rows of a stage's map are made when a row of the image is put out.

    Parameters
    ----------
    rows
        When the image's first row is about to be put out: as far as the stages behind it reach.
    stride
        Of the map on the image.
    """

    rows: int
    stride: int

    def at(self, row: int) -> int:
        """Return how many are made when the image's rows above ``row`` are put out."""
        return self.rows + row // self.stride

    def bands(self, band: int) -> int:
        """Return how many bands before the image's first row the stage begins, so that none takes more than others."""
        return -(-self.rows * self.stride // band)


def ahead_of(stages: Sequence[Stage], steps: tuple[Step, ...], chunks: Sequence[int], band: int) -> list[Ahead]:
    """Return how far each stage is ahead.

    Parameters
    ----------
    stages
        Of a trunk.
    steps
        Of the alignment of its levels, coarse to fine.
    chunks
        Rows that each stage computes at once.
    band
        Rows of the image in a band.
    """
    strides, plans, levels = [], [], {}
    stride = 1
    for stage in stages:
        place = stage.geometry.place(-1)
        assert place is not None  # a map has one
        stride *= int(place.stride)
        strides.append(stride)
    row = FAR * band * stride  # a multiple of every stride
    side = 2 * row
    for stage in stages:
        plans.append(AxisPlan(stage.geometry, 0, side + 2 * stage.around))
        side = plans[-1].size
        if stage.level is not None:
            levels[stage.level] = side
    _, needs = Joining(steps, [levels[level] for level in sorted(levels)]).window(row - band, row)
    found, end = [], 0
    for i in range(len(stages) - 1, -1, -1):
        level = stages[i].level
        end = max(end, needs[level][1]) if level is not None else end
        found.append(Ahead(end - row // strides[i], strides[i]))
        end = plans[i].span(end - chunks[i], end).end - stages[i].around
    return found[::-1]
