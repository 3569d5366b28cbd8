"""What computes logits for a :class:`fullconv.Predictor`: the net itself, or the net in another runtime.

``fullconv.inference.engines`` holds ours: eager, compiled, openvino, onnxruntime; docs/engines.md says which to take when.

Letters: N images, C channels, H height, W width, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class InStrips(Protocol):
    """An engine that can also give logits strip by strip, so that those of a large image are never in memory at once."""

    def strips(self, batch: Mapping[str, Tensor], head: str) -> Iterator[Tensor]:
        """Yield logits float (N, K, rows, W) of one head from the top of the images to their end."""
        ...
