"""Lovász-softmax: the convex extension of 1 - intersection over union, of each image and averaged over the images.

Berman, Triki and Blaschko 2018, "The Lovász-Softmax loss". Theirs is over a batch or over each image; here it is over each image
whatever the reduction of other losses is, so that processes that share a step need not sort each other's pixels.

What the definition leaves open: ignored pixels are left out before errors are sorted, and the mean is over the classes that the
image's truth has; an image without valid pixels adds 0.

Letters: N images, K classes, H W image, V valid pixels of an image.
"""

import torch
from torch import Tensor


def lovasz(
    logits: Tensor, target: Tensor, ignore_index: int = 255, weights: Tensor | None = None, images: int | None = None
) -> Tensor:
    """Return the Lovász-softmax loss, a scalar in 0..1; 0 with a gradient of 0 without valid pixels.

    Parameters
    ----------
    logits, target
        Float (N, K, H, W), and int64 (N, H, W) with values 0..K-1 or ``ignore_index``.
    ignore_index
        The label of pixels that do not count.
    weights
        Of the classes, float (K,): the mean over an image's classes is weighted by them.
    images
        How many images are averaged over, those of all processes that share a step; N by default.

    Examples
    --------
    >>> sure = torch.tensor([[[[9e9, 9e9, 0.0]], [[0.0, 0.0, 9e9]]]])  # labels 0 0 1
    >>> lovasz(sure, torch.tensor([[[0, 1, 1]]]))  # IU is 1/2 for both
    tensor(0.5000)
    """
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probabilities = scores.softmax(1)
    found = (probabilities * 0).sum()
    for image, labels in zip(probabilities, target, strict=True):
        valid = labels != ignore_index
        if valid.any():
            found = found + _of_image(image[:, valid], labels[valid], weights)
    return found / (len(target) if images is None else images)


def _of_image(probabilities: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """Return the loss of probabilities (K, V) against labels (V,)."""
    classes = labels.unique().tolist()
    losses = []
    for label in classes:
        truth = (labels == label).to(probabilities.dtype)
        errors, order = (truth - probabilities[label]).abs().sort(descending=True, stable=True)
        losses.append((errors * _slopes(truth[order])).sum())
    parts = torch.ones(len(classes)) if weights is None else weights[classes]
    parts = parts.to(probabilities)
    return (torch.stack(losses) * parts).sum() / parts.sum().clamp(min=torch.finfo(parts.dtype).tiny)


def _slopes(truth: Tensor) -> Tensor:
    """Return by how much each further pixel (V,), in the order of the errors, adds to 1 - intersection over union."""
    true = truth.sum()
    intersection = true - truth.cumsum(0)
    union = true + (1 - truth).cumsum(0)
    lost = 1 - intersection / union
    return torch.cat([lost[:1], lost[1:] - lost[:-1]])
