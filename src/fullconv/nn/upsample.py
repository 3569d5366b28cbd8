"""Bilinear upsampling as a deconvolution (transposed convolution), one filter a class; fixed or learned.

Long et al. 2015, section 3.3. The reference fills a dense class-by-class kernel of which only the diagonal is not zero
(``surgery.py``); here the deconvolution is depth-wise, so 86 016 weights do the work of 1 806 336 at 21 classes.
"""

import torch
from torch import Tensor, nn

from fullconv.geometry.axis import Transposed


def bilinear_kernel(size: int) -> Tensor:
    """Return the bilinear filter float32 (size, size) of the reference (``upsample_filt``): values in (0, 1].

    With ``f = (size + 1) // 2`` the weight falls linearly from the centre and is 0 at a distance of ``f``.

    Examples
    --------
    >>> bilinear_kernel(4)[0]
    tensor([0.0625, 0.1875, 0.1875, 0.0625])
    """
    factor = (size + 1) // 2
    center = factor - 1 if size % 2 else factor - 0.5
    ramp = 1 - (torch.arange(size) - center).abs() / factor
    return ramp[:, None] * ramp[None, :]


class Deconvolution(nn.Module):
    """Upsample scores (N, K, h, w) by ``factor`` to (N, K, (h-1)·factor + kernel, (w-1)·factor + kernel), each class by itself.

    Parameters
    ----------
    classes
        K, the number of maps.
    kernel, factor
        Side of the filter in pixels and the upsampling factor.
    learned
        Train the filter, which starts bilinear; otherwise it is a buffer and never changes.
    """

    weight: Tensor

    def __init__(self, classes: int, kernel: int, factor: int, learned: bool) -> None:
        super().__init__()
        self.factor = factor
        weight = bilinear_kernel(kernel).expand(classes, 1, kernel, kernel).clone()
        if learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(self, scores: Tensor) -> Tensor:
        """Return the upsampled scores."""
        return nn.functional.conv_transpose2d(scores, self.weight, stride=self.factor, groups=len(self.weight))

    def rows(self, scores: Tensor, first: int, last: int) -> Tensor:
        """Return rows ``first`` to ``last`` (left out) of what :meth:`forward` gives, computed by themselves.

        Examples
        --------
        >>> layer = Deconvolution(2, 4, 2, learned=False)
        >>> scores = torch.rand(1, 2, 5, 3)
        >>> torch.equal(layer.rows(scores, 3, 8), layer(scores)[:, :, 3:8])
        True
        """
        begin = max((first - self.weight.shape[-1]) // self.factor + 1, 0)
        reaching = scores[:, :, begin : (last - 1) // self.factor + 1]
        return self(reaching)[:, :, first - begin * self.factor : last - begin * self.factor]

    def axis_maps(self) -> tuple[Transposed, Transposed]:
        """Return the coordinate map of both axes."""
        kernel = self.weight.shape[-1]
        return Transposed(kernel, self.factor), Transposed(kernel, self.factor)

    def extra_repr(self) -> str:
        """Return kernel and factor for printing."""
        return f"{len(self.weight)}, kernel={self.weight.shape[-1]}, factor={self.factor}"
