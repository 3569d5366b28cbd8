"""A net as a graph that other runtimes read: exported once, for every number of images, height and width."""

import threading
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fullconv.errors import SpecError
from fullconv.extras import extra_module
from fullconv.nn.fcn import FCN
from fullconv.nn.inputs import check_inputs

if TYPE_CHECKING:
    from torch.export import ExportedProgram

EXAMPLE = (2, 64, 96)
"""Images, height and width that a net is traced with: none of them 1, which would be taken for a constant."""
_ONE_AT_A_TIME = threading.RLock()
"""The filters of warnings belong to the whole process: two threads must not put them back across each other."""


class Coarse(nn.Module):
    """The part of a net that :meth:`fullconv.nn.fcn.FCN.coarse` runs, as a module of its own."""

    def __init__(self, model: FCN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits (N, K, h, w) by head before their last upsampling."""
        return self.model.coarse(images)


def export_coarse(model: FCN) -> "ExportedProgram":
    """Return the graph of :class:`Coarse`, which reads float32 images (N, C, H, W), one after another as ``model.inputs``.

    Parameters
    ----------
    model
        In evaluation mode, on a CPU.
    """
    images, *size = EXAMPLE
    example = {name: torch.zeros(images, model.channels_of(name), *size) for name in model.inputs}
    axes = {
        name: {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC} for name in model.inputs
    }
    with _ONE_AT_A_TIME, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch about itself
        return torch.export.export(Coarse(model), (example,), dynamic_shapes=(axes,))


def onnx_of(model: FCN) -> bytes:
    """Return the same graph in ONNX.

    Raises
    ------
    SpecError
        When the packages that write it are not installed, or it is larger than the 2 GB that one file may have.
    """
    extra_module("onnxscript", "onnx")  # torch needs it, and says so less plainly
    program = export_coarse(model)
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.onnx.export(program, dynamo=True, verbose=False)
    assert found is not None  # as it is with dynamo
    try:
        return found.model_proto.SerializeToString()
    except ValueError as error:
        raise SpecError("the net is larger than the 2 GB that an ONNX file may have; take the engine eager") from error


def arrays_of(model: FCN, batch: Mapping[str, Tensor]) -> list[NDArray[np.float32]]:
    """Return a batch as what an exported graph reads, after the checks that the net itself would do.

    Raises
    ------
    SpecError
        See :func:`fullconv.nn.inputs.check_inputs`.
    """
    check_inputs(model.inputs, batch, {name: model.channels_of(name) for name in model.inputs})
    return [batch[name].to(torch.float32).contiguous().numpy() for name in model.inputs]


def check_on_cpu(engine: str, model: FCN) -> None:
    """Check that a net is on the CPU, the only device of some engines.

    Raises
    ------
    SpecError
        When it is elsewhere.
    """
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise SpecError(f"{engine} computes on the CPU, and the device is {device}; give the device cpu, or the engine eager")
