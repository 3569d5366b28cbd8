"""Online hard example mining: the cross entropy of each image's hardest pixels.

After Shrivastava et al. 2016, who mine regions; for pixels, Wu et al. 2016, "Bridging Category-level and Instance-level Semantic
Image Segmentation". The share is kept of each image and not of a batch, so that processes that share a step need not compare
their pixels, and an easy image still teaches something.

Letters: N images, K classes, H W image.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fullconv.nn.losses.reduction import Reduction, count_valid_of_each, reduced


def ohem(
    logits: Tensor,
    target: Tensor,
    keep: float = 0.25,
    reduction: Reduction = "mean",
    ignore_index: int = 255,
    weights: Tensor | None = None,
    images: int | None = None,
    total: Callable[[Tensor], Tensor] = lambda value: value,
) -> Tensor:
    """Return the cross entropy of each image's hardest pixels, reduced over those; 0 with a gradient of 0 without valid pixels.

    Of V valid pixels those with the ``ceil(keep * V)`` largest losses count. Which are hard is judged without ``weights``.

    Parameters
    ----------
    logits, target
        Float (N, K, H, W), and int64 (N, H, W) with values 0..K-1 or ``ignore_index``.
    keep
        Share of each image's valid pixels, in (0, 1]; 1 is cross entropy.
    reduction
        ``mean`` over the kept pixels of all images, their ``sum``, or ``image_mean``: the mean of each image's own mean.
    ignore_index, weights, images
        See :func:`fullconv.nn.losses.cross_entropy.cross_entropy`.
    total
        Adds a tensor over the processes that share a step, here the number of kept pixels.

    Examples
    --------
    >>> logits = torch.tensor([[[[0.0, 9.0]], [[0.0, 0.0]]]])  # the second pixel is right
    >>> ohem(logits, torch.zeros(1, 1, 2, dtype=torch.long), keep=0.5)
    tensor(0.6931)
    """
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    entropy = nn.functional.cross_entropy(scores, target, ignore_index=ignore_index, reduction="none")
    counts = (count_valid_of_each(target, ignore_index) * keep).ceil().long()
    # ignored pixels come last; which of equal pixels are kept is settled by their order
    hardness = entropy.detach().masked_fill(target == ignore_index, -1).flatten(1)
    rank = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    kept = (rank < counts[:, None]).view_as(target)
    losses = entropy * kept
    if weights is not None:
        losses = losses * weights.to(losses)[target.clamp(max=len(weights) - 1)]
    return reduced(losses, target, reduction, counts if reduction == "image_mean" else total(counts.sum()), images, ignore_index)
