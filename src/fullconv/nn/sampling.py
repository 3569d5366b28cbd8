"""Patchwise training as loss sampling: each coarse output, which sees one patch, keeps its loss with probability p.

Long et al. 2015, sections 3.4 and 4.3 (figure 5). A coarse output's share of the loss are the pixels that are nearest to its
centre, a block of stride x stride; which block a pixel belongs to follows from the net's coordinate maps.

Letters: N images, H W image, h w coarse map.
"""

import math
from fractions import Fraction

import torch
from torch import Tensor

from fullconv.geometry.axis import Place


def nearest_output(place: Place, side: int) -> Tensor:
    """Return the index of the coarse output that is nearest to each pixel along one axis, int64 (side,), rising.

    Of two that are equally near it is the earlier one, but the first is 0: so an FCN has the output, whose cells just cover the
    image.

    Parameters
    ----------
    place
        Where the outputs lie on the image.
    side
        Extent of the image in pixels.

    Examples
    --------
    >>> nearest_output(Place(Fraction(4), Fraction(3, 2)), 9).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 2]
    """
    return torch.tensor([max(0, math.ceil((x - place.offset) / place.stride - Fraction(1, 2))) for x in range(side)])


def draw_patches(place: Place, size: tuple[int, int], images: int, share: float) -> Tensor:
    """Return which pixels keep their loss, bool (N, H, W): all of a coarse output's pixels or none, each kept by chance.

    Draws from torch's global generator, on the CPU whatever the device, so that a run is the same everywhere.

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
    >>> _ = torch.manual_seed(0)
    >>> draw_patches(Place(Fraction(2), Fraction(1, 2)), (2, 6), 1, 0.5).int().tolist()
    [[[1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 1, 1]]]
    """
    rows, columns = (nearest_output(place, side) for side in size)
    rows, columns = rows - rows[0], columns - columns[0]
    kept = torch.rand(images, int(rows[-1]) + 1, int(columns[-1]) + 1) < share
    return kept[:, rows][:, :, columns]
