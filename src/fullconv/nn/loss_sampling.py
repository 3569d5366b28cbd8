"""Patchwise training as loss sampling: each coarse output, which sees one patch, keeps its loss with probability p.

Long et al. 2015, sections 3.4 and 4.3 (figure 5). A coarse output's share of the loss are the pixels that are nearest to its
centre, a block of stride x stride; which block a pixel belongs to follows from the net's coordinate maps.

Letters: N images, H W image, h w coarse map.
"""

import math

import torch
from torch import Tensor

from fullconv.geometry.axis import Place


def nearest_output(place: Place, side: int) -> Tensor:
    """Return the index of the coarse output that is nearest to each pixel along one axis, int64 (side,), rising.

    Of two that are equally near it is the earlier one, but none before output 0. Whether there are as many outputs is the net's
    affair: an FCN pads its image until the cells of its outputs cover every pixel (:class:`fullconv.nn.align.Alignment`).

    Parameters
    ----------
    place
        Where the outputs lie on the image.
    side
        Extent of the image in pixels.

    Examples
    --------
    >>> from fractions import Fraction
    >>> nearest_output(Place(Fraction(4), Fraction(3, 2)), 9).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 2]
    """
    first_border = place.offset + place.stride / 2  # output i ends here, i strides further on
    unit = math.lcm(first_border.denominator, place.stride.denominator)  # in such fractions of a pixel all is whole
    beyond = unit * torch.arange(side) - int(unit * first_border)
    return -(-beyond // int(unit * place.stride)).clamp(max=0)  # rounded up


def draw_patches(place: Place, size: tuple[int, int], images: int, share: float) -> Tensor:
    """Return which pixels keep their loss, bool (N, H, W): all of a coarse output's pixels or none, each kept by chance.

    Draws from torch's global generator, on the CPU and in float32 whatever the net's device and precision, so that the patches
    of a run are the same everywhere.

    Parameters
    ----------
    place
        Where the coarse outputs lie on the image, along both axes.
    size
        (H, W) in pixels.
    images
        N.
    share
        Probability p to be kept, in (0, 1].

    Examples
    --------
    >>> from fractions import Fraction
    >>> _ = torch.manual_seed(0)
    >>> draw_patches(Place(Fraction(2), Fraction(1, 2)), (2, 6), 1, 0.5).int().tolist()
    [[[1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 1, 1]]]
    """
    rows, columns = (nearest_output(place, side) for side in size)
    rows, columns = rows - rows[0], columns - columns[0]
    # bfloat16, which is the default inside a step of such a net, has but 256 numbers to draw
    kept = torch.rand(images, int(rows[-1]) + 1, int(columns[-1]) + 1, dtype=torch.float32, device="cpu") < share
    return kept[:, rows][:, :, columns]
