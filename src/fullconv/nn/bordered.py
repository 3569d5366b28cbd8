"""Layers that compute a part of a map: how many entries lie before and behind what they read is said for each call.

Letters: N images, C channels, h w map.
"""

from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry.graph import Interval


@runtime_checkable
class Convolution(Protocol):
    """A convolution of another kind than ``nn.Conv2d``, such as one with packed weights."""

    weight: Tensor

    @property
    def work(self) -> int:
        """Multiplications for one place of its map."""
        ...

    def padded(self, maps: Tensor, padding: tuple[int, int]) -> Tensor:
        """Return what it gives with so many zeros around its input (vertical, horizontal) in place of its own."""
        ...


def convolved(part: Any, maps: Tensor, beyond: tuple[Interval, Interval]) -> Tensor:
    """Return maps (N, C', h', w') that a convolution makes of maps (N, C, h, w) with zeros around them.

    Parameters
    ----------
    part
        An ``nn.Conv2d``, or a :class:`Convolution`; its own padding is left out.
    maps
        What is read, of any floating type that the convolution takes.
    beyond
        How many zeros lie before and behind it, vertically and horizontally.
    """
    (top, bottom), (left, right) = beyond
    if top != bottom or left != right:
        maps, top, left = F.pad(maps, (left, right, top, bottom)), 0, 0
    if isinstance(part, Convolution):
        return part.padded(maps, (top, left))
    return F.conv2d(maps, part.weight, part.bias, part.stride, (top, left), part.dilation, part.groups)


def pooled(part: nn.MaxPool2d, maps: Tensor, beyond: tuple[Interval, Interval]) -> Tensor:
    """Return maps (N, C, h', w') that a pooling makes of maps (N, C, h, w); entries ``beyond`` them count for nothing.

    Parameters are those of :func:`convolved`.
    """
    (top, bottom), (left, right) = beyond
    if top or bottom or left or right:
        maps = F.pad(maps, (left, right, top, bottom), value=-torch.inf)
    return F.max_pool2d(maps, part.kernel_size, part.stride, 0, part.dilation)
