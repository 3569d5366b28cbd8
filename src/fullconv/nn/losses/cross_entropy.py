"""Per-pixel cross entropy, as a mean or a sum over the valid pixels of a step, or as the mean of its images' own means.

Long et al. 2015, section 3.4 and 4.3; the reference sums (``normalize: false``), which is why its learning rates look like
typing mistakes: 1e-10 for a sum is 1.9e-5 for the mean over a 500x375 image. Its AlexNet takes the mean over each image and
averages the gradients of twenty (``iter_size``).

Letters: N images, K classes, H W image.
"""

import torch
from torch import Tensor, nn

from fullconv.nn.losses.reduction import Reduction, count_valid, reduced


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    reduction: Reduction = "mean",
    ignore_index: int = 255,
    valid_pixels: Tensor | None = None,
    weights: Tensor | None = None,
    share: float = 1.0,
    images: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross entropy of the valid pixels in nats, a scalar; 0 with a gradient of 0 when none is valid.

    Parameters
    ----------
    logits
        Float (N, K, H, W).
    target
        int64 (N, H, W), values 0..K-1 or ``ignore_index``.
    reduction
        ``mean`` divides by the number of valid pixels, ``sum`` does not; ``image_mean`` divides the sum of every image by its own
        valid pixels and averages over the images, so each image weighs the same, and one without valid pixels counts as 0.
    ignore_index
        The label of pixels that do not count.
    valid_pixels
        What is divided by: for ``mean`` a scalar, for ``image_mean`` one number for each image (N,); by default the valid pixels
        of ``target``. Several processes that share a step give for ``mean`` the number of all of them, so that each pixel
        weighs the same.
    weights
        Of the classes, float (K,): a pixel's loss counts by the weight of its target; see :func:`balanced_weights`. ``mean``
        still divides by the number of valid pixels, not by the sum of their weights, so weights of 1 change nothing.
    share
        Probability with which each valid pixel was kept in ``target`` by :func:`~.loss_sampling.draw_patches`, in (0, 1].
        ``valid_pixels`` is then the number before any was dropped, and a mean divides by ``share * valid_pixels``.
    images
        How many images ``image_mean`` averages over, those of all processes that share a step; N by default.
    label_smoothing
        Share of each pixel's truth that is spread evenly over all classes, in [0, 1): the truth is ``1 - s + s/K`` of its class
        and ``s/K`` of every other (Szegedy et al. 2016), each part weighed by its own class's weight.

    Examples
    --------
    >>> import torch
    >>> cross_entropy(torch.zeros(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.long))
    tensor(0.6931)
    """
    # at least float32, also under autocast: a sum over a million pixels needs more than bfloat16's 8 bits
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    weights = None if weights is None else weights.to(scores.dtype)
    if reduction == "image_mean":
        losses = nn.functional.cross_entropy(
            scores, target, weights, ignore_index=ignore_index, reduction="none", label_smoothing=label_smoothing
        )
        return reduced(losses / share, target, reduction, valid_pixels, images, ignore_index)
    total = nn.functional.cross_entropy(
        scores, target, weights, ignore_index=ignore_index, reduction="sum", label_smoothing=label_smoothing
    )
    if reduction == "sum":
        return total
    count = count_valid(target, ignore_index) if valid_pixels is None else valid_pixels
    # Each pixel is kept with probability share, so the expected total is share times that of all valid pixels: divided by the
    # expected number of kept ones it is unbiased. Divided by the number that was kept it would be a ratio of two numbers that
    # were drawn together, whose expectation is not the ratio of theirs.
    return total / share / count.clamp(min=1)


def balanced_weights(pixels: Tensor) -> Tensor:
    """Return the weight of each class, float32 (K,): the inverse of its share of ``pixels``, scaled to a mean of 1 over them.

    So each class that occurs adds the same to the mean weight, and an unweighted loss and a balanced one are of one size. A
    class without pixels has weight 0: its inverse is not finite, and no pixel asks for it.

    Parameters
    ----------
    pixels
        How many pixels of a training set are of each class, int64 (K,).

    Examples
    --------
    >>> import torch
    >>> balanced_weights(torch.tensor([60, 20, 0]))
    tensor([0.6667, 2.0000, 0.0000])
    """
    present = pixels > 0
    return (present * pixels.sum().double() / (pixels.clamp(min=1) * present.sum().clamp(min=1))).float()


def equivalent_learning_rate(learning_rate: float, reduction: Reduction, valid_pixels: int) -> float:
    """Return the learning rate that does the same with a mean in place of a sum, or a sum in place of a mean.

    Parameters
    ----------
    learning_rate
        Above 0.
    reduction
        That it is for.
    valid_pixels
        Of a step; for ``image_mean`` the images are taken to have the same number each.

    Examples
    --------
    >>> f"{equivalent_learning_rate(1e-10, 'sum', 500 * 375):.3g}"  # the reference's, for a mean
    '1.88e-05'
    """
    return learning_rate * valid_pixels if reduction == "sum" else learning_rate / valid_pixels
