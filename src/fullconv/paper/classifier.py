"""Training of a small image classifier, the net that an FCN is then made from. A plain loop: it takes a minute."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Labelled = tuple[NDArray[np.uint8], int]


def train_classifier(
    classifier: nn.Module,
    normalise: nn.Module,
    images: Sequence[Labelled],
    *,
    steps: int,
    batch_size: int = 32,
    learning_rate: float = 5e-3,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Return ``classifier`` trained in place by AdamW with a cosine schedule, in eval mode.

    Parameters
    ----------
    classifier
        Takes float (N, 3, H, W), gives logits (N, K).
    normalise
        What images in 0–255 go through first.
    images
        (image uint8 (H, W, 3), class) of one size; a random half of every batch is mirrored.
    steps, batch_size, learning_rate, seed
        Of the loop; ``learning_rate`` is the highest.
    progress
        Called after each step with its number (from 1) and its loss.
    """
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    pixels, labels = as_tensors(images)
    optimizer = torch.optim.AdamW(classifier.parameters(), learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    classifier.train()
    for step in range(1, steps + 1):
        chosen = torch.randint(len(pixels), (batch_size,), generator=draw)
        batch = pixels[chosen]
        mirrored = torch.rand(batch_size, generator=draw) < 0.5
        batch[mirrored] = batch[mirrored].flip(-1)
        loss = F.cross_entropy(classifier(normalise(batch).contiguous(memory_format=torch.channels_last)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step, loss.item())
    return classifier.eval()


def accuracy(classifier: nn.Module, normalise: nn.Module, images: Sequence[Labelled], batch_size: int = 64) -> float:
    """Return the share (0 to 1) of images whose class gets the highest logit."""
    pixels, labels = as_tensors(images)
    with torch.inference_mode():
        found = torch.cat([classifier(normalise(part)).argmax(1) for part in pixels.split(batch_size)])
    return (found == labels).float().mean().item()


def as_tensors(images: Sequence[Labelled]) -> tuple[Tensor, Tensor]:
    """Return images uint8 (N, 3, H, W) and classes int64 (N)."""
    pixels = np.stack([image for image, _ in images]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.tensor([label for _, label in images])
