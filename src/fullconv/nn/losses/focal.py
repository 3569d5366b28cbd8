"""Focal loss: cross entropy that turns from pixels which are right already to those that are not.

Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 4; its alpha is the weights of the classes here.

Letters: N images, K classes, H W image.
"""

import torch
from torch import Tensor, nn

from fullconv.nn.losses.reduction import Reduction, reduced

LEAST_MISTAKE = 1e-6
"""``1 - p`` is taken for no less: a power below 1 of 0 has an infinite slope."""


def focal(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    reduction: Reduction = "mean",
    ignore_index: int = 255,
    valid_pixels: Tensor | None = None,
    weights: Tensor | None = None,
    images: int | None = None,
) -> Tensor:
    """Return ``-w (1 - p)^gamma log p`` of the true class, reduced over the valid pixels; 0 with a gradient of 0 without any.

    It divides by the number of valid pixels, as cross entropy does, not by the sum of the factors.

    Parameters
    ----------
    logits, target
        Float (N, K, H, W), and int64 (N, H, W) with values 0..K-1 or ``ignore_index``.
    gamma
        0 or more; 0 is cross entropy.
    reduction, ignore_index, valid_pixels, weights, images
        See :func:`fullconv.nn.losses.cross_entropy.cross_entropy`.

    Examples
    --------
    >>> focal(torch.zeros(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.long))  # log 2 / 4
    tensor(0.1733)
    """
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    entropy = nn.functional.cross_entropy(scores, target, ignore_index=ignore_index, reduction="none")
    # 1 - p without the cancellation of p near 1
    mistake = -torch.expm1(-entropy)
    losses = mistake.clamp(min=LEAST_MISTAKE) ** gamma * entropy
    if weights is not None:
        losses = losses * weights.to(losses)[target.clamp(max=len(weights) - 1)]
    return reduced(losses, target, reduction, valid_pixels, images, ignore_index)
