"""The three formats of exported files: a traced graph becomes a file's content, and the content is written with its metadata."""

import io
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.export import ExportedProgram

from fullconv.errors import SpecError
from fullconv.extras import extra_module
from fullconv.inference.engines.openvino import read
from fullconv.inference.exported import KEY, TORCH_ENTRY
from fullconv.interop.export.quantise import Calibration, quantised_onnx, quantised_openvino
from fullconv.nn.float16 import takes_half

DIMENSIONS = {4: ("N", "C", "H", "W"), 3: ("N", "H", "W")}
"""What the axes of a logits file's inputs and of a labels file's outputs are called."""


class Content(Protocol):
    """What an exported file holds, in memory.

    Attributes
    ----------
    said
        How much of an int8 file is in 8 bits; empty of others.
    """

    said: str

    @abstractmethod
    def write(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write it to ``path``, and beside it what belongs to it, with what it says of itself."""


def make_content(
    format: str, program: ExportedProgram, names: tuple[Sequence[str], Sequence[str]], half: bool, calibration: Calibration | None
) -> Content:
    """Return a traced graph as the content of a file of a format: ``onnx``, ``openvino`` or ``torch``.

    Parameters
    ----------
    program
        From :func:`fullconv.interop.export.graph.trace`; for half precision of a net with half weights, except for OpenVINO.
    names
        Of inputs and outputs.
    half
        Store large weights in 16 bits; the other formats have them from the program.
    calibration
        Images by which activations become int8; ``None`` leaves them.
    """
    if format == "torch":
        return TorchContent(program)
    proto = onnx_of(program, *names)
    if format == "onnx":
        return OnnxContent(proto, "") if calibration is None else OnnxContent(*quantised_onnx(proto, calibration))
    return OpenvinoContent(proto, names, half, calibration)


class TorchContent:
    """A ``.pt2``: the graph as torch.export stores it."""

    said = ""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program

    def write(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the program; the metadata are an extra file in its archive."""
        content = io.BytesIO()  # a path would have to end in .pt2, which a temporary one need not
        torch.export.save(self._program, content, extra_files={TORCH_ENTRY: json.dumps(metadata)})
        path.write_bytes(content.getbuffer())


class OnnxContent:
    """An ``.onnx``, weights included."""

    def __init__(self, proto: Any, said: str) -> None:
        self._proto = proto
        self.said = said

    def write(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the model; the metadata are an entry of its ``metadata_props``."""
        del self._proto.metadata_props[:]
        self._proto.metadata_props.add(key=KEY, value=json.dumps(metadata))
        path.write_bytes(self._proto.SerializeToString())


class OpenvinoContent:
    """An ``.xml`` with the graph and a ``.bin`` of the same name with the weights."""

    def __init__(
        self, proto: Any, names: tuple[Sequence[str], Sequence[str]], half: bool, calibration: Calibration | None
    ) -> None:
        ov = extra_module("openvino", "openvino")
        self._model = read(proto.SerializeToString())
        for ports, wanted in zip((self._model.inputs, self._model.outputs), names, strict=True):
            for port, name in zip(ports, wanted, strict=True):
                port.get_tensor().set_names({name})
        self.said = ""
        if calibration is not None:
            self._model, self.said = quantised_openvino(self._model, calibration)
        if half:
            _store_in_half(self._model, ov)
        self._ov = ov

    def write(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write graph and weights; the metadata are the runtime information ``fullconv``."""
        self._model.set_rt_info(json.dumps(metadata), KEY)
        self._ov.save_model(self._model, str(path), compress_to_fp16=False)


def _store_in_half(model: Any, ov: Any) -> None:
    """Put float16 and a conversion back in the place of large weights; OpenVINO's own way takes small ones too."""
    operators = extra_module("openvino.opset13", "openvino")
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != ov.Type.f32:
            continue
        values = node.get_data()
        if takes_half(values.size):
            back = operators.convert(operators.constant(values.astype("float16")), "f32")
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(back.output(0))


def onnx_of(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Return a traced graph as ONNX's ``ModelProto``; its axes are called N, C, H and W.

    Raises
    ------
    SpecError
        When onnx or onnxscript is not installed.
    """
    extra_module("onnx", "onnx")
    extra_module("onnxscript", "onnx")
    made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=[*inputs], output_names=[*outputs])
    if made is None:
        raise SpecError("torch gave no ONNX program")
    proto = made.model_proto
    del proto.graph.value_info[:]  # the sizes of inner maps, in formulas of symbols that have other names now
    pixels = proto.graph.output[0].type.tensor_type.elem_type == 2  # uint8
    for port in (*proto.graph.input, *proto.graph.output):
        axes = port.type.tensor_type.shape.dim
        called = ("N", "H", "W", "C") if pixels and len(axes) == 4 else DIMENSIONS[len(axes)]
        for axis, name in zip(axes, called, strict=True):
            if name != "C":  # whose number is known
                axis.dim_param = name
    return proto
