"""int8: weights and activations in 8 bits, their ranges from images that a net is run on, by NNCF.

The layers that make logits, and what is behind them, stay in float32: a step of 1/255 of the largest logit moves the borders
between classes, and these layers are few. Where the rest changes too many labels, the layers whose rounding changes most go back
to float32 one after the other: those in front as a rule, whose errors all others pass on (docs/results.md has figures).
"""

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fullconv.extras import extra_module
from fullconv.inference.engines.onnxruntime import open_session
from fullconv.inference.engines.openvino import compile_graph

MARGIN = 0.5
"""Of the labels that may change, the share that may in the images of the search: in others more do."""
MOST_FLOAT = 0.5
"""Share of a net's convolutions that go back to float32 at most; with more it would be int8 by name only."""

Arrays = Callable[[Sequence[Tensor]], Any]
"""Makes of inputs in order what a runtime takes."""
Node = tuple[str, str, Sequence[str], Sequence[str]]
"""Name, kind, inputs and outputs."""


@dataclass(frozen=True)
class Calibration:
    """Images for the ranges of activations, and for the search for what stays in float32.

    Parameters
    ----------
    names
        Of the inputs.
    images
        Inputs of one image each, in the order of the names, as the graph reads them: ranges come from them.
    checked
        The like; labels before and after are compared on them.
    labels_of
        Labels of what the graph gives, for each head.
    most_changed
        The share of labels that may differ in the end, 0 to 1.
    """

    names: Sequence[str]
    images: Sequence[Sequence[Tensor]]
    checked: Sequence[Sequence[Tensor]]
    labels_of: Callable[[Sequence[Tensor]], Sequence[Tensor]]
    most_changed: float


def quantised_onnx(proto: Any, calibration: Calibration) -> tuple[Any, str]:
    """Return a quantised copy of ONNX's ``ModelProto``, and how much of it is in 8 bits, in words."""

    def arrays(one: Sequence[Tensor]) -> dict[str, Any]:
        return {name: each.numpy() for name, each in zip(calibration.names, one, strict=True)}

    def opened(model: Any) -> Callable[[Any], Sequence[Any]]:
        session = open_session(model.SerializeToString())
        return lambda one: session.run(None, one)

    found = _quantised(proto, calibration, _onnx_nodes(proto), arrays, opened)
    return found, _told(_onnx_nodes(found))


def quantised_openvino(model: Any, calibration: Calibration) -> tuple[Any, str]:
    """Return a quantised copy of an OpenVINO model, and how much of it is in 8 bits, in words."""
    compiled_kind = extra_module("openvino", "openvino").CompiledModel

    def arrays(one: Sequence[Tensor]) -> list[Any]:
        return [each.numpy() for each in one]

    def opened(given: Any) -> Callable[[Any], Sequence[Any]]:
        compiled = given if isinstance(given, compiled_kind) else compile_graph(given, "fp32")
        return lambda one: list(compiled(one).values())

    found = _quantised(model, calibration, _openvino_nodes(model), arrays, opened)
    return found, _told(_openvino_nodes(found))


def _onnx_nodes(proto: Any) -> list[Node]:
    return [(node.name, node.op_type, list(node.input), list(node.output)) for node in proto.graph.node]


def _openvino_nodes(model: Any) -> list[Node]:
    return [
        (
            operation.get_friendly_name(),
            operation.get_type_name(),
            [source.get_source_output().get_node().get_friendly_name() for source in operation.inputs()],
            [operation.get_friendly_name()],
        )
        for operation in model.get_ordered_ops()
    ]


def _quantised(
    model: Any, calibration: Calibration, nodes: Sequence[Node], arrays: Arrays, opened: Callable[[Any], Callable[[Any], Any]]
) -> Any:
    nncf = extra_module("nncf", "int8")
    nncf.set_log_level(logging.ERROR)
    keep_nncf_to_itself()
    tail = _tail(nodes)
    convolutions = sum(kind in CONVOLUTIONS and name not in tail for name, kind, _, _ in nodes)
    checked = [(place, arrays(one)) for place, one in enumerate(calibration.checked)]

    def labels(run: Callable[[Any], Any], one: Any) -> Sequence[Tensor]:
        return calibration.labels_of([torch.from_numpy(np.asarray(output)) for output in run(one)])

    run = opened(model)
    truth = [labels(run, one) for _, one in checked]

    def agreement(given: Any, items: Iterable[tuple[int, Any]]) -> tuple[float, list[float]]:
        run = opened(given)
        shares = []
        for place, one in items:
            same = torch.cat([(own == other).flatten() for own, other in zip(truth[place], labels(run, one), strict=True)])
            shares.append(float(same.double().mean()))
        return float(np.mean(shares)), shares

    with contextlib.redirect_stdout(sys.stderr):  # its progress; standard output is for results
        return nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset([arrays(one) for one in calibration.images]),
            nncf.Dataset(checked),
            agreement,
            max_drop=MARGIN * calibration.most_changed,
            subset_size=len(calibration.images),
            preset=nncf.QuantizationPreset.MIXED,  # with zero points for activations, most of which are never negative
            ignored_scope=nncf.IgnoredScope(names=list(tail), validate=False),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                max_num_iterations=max(1, int(MOST_FLOAT * convolutions)),
                ranking_subset_size=len(checked),
                num_ranking_workers=1,
            ),
        )


def keep_nncf_to_itself() -> None:
    """Let NNCF send no usage statistics, as it does without being asked wherever nobody has opted out for all of OpenVINO."""
    telemetry = importlib.import_module("nncf.telemetry.wrapper").telemetry
    if hasattr(telemetry, "_impl"):  # not where OpenVINO's package for that is missing
        telemetry._impl.consent = False


def _told(nodes: Sequence[Node]) -> str:
    """Return how many convolutions have weights in 8 bits: what stands in front of these is no constant but a conversion."""
    kinds = {output: node[1] for node in nodes for output in node[3]}
    weights = [kinds.get(inputs[1], "Constant") for _, kind, inputs, _ in nodes if kind in CONVOLUTIONS]
    return f"{sum(kind != 'Constant' for kind in weights)} of {len(weights)} convolutions are in 8 bits"


CONVOLUTIONS = ("Conv", "Convolution", "GroupConvolution")
DECONVOLUTIONS = ("ConvTranspose", "ConvolutionBackpropData", "GroupConvolutionBackpropData")


def _tail(nodes: Sequence[Node]) -> list[str]:
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
