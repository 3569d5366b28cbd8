"""The engine ``eager``: the net as PyTorch runs it, one operation after another. It needs nothing but PyTorch.

What is done for it: batch normalisation is folded into convolutions, whose weights are brought into the precision once
(:mod:`fullconv.inference.engines.folded`); on x86 processors weights are packed (:mod:`fullconv.inference.engines.packed`) and
convolutions of many channels computed with a quarter of the multiplications (:mod:`fullconv.inference.engines.winograd`);
of nets whose maps lie in good part where no pixel is seen, the rest alone is computed (:mod:`fullconv.nn.window`); and on a card,
what is computed again and again for images of one shape is recorded (:mod:`fullconv.inference.engines.recorded`).
"""

import functools
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fullconv.inference.engines.folded import FoldedConv2d, folded
from fullconv.inference.engines.net import NetEngine, Runtime
from fullconv.inference.engines.packed import can_pack
from fullconv.inference.engines.precision import TORCH_TYPES, check_torch_precision
from fullconv.inference.engines.recorded import Recorded
from fullconv.inference.engines.winograd import WinogradConv2d
from fullconv.nn.fcn import FCN
from fullconv.nn.frame import Box
from fullconv.nn.trunk import Trunk
from fullconv.nn.window import Windowed


class EagerEngine(NetEngine):
    """A net in evaluation mode, in the layout of memory that convolutions are fastest in.

    Weights may be changed in place at any time, though not through ``.data``, where PyTorch does not count it; the next image is
    computed with the new ones. It gives no gradient.

    Parameters
    ----------
    model
        Is put in evaluation mode.
    precision
        ``fp32``; ``bf16`` or ``fp16``: in which convolutions compute; the net's own weights stay float32.

    Raises
    ------
    SpecError
        When the processor lacks the precision.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> engine = EagerEngine(build_model("fcn8s-minivgg", 2))
    >>> engine({"rgb": torch.zeros(1, 3, 37, 50, dtype=torch.uint8)})["semantic"].shape
    torch.Size([1, 2, 37, 50])
    """

    def __init__(self, model: FCN, precision: str = "fp32") -> None:
        super().__init__(model.eval(), self._run)
        self.precision = precision
        check_torch_precision("eager", precision, self.device)
        if not can_pack(self.device):
            self.model.to(memory_format=torch.channels_last)
        self._lock = threading.Lock()
        self._made: _Made | None = None

    def __getstate__(self) -> dict[str, Any]:
        # to another process goes the net; what is made of it is made there
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_made")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock, self._made = threading.Lock(), None

    def _run(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        with self._lock, torch.no_grad():  # an inner no_grad keeps inference mode where the caller is in it
            made = self._current()
        return made.run(batch)

    def computed(self, size: tuple[int, int]) -> float:
        """Return the share of the multiplications that define the trunks that is computed for images of (height, width)."""
        with self._lock, torch.no_grad():
            return max(net.computed(*places(self.model, size)) for net in self._current().nets.values())

    def _current(self) -> "_Made":
        """Return what is made of the net, made again where weights have changed."""
        stand = _stand(self.model)
        if self._made is None or self._made.stand != stand:
            nets = {stream: self._net(trunk) for stream, trunk in self.model.trunks.items()}
            run: Runtime = functools.partial(_coarse, self.model, nets, TORCH_TYPES.get(self.precision))
            if self.device.type == "cuda":
                run = Recorded(run, lambda: [net.kept for net in nets.values()])
            self._made = _Made(stand, nets, run)
        return self._made

    def _net(self, trunk: Trunk) -> Windowed:
        if {tensor.dtype for tensor in trunk.parameters()} != {torch.float32}:
            return Windowed(trunk.graph, trunk.geometry)
        kind = WinogradConv2d if can_pack(self.device) else FoldedConv2d
        return Windowed(folded(trunk.graph, TORCH_TYPES.get(self.precision, torch.float32), kind), trunk.geometry)


class _Made(NamedTuple):
    """What an engine makes of a net: of which weights, each stream's trunk, and all of it but the last upsampling."""

    stand: object
    nets: dict[str, Windowed]
    run: Runtime


def _coarse(
    model: FCN, nets: Mapping[str, Windowed], dtype: torch.dtype | None, batch: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return what :meth:`FCN.coarse` gives, with other trunks."""
    first = next(iter(batch.values()))
    inside = places(model, (first.shape[-2], first.shape[-1]))[1]
    trunks = {stream: functools.partial(_maps, net, inside) for stream, net in nets.items()}
    with torch.no_grad(), torch.autocast(first.device.type, dtype, dtype is not None, cache_enabled=False):
        return model.coarse(batch, trunks)


def places(model: FCN, size: tuple[int, int]) -> tuple[tuple[int, int], Box]:
    """Return the size that an image of (height, width) is padded to in front of the trunks, and where the image then lies."""
    padding = model.fit.padding
    height, width = (padding.before + side + padding.behind(side) for side in size)
    rows, columns = ((padding.before, padding.before + side - 1) for side in size)
    return (height, width), Box(rows, columns)


def _maps(net: Windowed, inside: Box, images: Tensor) -> list[Tensor]:
    return net(images.contiguous(memory_format=torch.channels_last), inside)


def _stand(model: FCN) -> tuple[tuple[int, int], ...]:
    """Return what tells whether a tensor of the net is another than it was, or was written to."""
    tensors = (*model.parameters(), *model.buffers())
    return tuple((tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
