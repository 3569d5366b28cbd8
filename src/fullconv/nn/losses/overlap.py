"""Overlaps of classes: Dice, Jaccard and Tversky, of probabilities in place of labels.

Milletari et al. 2016 (Dice, without their squares), Rahman and Wang 2016 (Jaccard), Salehi et al. 2017 (Tversky). A pixel of the
truth that a class gets with probability p is p of a true positive, and so on, so that for labels the three are what they are
called. One number for each class comes of all pixels of a step, and pixels' losses cannot be told apart: so processes that share
a step add up their counts, and gradients with them, before they divide.

What the definitions leave open: ignored pixels count nowhere, neither as truth nor as prediction. The mean is over the classes
that the truth of the step has (for ``image_mean``: of the image); one that is not there has the overlap 0 whatever is predicted,
and predicting it costs all the same, since its probability is missing elsewhere. No constant is added above and below.

Letters: N images, K classes, H W image.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fullconv.nn.losses.reduction import Reduction


def tversky(
    logits: Tensor,
    target: Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
    reduction: Reduction = "mean",
    ignore_index: int = 255,
    weights: Tensor | None = None,
    images: int | None = None,
    total: Callable[[Tensor], Tensor] = lambda value: value,
) -> Tensor:
    """Return 1 - the mean over classes of ``TP / (TP + alpha FP + beta FN)``, in 0..1.

    It is 0 with a gradient of 0 where no pixel is valid.

    Parameters
    ----------
    logits, target
        Float (N, K, H, W), and int64 (N, H, W) with values 0..K-1 or ``ignore_index``.
    alpha, beta
        Weights of false positives and false negatives.
    reduction
        ``mean``: one overlap for each class of all pixels of the step; ``image_mean``: of each image, and the mean over images,
        of which one without valid pixels adds 0.
    ignore_index
        The label of pixels that do not count.
    weights
        Of the classes, float (K,): the mean over classes is weighted by them.
    images
        How many images ``image_mean`` averages over, those of all processes that share a step; N by default.
    total
        Adds a tensor (3, K) over the processes that share a step, gradients with it. Each of them returns the whole loss then.

    Raises
    ------
    ValueError
        For the reduction ``sum``: an overlap is no sum over pixels.

    Examples
    --------
    >>> sure = torch.tensor([[[[9e9, 9e9, 0.0]], [[0.0, 0.0, 9e9]]]])  # labels 0 0 1
    >>> tversky(sure, torch.tensor([[[0, 1, 1]]]), 0.5, 0.5)  # Dice is 2/3 for both
    tensor(0.3333)
    """
    if reduction == "sum":
        raise ValueError("an overlap of classes is no sum over pixels; take the reduction mean or image_mean")
    counts = _counts(logits, target, ignore_index)
    if reduction == "image_mean":
        return _one_minus_mean(counts, alpha, beta, weights).sum() / (len(target) if images is None else images)
    return _one_minus_mean(total(counts.sum(1)), alpha, beta, weights)


def _counts(logits: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Return true positives, predicted pixels and true pixels of each image and class, float (3, N, K)."""
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probabilities = scores.softmax(1)
    truth = target[:, None] == torch.arange(scores.shape[1], device=target.device).view(1, -1, 1, 1)
    valid = (target != ignore_index)[:, None]
    # products and sums, as autocast turns matrix products into half precision
    counted = (probabilities * truth, probabilities * valid, truth.to(scores.dtype))
    return torch.stack([each.sum((2, 3)) for each in counted])


def _one_minus_mean(counts: Tensor, alpha: float, beta: float, weights: Tensor | None) -> Tensor:
    """Return 1 - the mean overlap (...) of counts (3, ..., K) over the classes that are there; 0 where none is."""
    positives, predicted, true = counts
    there = (true.detach() > 0).to(true.dtype)
    below = positives + alpha * (predicted - positives) + beta * (true - positives)
    # with alpha 1 and beta 0 a class that nobody predicts has 0 / 0: nothing of it was found
    overlap = positives / below.clamp(min=torch.finfo(below.dtype).tiny)
    parts = there if weights is None else there * weights.to(there)
    return ((1 - overlap) * parts).sum(-1) / parts.sum(-1).clamp(min=torch.finfo(parts.dtype).tiny)
