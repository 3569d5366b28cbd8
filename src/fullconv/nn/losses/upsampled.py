"""Cross entropy of coarse logits at the image's pixels, without ever holding the logits of all pixels.

The last upsampling makes 64 numbers of one at stride 8, and what is computed of them for a loss and its gradient goes through
memory a dozen times. Here strips of the image are upsampled one after the other, small enough for a processor's cache; of each
the loss and its gradient by the coarse logits are computed at once, and both are added up. The numbers are those of
:func:`fullconv.nn.losses.cross_entropy.cross_entropy` of the upsampled logits, but for rounding.

Letters: N images, K classes, H W image, h w coarse map.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from fullconv.nn.losses.reduction import Reduction, count_valid, count_valid_of_each
from fullconv.nn.upsample import Deconvolution, upsampling_matrix

ENTRIES = {"cpu": 2**20}
"""Logits in a strip, by device; those of a processor lie in its cache."""
ON_CARD = 2**26
"""The same for cards, which are the faster the more they have to do at once."""


def upsampled_cross_entropy(
    coarse: Tensor, layer: Deconvolution, start: int, target: Tensor, factors: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the sum over valid pixels of ``factor * weight * cross entropy`` in nats, a scalar.

    Parameters
    ----------
    coarse
        Logits float (N, K, h, w) in front of their last upsampling.
    layer
        That upsampling; bilinear.
    start
        Rows and columns of what it gives in front of the image's own.
    target
        int64 (N, H, W), values 0..K-1 or 255 for pixels that do not count.
    factors
        Of each image's pixels (N,), see :func:`pixel_factors`.
    weights
        Of the classes, float (K,).

    Examples
    --------
    >>> layer = Deconvolution(2, kernel=4, factor=2, learned=False)
    >>> target = torch.ones(1, 6, 6, dtype=torch.long)
    >>> upsampled_cross_entropy(torch.zeros(1, 2, 4, 4), layer, 1, target, torch.tensor([1 / 36]))  # log 2
    tensor(0.6931)
    """
    found: Tensor = _Upsampled.apply(coarse, layer, start, target, factors, weights)
    return found


def pixel_factors(
    reduction: Reduction, target: Tensor, valid: Tensor | None, share: float = 1.0, images: int | None = None
) -> Tensor:
    """Return what each image's pixels count, float64 (N,), for a loss that is reduced so.

    Parameters are those of :func:`fullconv.nn.losses.cross_entropy.cross_entropy`.
    """
    ones = torch.ones(len(target), dtype=torch.float64, device=target.device)
    if reduction == "sum":
        return ones
    if reduction == "mean":
        return ones / ((count_valid(target) if valid is None else valid).clamp(min=1).double() * share)
    each = count_valid_of_each(target) if valid is None else valid
    return ones / (each.clamp(min=1).double() * (share * (len(target) if images is None else images)))


class _Upsampled(Function):
    @staticmethod
    def forward(
        context: Any, coarse: Tensor, layer: Deconvolution, start: int, target: Tensor, factors: Tensor, weights: Tensor | None
    ) -> Tensor:
        """Return the loss, and keep its gradient."""
        # at least float32, also under autocast: a sum over a million pixels needs more than bfloat16's 8 bits
        exact = coarse.detach().to(torch.promote_types(coarse.dtype, torch.float32))
        with torch.autocast(coarse.device.type, enabled=False):
            loss, gradient = _of_strips(exact, layer, start, target, factors.to(exact.dtype), weights)
        context.save_for_backward(gradient.to(coarse.dtype) if coarse.dtype == exact.dtype else gradient)
        context.dtype = coarse.dtype
        return loss

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """Return the gradient of the coarse logits."""
        (found,) = context.saved_tensors
        return (gradients[0] * found).to(context.dtype), None, None, None, None, None


def _of_strips(
    coarse: Tensor, layer: Deconvolution, start: int, target: Tensor, factors: Tensor, weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient by ``coarse``."""
    images, classes, entries, width = coarse.shape
    kernel, factor = layer.weight.shape[-1], layer.factor
    rows, columns = target.shape[1:]
    across = upsampling_matrix(width, kernel, factor, start, start + columns, coarse)
    lines = coarse.permute(0, 2, 3, 1).reshape(images, entries, width * classes)
    loss, gradient = coarse.new_zeros(()), torch.zeros_like(lines)
    strip = max(1, ENTRIES.get(coarse.device.type, ON_CARD) // (images * columns * classes))
    for first in range(0, rows, strip):
        last = min(first + strip, rows)
        begin = max((start + first - kernel) // factor + 1, 0)
        end = min((start + last - 1) // factor + 1, entries)
        down = upsampling_matrix(entries, kernel, factor, start + first, start + last, coarse)[:, begin:end]
        raised = (down @ lines[:, begin:end]).view(images, last - first, width, classes)
        added, slopes = _of_pixels((across @ raised).flatten(0, 2), target[:, first:last], factors, weights)
        loss = loss + added
        back = across.T @ slopes.view(images, last - first, columns, classes)
        gradient[:, begin:end] += down.T @ back.view(images, last - first, width * classes)
    return loss, gradient.view(images, entries, width, classes).permute(0, 3, 1, 2)


def _of_pixels(logits: Tensor, target: Tensor, factors: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the loss of logits (pixels, K), and its gradient in their place."""
    valid = target != 255
    counted = valid * factors[:, None, None]
    truth = target.masked_fill(~valid, 0)
    if weights is not None:
        counted = counted * weights.to(counted)[truth]
    truth, counted = truth.reshape(-1, 1), counted.reshape(-1, 1)
    logits -= logits.amax(1, keepdim=True)
    chosen = logits.gather(1, truth)
    whole = logits.exp_().sum(1, keepdim=True)
    loss = ((whole.log() - chosen) * counted).sum()
    return loss, logits.mul_(counted / whole).scatter_add_(1, truth, -counted)
