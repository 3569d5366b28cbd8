"""Bilinear upsampling as a deconvolution (transposed convolution), one filter a class; fixed or learned.

Long et al. 2015, section 3.3. The reference fills a dense class-by-class kernel of which only the diagonal is not zero
(``surgery.py``); here the deconvolution is depth-wise, so 86 016 weights do the work of 1 806 336 at 21 classes.

On a card the fixed filter is applied to rows and columns as two matrix products: cuDNN is slow where every channel is a group
of its own, and sums in an order that changes from call to call.
"""

from typing import Any

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


def upsampling_matrix(entries: int, kernel: int, factor: int, first: int, last: int, like: Tensor) -> Tensor:
    """Return the (last - first, entries) matrix that takes ``entries`` of an axis to the upsampled ones ``first`` … ``last - 1``.

    Of the type and on the device of ``like``; bfloat16 and float16 hold its numbers, multiples of ``1 / (2 factor)``, exactly
    up to a factor of 32.

    Examples
    --------
    >>> upsampling_matrix(2, 4, 2, 0, 6, torch.zeros(1))[:, 0]
    tensor([0.2500, 0.7500, 0.7500, 0.2500, 0.0000, 0.0000])
    """
    half = (kernel + 1) // 2
    center = half - 1 if kernel % 2 else half - 0.5
    upsampled = torch.arange(first, last, device=like.device, dtype=torch.float32)
    starts = torch.arange(entries, device=like.device, dtype=torch.float32) * factor + center
    return (1 - (upsampled[:, None] - starts).abs() / half).clamp(min=0).to(like.dtype)


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
        self.bilinear = not learned
        weight = bilinear_kernel(kernel).expand(classes, 1, kernel, kernel).clone()
        if learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(self, scores: Tensor) -> Tensor:
        """Return the upsampled scores."""
        if scores.is_cuda and self.bilinear:
            return self._by_matrices(scores, 0, self._upsampled(scores.shape[-2]))
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
        if scores.is_cuda and self.bilinear:
            return self._by_matrices(scores, first, min(last, self._upsampled(scores.shape[-2])))
        begin = max((first - self.weight.shape[-1]) // self.factor + 1, 0)
        reaching = scores[:, :, begin : (last - 1) // self.factor + 1]
        return self(reaching)[:, :, first - begin * self.factor : last - begin * self.factor]

    def _by_matrices(self, scores: Tensor, first: int, last: int) -> Tensor:
        """Return rows ``first`` to ``last`` (left out) of the upsampled scores, whose filter is bilinear."""
        height, width = scores.shape[-2:]
        kernel = self.weight.shape[-1]
        down = upsampling_matrix(height, kernel, self.factor, first, last, scores)
        across = upsampling_matrix(width, kernel, self.factor, 0, self._upsampled(width), scores)
        return down @ (scores @ across.T)

    def _upsampled(self, entries: int) -> int:
        return (entries - 1) * self.factor + self.weight.shape[-1]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        given = state_dict.get(f"{prefix}weight")
        if given is not None and not isinstance(self.weight, nn.Parameter):  # a file's filter need not be the bilinear one
            self.bilinear = torch.equal(given.cpu().float(), bilinear_kernel(given.shape[-1]).expand(given.shape))

    def axis_maps(self) -> tuple[Transposed, Transposed]:
        """Return the coordinate map of both axes."""
        kernel = self.weight.shape[-1]
        return Transposed(kernel, self.factor), Transposed(kernel, self.factor)

    def extra_repr(self) -> str:
        """Return kernel and factor for printing."""
        return f"{len(self.weight)}, kernel={self.weight.shape[-1]}, factor={self.factor}"
