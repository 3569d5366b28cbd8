"""int8: weights and activations in 8 bits, their ranges from images that a net is run on, by NNCF.

The layers that make logits, and what is behind them, stay in float32: a step of 1/255 of the largest logit moves the borders
between classes, and these layers are few.
"""

import contextlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fullconv.inference.runtimes import runtime


@dataclass(frozen=True)
class Calibration:
    """Images for the ranges of activations.

    Parameters
    ----------
    names
        Of the inputs.
    images
        Inputs of one image each, in the order of the names, as the graph reads them.
    """

    names: Sequence[str]
    images: Sequence[Sequence[Tensor]]


def quantised_onnx(proto: Any, calibration: Calibration) -> Any:
    """Return a quantised copy of ONNX's ``ModelProto``."""
    tail = _tail([(node.name, node.op_type, list(node.input), list(node.output)) for node in proto.graph.node])
    return _quantised(
        proto,
        [{name: each.numpy() for name, each in zip(calibration.names, one, strict=True)} for one in calibration.images],
        tail,
    )


def quantised_openvino(model: Any, calibration: Calibration) -> Any:
    """Return a quantised copy of an OpenVINO model."""
    nodes = [
        (
            operation.get_friendly_name(),
            operation.get_type_name(),
            [source.get_source_output().get_node().get_friendly_name() for source in operation.inputs()],
            [operation.get_friendly_name()],
        )
        for operation in model.get_ordered_ops()
    ]
    return _quantised(model, [[each.numpy() for each in one] for one in calibration.images], _tail(nodes))


def _quantised(model: Any, images: Sequence[Any], tail: Sequence[str]) -> Any:
    nncf = runtime("nncf", "int8")
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr):  # its progress; standard output is for results
        return nncf.quantize(
            model,
            nncf.Dataset(images),
            subset_size=len(images),
            preset=nncf.QuantizationPreset.MIXED,  # with zero points for activations, most of which are never negative
            ignored_scope=nncf.IgnoredScope(names=list(tail), validate=False),
        )


CONVOLUTIONS = ("Conv", "Convolution", "GroupConvolution")
DECONVOLUTIONS = ("ConvTranspose", "ConvolutionBackpropData", "GroupConvolutionBackpropData")


def _tail(nodes: Sequence[tuple[str, str, Sequence[str], Sequence[str]]]) -> list[str]:
    """Return the names of score layers, deconvolutions and all behind them, of (name, kind, inputs, outputs) in order.

    A score layer is the nearest convolution in front of a deconvolution or of a merge with what comes out of one.
    """
    maker = {output: node for node in nodes for output in node[3]}
    found: dict[str, None] = {}
    behind: set[str] = set()
    for name, kind, inputs, outputs in nodes:
        if kind in DECONVOLUTIONS or behind.intersection(inputs):
            found[name] = None
            behind.update(outputs)
            front = [maker[each] for each in inputs if each in maker and each not in behind]
            while front:
                node = front.pop()
                if node[0] in found:
                    continue
                found[node[0]] = None
                if node[1] not in CONVOLUTIONS:
                    front += [maker[each] for each in node[2] if each in maker]
    return list(found)
