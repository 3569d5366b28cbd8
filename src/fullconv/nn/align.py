"""How coarse scores are brought onto finer ones and onto the image: kernels, crops and padding, from the geometry alone.

A :class:`Decoder` is computed from where the trunk's maps lie on the image (:class:`fullconv.geometry.axis.Place`). Nothing here
knows a backbone; the crops of the reference implementation (its ``caffe/coord_map.py``) come out of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.errors import GeometryError
from fullconv.geometry.axis import Pad, Place, Transposed, aligned_deconvolution

PIXELS = Place(Fraction(1), Fraction(0))


@dataclass(frozen=True)
class Step:
    """One upsampling: scores at ``source`` become scores on the grid of ``target``.

    Parameters
    ----------
    source, target
        Where the coarse scores and the finer map (or the image's pixels) lie.
    kernel, factor
        Of the deconvolution.
    crop
        Index of the upsampled scores that lies on index 0 of the finer map; below 0, so many entries of the finer map
        come before the first upsampled one and are cut from it.
    """

    source: Place
    target: Place
    kernel: int
    factor: int
    crop: int

    @property
    def starts(self) -> tuple[int, int]:
        """First index that is kept of the upsampled scores and of the finer map."""
        return max(self.crop, 0), max(-self.crop, 0)

    @property
    def result(self) -> Place:
        """Where the joined scores lie."""
        return Place(self.target.stride, self.target.offset + self.starts[1] * self.target.stride)

    def size(self, coarse: int, fine: int) -> int:
        """Return how many entries the joined scores have."""
        upsampled = Transposed(self.kernel, self.factor).size(coarse)
        return min(upsampled - self.starts[0], fine - self.starts[1])


class Decoder:
    """The plan of an FCN's upsampling path, the same on both axes.

    Parameters
    ----------
    places
        Where the trunk's maps lie, coarse to fine.
    sizes
        Gives the maps' sizes, coarse to fine, for an image side; raises GeometryError when it is too small.

    Attributes
    ----------
    before
        Padding in front of the image, in pixels, so that its first pixel lies inside the cell of a first score.
    steps
        Upsamplings, coarse to fine; the last one leads to the image's pixels.

    Raises
    ------
    GeometryError
        When two maps cannot be aligned by a bilinear deconvolution.
    """

    def __init__(self, places: Sequence[Place], sizes: Callable[[int], list[int]]) -> None:
        self._sizes = sizes
        self.before = max(0, *(math.ceil(place.offset - place.stride / 2) for place in places))
        self.places = [Place(place.stride, place.offset - self.before) for place in places]
        self.steps: list[Step] = []
        current = self.places[0]
        for target in (*self.places[1:], PIXELS):
            try:
                kernel, crop = aligned_deconvolution(current, target)
            except ValueError as error:
                raise GeometryError(f"the maps of this backbone cannot be aligned: {error}") from error
            self.steps.append(Step(current, target, kernel, (current.stride / target.stride).numerator, crop))
            current = self.steps[-1].result
        if self.steps[-1].crop < 0:
            raise GeometryError(f"the scores start {-self.steps[-1].crop} px inside the image; pad the backbone's convolutions")
        self._extra: dict[int, int] = {}

    def extra(self, side: int) -> int:
        """Return the padding behind an image side of ``side`` px, in pixels: the least that lets scores cover every pixel.

        Every pixel then lies inside the cell (stride x stride) of a score, at every level, and no layer runs empty.
        """
        if side not in self._extra:
            extra = 0
            while not self._covers(side, extra):
                extra += 1
            self._extra[side] = extra
        return self._extra[side]

    def _covers(self, side: int, extra: int) -> bool:
        try:
            sizes = self._sizes(self.before + side + extra)
        except GeometryError:
            return False
        current = sizes[0]
        if not _reaches(self.places[0], current, side):
            return False
        for step, fine in zip(self.steps, [*sizes[1:], side], strict=True):
            current = step.size(current, fine)
            if not _reaches(step.result, current, side):
                return False
        return True


def _reaches(place: Place, count: int, side: int) -> bool:
    """Whether the last of ``count`` entries has the last pixel in its cell."""
    return count > 0 and place.offset + place.stride * (count - 1) + place.stride / 2 >= side - 1


class Fit(nn.Module):
    """Pad images (N, C, H, W) with zeros, in front and behind, as far as their scores need it."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, images: Tensor) -> Tensor:
        """Return the padded images."""
        height, width = images.shape[-2:]
        before, extra = self.decoder.before, self.decoder.extra
        return F.pad(images, (before, extra(width), before, extra(height)))

    def axis_maps(self) -> tuple[Pad, Pad]:
        """Return the coordinate map of both axes."""
        return Pad(self.decoder.before, self.decoder.extra), Pad(self.decoder.before, self.decoder.extra)


class Overlap(nn.Module):
    """Cut maps to where they overlap others: from index ``start`` on, as far as the others go from ``like_start`` on."""

    def __init__(self, start: int, like_start: int) -> None:
        super().__init__()
        self.start = start
        self.like_start = like_start

    def forward(self, maps: Tensor, like: Tensor) -> Tensor:
        """Return a view of ``maps`` (N, K, h, w)."""
        height, width = (
            min(own - self.start, other - self.like_start) for own, other in zip(maps.shape[-2:], like.shape[-2:], strict=True)
        )
        return maps[..., self.start : self.start + height, self.start : self.start + width]

    def axis_maps(self) -> tuple[Pad, Pad]:
        """Return the coordinate map of both axes; the size also depends on the other map (``like_start``)."""
        return Pad(-self.start), Pad(-self.start)

    def extra_repr(self) -> str:
        """Return the first index for printing."""
        return f"start={self.start}"
