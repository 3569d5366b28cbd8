"""A step's batch in parts, whose gradients add up to those of the whole (``train.accumulate``)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from fullconv.data.loading import Batch
from fullconv.data.sample import IGNORE

VALID = "valid"
"""In a part of a batch: the valid pixels of the whole, a scalar a head."""


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
        The label of each head's pixels without truth, besides that of padding.
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


def _valid(target: Tensor, own: int) -> Tensor:
    return torch.as_tensor(((target != IGNORE) & (target != own)).sum())
