"""The engine ``eager``: the net as PyTorch runs it, one operation after another. It needs nothing but PyTorch.

Two things are done for it: on x86 processors weights are packed once (:mod:`fullconv.inference.engines.packed`), and of nets
whose maps lie in good part where no pixel is seen, the rest alone is computed (:mod:`fullconv.nn.window`).
"""

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from fullconv.inference.engines.net import NetEngine
from fullconv.inference.engines.packed import can_pack, packed
from fullconv.inference.engines.precision import TORCH_TYPES, check_torch_precision
from fullconv.nn.fcn import FCN
from fullconv.nn.frame import Box
from fullconv.nn.trunk import Trunk
from fullconv.nn.window import Windowed


class EagerEngine(NetEngine):
    """A net in evaluation mode, in the layout of memory that convolutions are fastest in.

    Weights may be changed in place at any time; the next image is computed with the new ones. It gives no gradient.

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
        self._lock = threading.Lock()
        self._made: tuple[object, dict[str, Windowed]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # to another process goes the net; what is made of it is made there
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_made")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock, self._made = threading.Lock(), None

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        dtype = TORCH_TYPES.get(self.precision)
        with torch.no_grad(), torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            return self.model.coarse(batch, self._trunks(batch))

    def _trunks(self, batch: Mapping[str, Tensor]) -> dict[str, Callable[[Tensor], list[Tensor]]]:
        """Return what computes each stream's maps for images of this size."""
        height, width = next(iter(batch.values())).shape[-2:]
        inside = places(self.model, (height, width))[1]
        with self._lock:
            return {stream: functools.partial(_maps, net, inside) for stream, net in self._nets().items()}

    def in_windows(self, size: tuple[int, int]) -> bool:
        """Whether further images of (height, width) are computed in the windows that an image can change alone."""
        with self._lock:
            return all(net.saves(*places(self.model, size)) for net in self._nets().values())

    def _nets(self) -> dict[str, Windowed]:
        """Return each stream's net, made again where weights have changed."""
        stand = _stand(self.model)
        if self._made is None or self._made[0] != stand:
            self._made = stand, {stream: self._net(trunk) for stream, trunk in self.model.trunks.items()}
        return self._made[1]

    def _net(self, trunk: Trunk) -> Windowed:
        weights = {tensor.dtype for tensor in trunk.parameters()}
        if can_pack(self.device) and weights == {torch.float32}:
            return Windowed(packed(trunk.graph, TORCH_TYPES.get(self.precision, torch.float32)), trunk.geometry)
        self.model.to(memory_format=torch.channels_last)
        return Windowed(trunk.graph, trunk.geometry)


def places(model: FCN, size: tuple[int, int]) -> tuple[tuple[int, int], Box]:
    """Return the size that an image of (height, width) is padded to in front of the trunks, and where the image then lies."""
    padding = model.fit.padding
    height, width = (padding.before + side + padding.behind(side) for side in size)
    rows, columns = ((padding.before, padding.before + side - 1) for side in size)
    return (height, width), Box(rows, columns)


def _maps(net: Windowed, inside: Box, images: Tensor) -> list[Tensor]:
    return net(images.contiguous(memory_format=torch.channels_last), inside)


def _stand(model: FCN) -> tuple[tuple[int, int], ...]:
    """Return what tells whether a tensor of the trunks is another than it was, or was written to."""
    tensors = [tensor for trunk in model.trunks.values() for tensor in (*trunk.parameters(), *trunk.buffers())]
    return tuple((tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
