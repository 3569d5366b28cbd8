"""From losses of pixels to one number: the sum, the mean over valid pixels, or the mean of the images' own means.

Letters: N images, H W image.
"""

from typing import Literal

from torch import Tensor

Reduction = Literal["mean", "sum", "image_mean"]


def reduced(
    losses: Tensor, target: Tensor, reduction: Reduction, counts: Tensor | None, images: int | None, ignore_index: int = 255
) -> Tensor:
    """Return a scalar of the losses of pixels; 0 where no pixel is valid.

    Parameters
    ----------
    losses
        Float (N, H, W), 0 at pixels that do not count.
    target
        int64 (N, H, W), values 0..K-1 or ``ignore_index``.
    reduction
        See :func:`fullconv.nn.losses.cross_entropy.cross_entropy`.
    counts
        What is divided by, a scalar for ``mean`` and (N,) for ``image_mean``; by default the valid pixels of ``target``.
    images
        How many images ``image_mean`` averages over; N by default.
    ignore_index
        The label of pixels that do not count.
    """
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / (count_valid(target, ignore_index) if counts is None else counts).clamp(min=1)
    each = count_valid_of_each(target, ignore_index) if counts is None else counts
    return (losses.sum((1, 2)) / each.clamp(min=1)).sum() / (len(target) if images is None else images)


def count_valid(target: Tensor, ignore_index: int = 255) -> Tensor:
    """Return the number of pixels of ``target`` (N, H, W) that count, an int64 scalar."""
    return (target != ignore_index).sum()


def count_valid_of_each(target: Tensor, ignore_index: int = 255) -> Tensor:
    """Return the number of pixels that count of each image of ``target`` (N, H, W), int64 (N,)."""
    return (target != ignore_index).sum((1, 2))
