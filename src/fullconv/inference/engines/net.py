"""An FCN as an engine: a runtime computes its coarse logits, and the last upsampling follows here, in strips where that will do.

The last upsampling makes 64 numbers of one (at stride 8), so what it takes is memory more than computing. Of a photograph of
2000×2000 pixels and 21 classes the logits are 336 MB, which are written and read several times before they are labels. Strips are
small, and every runtime is spared the copy of its result.

Letters: N images, C channels, H W image, h w map, K classes.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from fullconv.inference.device import moved
from fullconv.nn.fcn import FCN

STRIP = 256
"""Rows of the image that are upsampled at once: few enough to be small, and enough to take no longer than the whole image
(``benchmarks/strips.py``)."""
ON_CARD = 2**28
"""Bytes of logits in a strip on a card, where strips take longer than the whole image: each waits for the card."""

Runtime = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""Images (N, C, H, W) by input to what :meth:`fullconv.nn.fcn.FCN.coarse` gives of them: (N, K, h, w) by head."""


class NetEngine:
    """An FCN of which a runtime computes the coarse logits.

    Parameters
    ----------
    model
        In evaluation mode.
    runtime
        Gets images on the model's device.
    """

    def __init__(self, model: FCN, runtime: Runtime) -> None:
        self.model, self.runtime = model, runtime
        self.inputs, self.heads = tuple(model.inputs), dict(model.heads)

    @property
    def device(self) -> torch.device:
        """Where the net's weights are."""
        return next(self.model.parameters()).device

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits float32 (N, K, H, W) of each head; see :class:`fullconv.inference.engine.Engine`."""
        height, width = next(iter(batch.values())).shape[-2:]
        return {head: self._rows(head, maps, 0, height, width) for head, maps in self._coarse(batch).items()}

    def strips(self, batch: Mapping[str, Tensor], head: str) -> Iterator[Tensor]:
        """Yield logits float32 (N, K, rows, W) of one head; see :class:`fullconv.inference.engine.InStrips`."""
        height, width = next(iter(batch.values())).shape[-2:]
        maps = self._coarse(batch)[head]
        strip = STRIP if maps.device.type == "cpu" else max(STRIP, ON_CARD // (maps.shape[0] * maps.shape[1] * width * 4))
        for first in range(0, height, strip):
            yield self._rows(head, maps, first, min(first + strip, height), width)

    def _coarse(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self.runtime({name: moved(images, self.device) for name, images in batch.items()})
        # the last upsampling is done in float32 whatever came before: it is cheap, and labels depend on small differences
        return {head: maps.float().contiguous(memory_format=torch.channels_last) for head, maps in found.items()}

    def _rows(self, head: str, maps: Tensor, first: int, last: int, width: int) -> Tensor:
        upsample, start = self.model.last_upsampling(head), self.model.crop.start
        maps = maps.to(upsample.weight.dtype)  # a net may have been brought into other numbers as a whole
        return upsample.rows(maps, start + first, start + last)[..., start : start + width].float()
