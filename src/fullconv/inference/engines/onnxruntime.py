"""The engine ``onnxruntime``: the net as ONNX, in the runtime that most devices have."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fullconv.extras import extra_module
from fullconv.inference.engines.graph import arrays_of, check_on_cpu, onnx_of
from fullconv.inference.engines.net import NetEngine
from fullconv.inference.engines.precision import check_precision
from fullconv.nn.fcn import FCN

if TYPE_CHECKING:
    import onnxruntime


class OnnxRuntimeEngine(NetEngine):
    """A net, converted to ONNX when this is made, which takes some seconds; nothing is kept on disk.

    It computes with as many threads as PyTorch has, see ``torch.set_num_threads``.

    Parameters
    ----------
    model
        Is put in evaluation mode; on a CPU, smaller than 2 GB.
    precision
        ``fp32``, the only one.
    onnx
        What :func:`fullconv.inference.engines.graph.onnx_of` gives of the model, where that is at hand.

    Raises
    ------
    SpecError
        When ONNX Runtime or what writes ONNX is not installed; when the precision is another; when the net is not on a CPU or too
        large.
    """

    def __init__(self, model: FCN, precision: str = "fp32", onnx: bytes | None = None) -> None:
        check_precision("onnxruntime", precision, ["fp32"], "any processor")
        check_on_cpu("onnxruntime", model)
        super().__init__(model.eval(), self._run)
        self.precision = precision
        self._session = open_session(onnx or onnx_of(model))
        self._names = [port.name for port in self._session.get_inputs()]

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self._session.run(None, dict(zip(self._names, arrays_of(self.model, batch), strict=True)))
        return {head: torch.from_numpy(maps) for head, maps in zip(self.heads, found, strict=True)}


def open_session(graph: bytes | str, providers: Sequence[Any] = ()) -> "onnxruntime.InferenceSession":
    """Return an ONNX graph, ready to run on the CPU, or on what ``providers`` name before it.

    Parameters
    ----------
    graph
        The content of a file, or its path.
    providers
        As ONNX Runtime takes them.

    Raises
    ------
    SpecError
        When ONNX Runtime is not installed.
    """
    ort = extra_module("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what ends the process: errors are raised, and need not be printed too
    return ort.InferenceSession(graph, options, providers=[*providers, "CPUExecutionProvider"])
