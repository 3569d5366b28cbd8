"""How often each class occurs in a training set, and the weights that balance them (paper, section 4.3)."""

from collections.abc import Mapping

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from fullconv.data.loading import val_loader
from fullconv.data.sample import Dataset
from fullconv.nn.losses.cross_entropy import balanced_weights
from fullconv.spec import DataSpec
from fullconv.training.interrupt import Stopped, StopRequest


def class_weights(dataset: Dataset, spec: DataSpec, console: Console, request: StopRequest) -> dict[str, Tensor]:
    """Return :func:`fullconv.nn.losses.cross_entropy.balanced_weights` of every head, float32 (K,); say what they are.

    Parameters
    ----------
    dataset, spec
        Training samples, counted as they are (not changed at random), and the number of reading processes.
    console
        For progress.
    request
        Whether somebody asked for the end.

    Raises
    ------
    Stopped
        When the end was asked for.
    """
    found = {}
    for head, pixels in pixel_counts(dataset, spec, console, request).items():
        found[head] = balanced_weights(pixels)
        names = dataset.labels[head].names
        listed = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(names, found[head].tolist(), strict=True))
        console.print(f"class weights of {head}: {listed}", highlight=False, soft_wrap=True)
    return found


def pixel_counts(dataset: Dataset, spec: DataSpec, console: Console, request: StopRequest) -> Mapping[str, Tensor]:
    """Return how many pixels of ``dataset`` are of each class, int64 (K,) a head; for the arguments see :func:`class_weights`."""
    counts = {head: torch.zeros(len(labels), dtype=torch.int64) for head, labels in dataset.labels.items()}
    batches = val_loader(dataset, spec)
    for batch in track(batches, "counting classes", console=console, transient=True, disable=not console.is_terminal):
        if request.asked:
            raise Stopped("stopped while counting the classes")
        for head, count in counts.items():
            target = batch["targets"][head]
            count += torch.bincount(target[target != dataset.labels[head].ignore_index], minlength=len(count))
    return counts
