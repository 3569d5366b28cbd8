"""How coarse logits are brought onto finer ones and onto the image: kernels, crops and padding, from the geometry alone.

An :class:`Alignment` is computed from where the trunk's maps lie on the image (:class:`fullconv.geometry.axis.Place`). Nothing
here knows a backbone; the crops of the reference implementation (its ``caffe/coord_map.py``) come out of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Place, Transposed, aligned_deconvolution

PIXELS = Place(Fraction(1), Fraction(0))
LONGEST = 4096
"""In pixels: up to here the shortest padded side is looked for."""


@dataclass(frozen=True)
class Step:
    """One upsampling: logits at ``source`` become logits on the grid of ``target``.

    Parameters
    ----------
    source, target
        Where the coarse logits and the finer map (or the image's pixels) lie.
    kernel, factor
        Of the deconvolution.
    crop
        Index of the upsampled logits that lies on index 0 of the finer map; below 0, so many entries of the finer map
        come before the first upsampled one and are cut from it.
    """

    source: Place
    target: Place
    kernel: int
    factor: int
    crop: int

    @property
    def starts(self) -> tuple[int, int]:
        """First index that is kept of the upsampled logits and of the finer map."""
        return max(self.crop, 0), max(-self.crop, 0)

    @property
    def result(self) -> Place:
        """Where the joined logits lie."""
        return Place(self.target.stride, self.target.offset + self.starts[1] * self.target.stride)

    def size(self, coarse: int, fine: int | None) -> int:
        """Return how many entries the joined logits have; ``None`` stands for a finer map without an end."""
        upsampled = Transposed(self.kernel, self.factor).size(coarse) - self.starts[0]
        return upsampled if fine is None else min(upsampled, fine - self.starts[1])


@dataclass(frozen=True)
class Padding:
    """Zeros in front of an image side and behind it, so that logits cover every pixel.

    A padded side is ``smallest`` pixels long, or as many whole periods more as the image needs. So the trunk's maps grow by whole
    entries and few sizes occur inside the net; where a net is exported or compiled for every size and an image side is a symbol,
    all sizes stay linear in one number.

    Parameters
    ----------
    before
        Zeros in front, in pixels, so that the first pixel lies inside the cell of a first output.
    smallest
        The shortest padded side in pixels; every map then has two entries at least, as compilers take a 1 for a constant.
    covers
        The longest image side that it holds, in pixels.
    period
        In pixels; 0 for nets that need no padding at all (the reference's, whose first layer pads by 100 px itself).
    """

    before: int = 0
    smallest: int = 0
    covers: int = 0
    period: int = 0

    def behind(self, side: int) -> int:
        """Return the zeros behind a side of ``side`` pixels, which may be a ``torch.SymInt``."""
        if not self.period:
            return 0
        periods = (side - self.covers + self.period - 1) // self.period
        # while PyTorch compiles, a side looks like an int, of which 2.11 does not take sym_max; while it exports, it is a symbol
        some = max(periods, 0) if isinstance(periods, int) else torch.sym_max(periods, 0)
        return self.smallest + self.period * some - self.before - side


@dataclass(frozen=True)
class Alignment:
    """The plan of an FCN's upsampling path, the same on both axes; from :func:`align`.

    Attributes
    ----------
    places
        Where the trunk's maps lie on the unpadded image, coarse to fine.
    steps
        Upsamplings, coarse to fine; the last one leads to the image's pixels.
    padding
        What an image is padded with before it goes through the trunk.
    """

    places: tuple[Place, ...]
    steps: tuple[Step, ...]
    padding: Padding


def align(places: Sequence[Place], sizes: Callable[[int], Sequence[int]]) -> Alignment:
    """Return how the maps of a trunk are upsampled onto each other and onto the image.

    Parameters
    ----------
    places
        Where the maps lie, coarse to fine.
    sizes
        Gives the maps' sizes, coarse to fine, and behind them those of all other maps inside the trunk, for an image side; raises
        GeometryError when it is too small.

    Raises
    ------
    GeometryError
        When two maps cannot be aligned by a bilinear deconvolution, or the logits start inside the image.

    Examples
    --------
    A trunk of one map at stride 4, as two 2x2 poolings give it:

    >>> plan = align([Place(Fraction(4), Fraction(3, 2))], lambda side: [side // 4])
    >>> plan.steps[0].kernel, plan.steps[0].crop, [plan.padding.behind(side) for side in (1, 4, 5)]
    (8, 2, [7, 4, 3])
    """
    before = max(0, *(math.ceil(place.offset - place.stride / 2) for place in places))
    moved = tuple(Place(place.stride, place.offset - before) for place in places)
    steps = _steps(moved)
    return Alignment(moved, steps, _padding(before, moved, steps, sizes))


def _steps(places: Sequence[Place]) -> tuple[Step, ...]:
    steps: list[Step] = []
    current = places[0]
    for target in (*places[1:], PIXELS):
        try:
            kernel, crop = aligned_deconvolution(current, target)
        except ValueError as error:
            raise GeometryError(f"the maps of this backbone cannot be aligned: {error}") from error
        steps.append(Step(current, target, kernel, (current.stride / target.stride).numerator, crop))
        current = steps[-1].result
    if steps[-1].crop < 0:
        raise GeometryError(f"the logits start {-steps[-1].crop} px inside the image; pad the backbone's convolutions")
    return tuple(steps)


def _padding(before: int, places: Sequence[Place], steps: Sequence[Step], sizes: Callable[[int], Sequence[int]]) -> Padding:
    """Return the padding with which every pixel lies in the cell of an output; see :class:`Padding`."""
    period = math.ceil(max(place.stride for place in places))

    def holds(padded: int, entries: int = 2) -> int:
        """Return the longest side that can be padded to ``padded``; 0 when a map has fewer than so many entries."""
        try:
            found = sizes(padded)
        except GeometryError:
            return 0
        return min(_covered(found[: len(places)], places, steps), padded - before) if min(found) >= entries else 0

    if not before and all(holds(side, 1) == side for side in range(1, 2 * period + 1)):
        return Padding()
    first = next((padded for padded in range(1, LONGEST) if holds(padded) > 0), None)
    if first is None:
        raise GeometryError(f"no image side up to {LONGEST} px leaves two entries in every map; use a backbone of fewer layers")
    # of all phases that one which wastes least
    smallest = max(range(first, first + period), key=lambda padded: holds(padded) - padded)
    if any(holds(smallest + k * period) != holds(smallest) + k * period for k in (1, 2, 3)):
        raise GeometryError(f"this backbone's maps do not grow by whole entries with every {period} px; use another backbone")
    return Padding(before, smallest, holds(smallest), period)


def _covered(counts: Sequence[int], places: Sequence[Place], steps: Sequence[Step]) -> int:
    """Return how many pixels from the first on lie in the cell of an output, at every level; ``counts`` are the maps' sizes."""
    current = counts[0]
    covered = _pixels(places[0], current)
    for step, fine in zip(steps, [*counts[1:], None], strict=True):
        current = step.size(current, fine)
        covered = min(covered, _pixels(step.result, current))
    return covered


def _pixels(place: Place, count: int) -> int:
    """Return how many pixels from the first on come before the end of the last of ``count`` cells."""
    return max(math.floor(place.offset + place.stride * (count - 1) + place.stride / 2) + 1, 0) if count > 0 else 0
