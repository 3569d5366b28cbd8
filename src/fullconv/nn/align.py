"""How coarse logits are brought onto finer ones and onto the image: kernels, crops and padding, from the geometry alone.

An :class:`Alignment` is computed from where the trunk's maps lie on the image (:class:`fullconv.geometry.axis.Place`). Nothing
here knows a backbone; the crops of the reference implementation (its ``caffe/coord_map.py``) come out of it.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Place, Transposed, aligned_deconvolution

PIXELS = Place(Fraction(1), Fraction(0))


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

    def size(self, coarse: int | None, fine: int | None) -> int | None:
        """Return how many entries the joined logits have; ``None`` stands for a map without an end."""
        upsampled = None if coarse is None else Transposed(self.kernel, self.factor).size(coarse) - self.starts[0]
        skip = None if fine is None else fine - self.starts[1]
        return min((n for n in (upsampled, skip) if n is not None), default=None)


@dataclass(frozen=True)
class Sawtooth:
    """What the cells of one map ask for: ``(phase - n) mod period - slack`` zeros behind a side of ``n`` pixels."""

    period: int
    phase: int
    slack: int


@dataclass(frozen=True)
class Padding:
    """Zeros in front of an image side and behind it: the least with which logits cover every pixel, as a closed form.

    Behind a side of ``n`` pixels come the most zeros that ``least``, ``smallest - n`` or a sawtooth asks for: a closed form,
    because a side may be a symbol when a net is exported or compiled for every size.

    Parameters
    ----------
    before
        Zeros in front, in pixels, so that the first pixel lies inside the cell of a first output.
    least
        Zeros behind that every side gets.
    smallest
        What a side and the zeros behind it have at least, in pixels, so that no layer runs empty.
    sawteeth
        What depends on how the side divides by the strides.
    """

    before: int = 0
    least: int = 0
    smallest: int = 0
    sawteeth: tuple[Sawtooth, ...] = ()

    def behind(self, side: int) -> int:
        """Return the zeros behind a side of ``side`` pixels, which may be a ``torch.SymInt``."""
        found: int | torch.SymInt = self.least
        if self.smallest:
            found = torch.sym_max(found, self.smallest - side)
        for sawtooth in self.sawteeth:
            found = torch.sym_max(found, (sawtooth.phase - side) % sawtooth.period - sawtooth.slack)
        return found  # type: ignore[return-value]  # a symbol for a symbol: torch types its sizes as int too

    @property
    def is_none(self) -> bool:
        """Whether no image is ever padded (the reference's nets, whose first layer pads by 100 px itself)."""
        return self == Padding()


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
        Gives the maps' sizes, coarse to fine, for an image side; raises GeometryError when it is too small.

    Raises
    ------
    GeometryError
        When two maps cannot be aligned by a bilinear deconvolution, or the logits start inside the image.

    Examples
    --------
    A trunk of one map at stride 4, as two 2x2 poolings give it:

    >>> plan = align([Place(Fraction(4), Fraction(3, 2))], lambda side: [side // 4])
    >>> plan.steps[0].kernel, plan.steps[0].crop, [plan.padding.behind(side) for side in (1, 4, 5)]
    (8, 2, [3, 0, 3])
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
    """Return the least padding behind as a closed form, compared with what it must be on every kind of side."""
    period = math.ceil(max(place.stride for place in places))
    counts: list[Sequence[int]] = []
    while not counts or not counts[-1] or _covered(counts[-1], places, steps) < 1:
        counts.append(_sizes_or_none(sizes, len(counts) + 1))
    counts += [_sizes_or_none(sizes, padded) for padded in range(len(counts) + 1, len(counts) + 5 * period)]
    behind = _least_behind(before, [_covered(found, places, steps) for found in counts])
    sawteeth = []
    for level, place in enumerate(places):
        alone = [[n if i == level else None for i, n in enumerate(found)] for found in counts]
        own = _least_behind(before, [_covered(found, places, steps) for found in alone])
        sawteeth.append(_sawtooth(math.ceil(place.stride), own))
    least = min(behind[-period:])
    kept = [sawtooth for sawtooth in sawteeth if sawtooth is not None and sawtooth.period - 1 - sawtooth.slack > least]
    found = Padding(before, least, 0, tuple(kept))
    if any(found.behind(side) < zeros for side, zeros in enumerate(behind, 1)):
        found = Padding(before, least, behind[0] + 1, tuple(kept))
    if wrong := [side for side, zeros in enumerate(behind, 1) if found.behind(side) != zeros]:
        raise GeometryError(
            f"the padding that this backbone's maps need has no closed form (an image side of {wrong[0]} px needs "
            f"{behind[wrong[0] - 1]} px behind it, and {found} gives {found.behind(wrong[0])}); use another backbone"
        )
    return found


def _sizes_or_none(sizes: Callable[[int], Sequence[int]], padded: int) -> Sequence[int]:
    """Return the maps' sizes for a padded side; none when it is too small for a layer."""
    try:
        return sizes(padded)
    except GeometryError:
        return ()


def _least_behind(before: int, covered: Sequence[int]) -> list[int]:
    """Return the least zeros behind the sides 1, 2, … from how many pixels the padded sides 1, 2, … cover."""
    sides = range(1, covered[-1] - before)
    return [max(bisect.bisect_left(covered, side) + 1 - before - side, 0) for side in sides]


def _sawtooth(period: int, behind: Sequence[int]) -> Sawtooth | None:
    """Return the sawtooth of the zeros behind the sides 1, 2, …; ``None`` when they do not depend on how a side divides."""
    last = list(behind[-period:])
    most = max(last)
    if most == min(last):
        return None
    before_most = len(behind) - period + last.index(most)  # the side that is one pixel shorter divides best
    return Sawtooth(period, before_most % period, period - 1 - most)


def _covered(counts: Sequence[int | None], places: Sequence[Place], steps: Sequence[Step]) -> int:
    """Return how many pixels from the first on lie in the cell of an output, at every level.

    ``counts`` are the maps' sizes, coarse to fine; ``None`` stands for a map without an end, and no counts for no maps.
    """
    if not counts:
        return 0
    current = counts[0]
    ends = [_pixels(places[0], current)]
    for step, fine in zip(steps, [*counts[1:], None], strict=True):
        current = step.size(current, fine)
        ends.append(_pixels(step.result, current))
    return int(min(ends))


def _pixels(place: Place, count: int | None) -> float:
    """Return how many pixels from the first on come before the end of the last of ``count`` cells."""
    if count is None:
        return math.inf
    return max(math.floor(place.offset + place.stride * (count - 1) + place.stride / 2) + 1, 0) if count > 0 else 0
