"""One class against background: labels by a threshold on the class's probability, in place of the more probable of the two."""

import torch
from torch import Tensor

from fullconv.errors import SpecError
from fullconv.labels import LabelSet


def check_threshold(threshold: float | None, labels: LabelSet, head: str) -> None:
    """Make sure that a threshold, if there is one, is a probability, and that the head has two classes.

    Raises
    ------
    SpecError
        When it is not so.
    """
    if threshold is None:
        return
    if not 0 < threshold < 1:
        raise SpecError(f"the threshold is {threshold:g}; it is a probability, above 0 and below 1")
    if labels.foreground is None:
        raise SpecError(
            f"a threshold is for one class against another, and {head} has {len(labels)} classes, of which the most probable is "
            "taken; leave the threshold out"
        )


def labels_at(logits: Tensor, labels: LabelSet, threshold: float | None) -> Tensor:
    """Return the labels uint8 (N, H, W) of logits (N, K, H, W).

    Without a threshold they are the most probable classes. With one, of two classes, a pixel is of
    :attr:`~fullconv.labels.LabelSet.foreground` where the probability of that class (softmax over both) is at least as large.

    Raises
    ------
    SpecError
        As :func:`check_threshold`.

    Examples
    --------
    >>> logits = torch.tensor([[[[0.0, 0.0, 0.0]], [[-1.0, 0.1, 2.0]]]])
    >>> classes = LabelSet(("background", "road"))
    >>> [labels_at(logits, classes, threshold)[0, 0].tolist() for threshold in (None, 0.2, 0.6)]
    [[0, 1, 1], [1, 1, 1], [0, 0, 1]]
    """
    check_threshold(threshold, labels, "this model's output")
    one = labels.foreground
    if threshold is None or one is None:
        return logits.max(1).indices.to(torch.uint8)  # what argmax gives, several times faster
    found = logits.float().softmax(1)[:, one] >= threshold
    return found.to(torch.uint8) if one else 1 - found.to(torch.uint8)
