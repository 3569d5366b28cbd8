"""The engine ``eager``: the net as PyTorch runs it, one operation after another."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fullconv.nn.fcn import FCN


class EagerEngine:
    """A net in evaluation mode, in the layout of memory that convolutions are fastest in.

    Parameters
    ----------
    model
        Is put in evaluation mode.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> engine = EagerEngine(build_model("fcn8s-minivgg", 2))
    >>> engine({"rgb": torch.zeros(1, 3, 37, 50, dtype=torch.uint8)})["semantic"].shape
    torch.Size([1, 2, 37, 50])
    """

    def __init__(self, model: FCN) -> None:
        self.model = model.eval().to(memory_format=torch.channels_last)
        self.inputs = tuple(model.inputs)
        self.heads = dict(model.heads)

    @property
    def device(self) -> torch.device:
        """Where the net's weights are."""
        return next(self.model.parameters()).device

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits float (N, K, H, W) of each head; see :class:`fullconv.inference.engine.Engine`."""
        return self.model({stream: images.to(self.device) for stream, images in batch.items()})
