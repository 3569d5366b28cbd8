"""Per-pixel cross entropy, as a mean or a sum over the valid pixels of a step.

Long et al. 2015, section 3.4 and 4.3; the reference sums (``normalize: false``), which is why its rates look like typing
mistakes: 1e-10 for a sum is 1.9e-5 for the mean over a 500x375 image.

Letters: N images, K classes, H W image.
"""

from typing import Literal

from torch import Tensor, nn

Normalisation = Literal["mean", "sum"]


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    normalisation: Normalisation = "mean",
    ignore_index: int = 255,
    valid_pixels: Tensor | None = None,
) -> Tensor:
    """Return the cross entropy of the valid pixels in nats, a scalar; 0 with a gradient of 0 when none is valid.

    Parameters
    ----------
    logits
        Float (N, K, H, W).
    target
        int64 (N, H, W), values 0..K-1 or ``ignore_index``.
    normalisation
        ``mean`` divides by the number of valid pixels, ``sum`` does not.
    ignore_index
        The label of pixels that do not count.
    valid_pixels
        What ``mean`` divides by, a scalar; by default the valid pixels of ``target``. Several processes that share a step
        give the number of all of them, so that each pixel weighs the same.

    Examples
    --------
    >>> import torch
    >>> cross_entropy(torch.zeros(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.long))
    tensor(0.6931)
    """
    # in float32 also under autocast: a sum over a million pixels needs more than bfloat16's 8 bits
    total = nn.functional.cross_entropy(logits.float(), target, ignore_index=ignore_index, reduction="sum")
    if normalisation == "sum":
        return total
    count = count_valid(target, ignore_index) if valid_pixels is None else valid_pixels
    return total / count.clamp(min=1)


def count_valid(target: Tensor, ignore_index: int = 255) -> Tensor:
    """Return the number of pixels of ``target`` (N, H, W) that count, an int64 scalar."""
    return (target != ignore_index).sum()


def equivalent_rate(rate: float, normalisation: Normalisation, valid_pixels: int) -> float:
    """Return the rate that does the same with the other normalisation, for steps of ``valid_pixels`` valid pixels.

    Examples
    --------
    >>> f"{equivalent_rate(1e-10, 'sum', 500 * 375):.3g}"  # the reference's rate, for a mean
    '1.88e-05'
    """
    return rate * valid_pixels if normalisation == "sum" else rate / valid_pixels
