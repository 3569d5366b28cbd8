"""A step's batch in parts, whose gradients add up to those of the whole (``train.accumulate``)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from fullconv.data.loading import Batch
from fullconv.data.sample import IGNORE
from fullconv.errors import SpecError
from fullconv.spec import TrainSpec

VALID = "valid"
"""In a part of a batch: the valid pixels of the whole, a scalar a head."""


def check_parts(train: TrainSpec) -> None:
    """Make sure that every process has an image for each part of a step.

    Raises
    ------
    SpecError
        When it has not.
    """
    processes = train.nodes
    if train.devices != "auto":
        processes *= train.devices
    elif train.accelerator != "cpu":
        processes *= max(1, torch.cuda.device_count())
    if train.batch_size == "auto":  # as many as each process holds
        return
    if train.accumulate > 1 and train.images_per_step < processes * train.accumulate:
        raise SpecError(
            f"train.batch_size {train.batch_size} with train.accumulate {train.accumulate} makes steps of "
            f"{train.images_per_step} images, too few for {processes} processes with {train.accumulate} parts each; take "
            f"train.batch_size {processes} or more, which all processes share, or train.devices 1"
        )


def micro_batches(batches: Iterable[Batch], parts: int, ignored: Mapping[str, int]) -> Iterator[Batch]:
    """Yield each batch in ``parts``, equally large to one image, that know the valid pixels of the whole.

    A mean over the pixels of a step is no mean of its parts' means where these have unlike numbers of valid pixels; so each
    part's sum is divided by the number of the whole, see :func:`valid_of_step`. With one part the batches are as they were.

    Parameters
    ----------
    batches
        Of at least ``parts`` images.
    parts
        ``train.accumulate``.
    ignored
        The label of each head's pixels without ground truth, besides that of padding.
    """
    for batch in batches:
        if parts == 1:
            yield batch
            continue
        valid = {head: _valid(batch["targets"][head], own) for head, own in ignored.items()}
        for chosen in np.array_split(np.arange(len(batch["names"])), parts):
            part = slice(int(chosen[0]), int(chosen[-1]) + 1)
            found: dict[str, Any] = {
                "inputs": {stream: images[part] for stream, images in batch["inputs"].items()},
                "targets": {head: labels[part] for head, labels in batch["targets"].items()},
                "names": batch["names"][part],
                VALID: valid,
            }
            yield cast(Batch, found)


def valid_of_step(batch: Batch) -> dict[str, Tensor]:
    """Return the valid pixels of the step that a part is of, int64 scalars by head; nothing for a whole batch."""
    return cast(dict[str, Any], batch).get(VALID, {})


class WholeSteps:
    """The way back to the end of the last whole step, for a stage that is saved while a step waits for its images.

    The parts of a step that were computed already have left nothing but gradients, which no save holds, and the statistics of
    batch norm; a stage that goes on computes all parts of the step again.

    Parameters
    ----------
    parts
        ``train.accumulate``.
    """

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._buffers: dict[str, Tensor] = {}

    @torch.no_grad()
    def begin(self, model: nn.Module, batch_idx: int) -> None:
        """Take note of what the first part of a step finds."""
        if self.parts > 1 and batch_idx % self.parts == 0:
            self._buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}

    @torch.no_grad()
    def restore(self, trainer: pl.Trainer, model: nn.Module) -> None:
        """Take back the parts of a step that is not whole: in the model, and in Lightning's count of what is done."""
        progress = trainer.fit_loop.epoch_loop.batch_progress
        begun = progress.current.completed % self.parts
        if not begun:
            return
        for name, buffer in model.named_buffers():
            buffer.copy_(self._buffers[name])
        progress.increment_by(-begun)


def _valid(target: Tensor, own: int) -> Tensor:
    return torch.as_tensor(((target != IGNORE) & (target != own)).sum())
