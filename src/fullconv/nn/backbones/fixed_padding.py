"""TensorFlow's SAME padding, which depends on the image's size, made fixed.

SAME gives a layer of stride ``s`` as many outputs as there are inputs divided by ``s``, rounded up, and pads what that takes, the
odd pixel behind. At a side that ``s`` divides, that is ``kernel - stride`` pixels (of a dilated kernel its extent), whatever the
side. These are what a layer gets here at any size, so that its outputs lie on the image in one way.

Where the odd pixel is behind, the middle of what an output sees is half a pixel behind the middle of the ``s`` pixels that it
stands for. Trained weights do not read there: of EfficientNet-Lite0 and Lite2 the centre of mass of the gradient, on photographs,
is near the middle of those ``s`` pixels at every stride (docs/geometry.md).
So that is where outputs are said to lie; ``centre`` says which of both.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from fullconv.geometry.axis import Window


def same_padding(kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return the pixels before and behind that SAME pads at a side that ``stride`` divides.

    Examples
    --------
    >>> same_padding(3, 2), same_padding(5, 2), same_padding(3, 1), same_padding(1, 2)
    ((0, 1), (1, 2), (1, 1), (0, 0))
    """
    total = max(0, dilation * (kernel - 1) + 1 - stride)
    return total // 2, total - total // 2


def around(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int] = (1, 1)) -> tuple[int, int, int, int]:
    """Return the padding of both axes as ``nn.ZeroPad2d`` takes it: left, right, top, bottom; arguments are (height, width)."""
    vertical, horizontal = (same_padding(*numbers) for numbers in zip(kernel, stride, dilation, strict=True))
    return *horizontal, *vertical


class SameConv2d(nn.Conv2d):
    """A convolution whose input is padded by :func:`same_padding`; ``padding`` is added to that, on both sides alike.

    State and arguments are those of ``nn.Conv2d``.

    Attributes
    ----------
    centre
        Where its outputs lie: in the middle of the ``cell`` of inputs that each stands for, or of the ``window`` that it sees.
    """

    centre: Literal["window", "cell"] = "cell"

    def forward(self, input: Tensor) -> Tensor:
        """Return maps float (N, C', h / stride, w / stride) from (N, C, h, w)."""
        return super().forward(F.pad(input, around(self.kernel_size, self.stride, self.dilation)))

    def axis_maps(self) -> tuple[Window, Window]:
        """Return the coordinate maps of both axes."""
        more = (0, 0) if isinstance(self.padding, str) else self.padding
        vertical, horizontal = (
            Window(kernel, stride, dilation, before + extra, behind + extra, lean=self._lean(before, behind))
            for kernel, stride, dilation, extra in zip(self.kernel_size, self.stride, self.dilation, more, strict=True)
            for before, behind in [same_padding(kernel, stride, dilation)]
        )
        return vertical, horizontal

    def _lean(self, before: int, behind: int) -> Fraction:
        return Fraction(before - behind, 2) if self.centre == "cell" else Fraction(0)
