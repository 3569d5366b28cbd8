"""The engine ``openvino``: the net converted for Intel's runtime, the fastest on x86 processors, of AMD too."""

import functools
import io
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fullconv.errors import SpecError
from fullconv.extras import extra_module
from fullconv.inference.engines.graph import arrays_of, check_on_cpu, onnx_of
from fullconv.inference.engines.net import NetEngine
from fullconv.inference.engines.precision import check_precision
from fullconv.nn.fcn import FCN

if TYPE_CHECKING:
    import openvino

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
"""What OpenVINO is told; left to itself it takes bfloat16 on processors that have it."""


class OpenVinoEngine(NetEngine):
    """A net, converted by OpenVINO when this is made, which takes one to some seconds; nothing is kept on disk.

    It computes with as many threads as PyTorch has, see ``torch.set_num_threads``.

    Parameters
    ----------
    model
        Is put in evaluation mode; on a CPU.
    precision
        ``fp32``, or ``bf16`` and ``fp16`` where the processor has them.
    onnx
        What :func:`fullconv.inference.engines.graph.onnx_of` gives of the model, where that is at hand.

    Raises
    ------
    SpecError
        When OpenVINO is not installed or cannot convert the net; when the processor lacks the precision; when the net is not on a
        CPU.
    """

    def __init__(self, model: FCN, precision: str = "fp32", onnx: bytes | None = None) -> None:
        check_on_cpu("openvino", model)
        _check_precision(precision)  # before the seconds that a conversion takes
        super().__init__(model.eval(), self._run)
        self.precision = precision
        self._compiled = compile_graph(read(onnx or onnx_of(model)), precision)
        self._own = threading.local()

    def _run(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        arrays = arrays_of(self.model, batch)
        if not hasattr(self._own, "request"):  # one for each thread, as a request holds its own results
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer(arrays)
        return {head: torch.from_numpy(found[place]) for place, head in enumerate(self.heads)}


def core() -> "openvino.Core":
    """Return OpenVINO itself, the same for all that runs in this process, kept until it ends.

    Its plugin for CPUs gives the thread that loads it a stack of its own for signals, and frees that when the last user of the
    plugin is gone. Where that happens in another thread, the first one's next signal, such as that of Ctrl-C, would be handled on
    freed memory, and the process would end by a segmentation fault. So the plugin is never let go.

    Raises
    ------
    SpecError
        When OpenVINO is not installed.
    """
    return _core(extra_module("openvino", "openvino"))


@functools.cache
def _core(openvino: ModuleType) -> "openvino.Core":
    return openvino.Core()


def read(onnx: bytes) -> "openvino.Model":
    """Return an ONNX graph as OpenVINO holds it.

    It is the way from PyTorch to OpenVINO: what PyTorch exports has sizes that are the least of two, in crops, and OpenVINO reads
    those only in the form that ONNX has for them.

    Raises
    ------
    SpecError
        When OpenVINO is not installed or cannot read the graph.
    """
    try:
        return core().read_model(io.BytesIO(onnx))
    except RuntimeError as error:  # OpenVINO's errors all are
        raise SpecError(f"openvino cannot convert this net: {' '.join(str(error).split())[:200]}; take another engine") from error


def compile_graph(graph: "openvino.Model", precision: str) -> "openvino.CompiledModel":
    """Return a graph, ready to run on the CPU.

    Raises
    ------
    SpecError
        When the processor lacks the precision.
    """
    _check_precision(precision)
    hints = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    return core().compile_model(graph, "CPU", hints | {"PERFORMANCE_HINT": "LATENCY"})


def _check_precision(precision: str) -> None:
    able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    known = [name for name in HINTS if name == "fp32" or name.upper() in able]
    check_precision("openvino", precision, known, "this CPU")
