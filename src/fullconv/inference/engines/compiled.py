"""The engine ``compiled``: the net through ``torch.compile``, once for all sizes.

Compiling takes from half a minute on and happens at the first image; on a CPU it needs a C++ compiler.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from fullconv.errors import SpecError
from fullconv.inference.engines.net import NetEngine
from fullconv.inference.engines.precision import TORCH_TYPES, check_torch_precision
from fullconv.inference.engines.recorded import Recorded
from fullconv.nn.fcn import FCN


class CompiledEngine(NetEngine):
    """A net in evaluation mode, compiled.

    Parameters
    ----------
    model
        Is put in evaluation mode.
    precision
        As for :class:`fullconv.inference.engines.eager.EagerEngine`.

    Raises
    ------
    SpecError
        When the processor lacks the precision.
    """

    def __init__(self, model: FCN, precision: str = "fp32") -> None:
        super().__init__(model.eval().to(memory_format=torch.channels_last), self._run)
        self.precision = precision
        check_torch_precision("compiled", precision, self.device)
        self._compiled = torch.compile(self.model.coarse, dynamic=True, fullgraph=True)
        self._computed = Recorded(self._once) if self.device.type == "cuda" else self._once

    def _run(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return self._computed(batch)

    def _once(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        from torch._dynamo.exc import BackendCompilerFailed, FailOnRecompileLimitHit

        dtype = TORCH_TYPES.get(self.precision)
        with torch.no_grad(), torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            try:
                return self._compiled(batch)
            except FailOnRecompileLimitHit:
                # sides of one pixel are compiled apart, and so is every net of a process: for more of them than PyTorch has
                # room for, the net runs as it is
                return self.model.coarse(batch)
            except BackendCompilerFailed as error:
                raise SpecError(
                    f"torch.compile cannot compile this net here ({' '.join(str(error).split())[:120]} …); on a CPU it needs a "
                    "C++ compiler such as g++; or take another engine, such as eager"
                ) from error
