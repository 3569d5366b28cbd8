"""What computes logits for a :class:`fullconv.Predictor`: the net itself, or the net in another runtime.

An engine is anything with these four; ``fullconv.inference.engines`` holds ours, one a file.

Letters: N images, C channels, H height, W width, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Engine(Protocol):
    """Images of any size to logits for every class at every pixel; several threads may call it at the same time."""

    @property
    def inputs(self) -> Sequence[str]:
        """The names of the inputs that it reads, such as ``rgb``; see ``fullconv.spec.INPUT_CHANNELS``."""
        ...

    @property
    def heads(self) -> Mapping[str, int]:
        """The number of classes K of each output, by name."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def __call__(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return logits float (N, K, H, W) of each head at the images' own size, for images on any device.

        Parameters
        ----------
        batch
            By input: uint8 or float 0–255 (N, C, H, W), RGB and further bands; depth float in metres.
        """
        ...
