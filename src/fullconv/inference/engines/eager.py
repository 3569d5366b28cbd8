"""The engine ``eager``: the net as PyTorch runs it, one operation after another. It needs nothing but PyTorch."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fullconv.inference.engines.net import NetEngine
from fullconv.inference.engines.precision import TORCH_TYPES, check_torch_precision
from fullconv.nn.fcn import FCN


class EagerEngine(NetEngine):
    """A net in evaluation mode, in the layout of memory that convolutions are fastest in.

    Parameters
    ----------
    model
        Is put in evaluation mode.
    precision
        ``fp32``; ``bf16`` or ``fp16``: in which convolutions compute, by autocast; weights stay float32.

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
        super().__init__(model.eval().to(memory_format=torch.channels_last), self._run)
        self.precision = precision
        check_torch_precision("eager", precision, self.device)

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.precision == "fp32":
            return self.model.coarse(batch)
        with torch.autocast(self.device.type, TORCH_TYPES[self.precision]):
            return self.model.coarse(batch)
