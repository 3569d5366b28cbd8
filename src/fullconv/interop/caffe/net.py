"""A plain net of Caffe's as a module of torch: built from its text, filled from its weights, run at any size."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, fx, nn

from fullconv.errors import SpecError, WeightsError, some
from fullconv.files import replacing
from fullconv.interop.caffe.caffemodel import Blob, CaffeModel, fits, shape_text
from fullconv.interop.caffe.layers import RULES, SEVERAL, RefusedError
from fullconv.interop.caffe.prototxt import Definition, parse_prototxt
from fullconv.interop.caffe.transplant import copy_numbers, is_for_training
from fullconv.nn.weights import TransplantReport

KEY = "caffe"
MOST_LAYERS = 10_000
MOST_NUMBERS = 1 << 31
"""Weights of a net."""


@dataclass(frozen=True)
class Step:
    """One layer: Caffe's name, the name of its module, what it reads and gives, and its blobs by the names of its parameters."""

    name: str
    module: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[str, ...]


class PlainNet(nn.Module):
    """A net of Caffe's: images (N, C, H, W) to its outputs; dense layers are convolutions, so any size from the stated one on.

    Parameters
    ----------
    definition
        Its text, read.
    steps, modules
        Its layers in order, and their modules by name.
    outputs
        What no layer reads, by Caffe's name.
    """

    def __init__(
        self, definition: Definition, steps: Sequence[Step], modules: Mapping[str, nn.Module], outputs: Sequence[str]
    ) -> None:
        super().__init__()
        self.definition = definition
        self.inputs = definition.inputs
        self.steps = tuple(steps)
        self.outputs = tuple(outputs)
        for name, part in modules.items():
            self.add_module(name, part)

    def forward(self, images: Tensor | Mapping[str, Tensor]) -> Tensor | dict[str, Tensor]:
        """Return the output (N, K, h, w), or the outputs by name where there are several.

        Parameters
        ----------
        images
            (N, C, H, W), prepared as the net wants them (Caffe: BGR less a mean); by name where there are several inputs.
        """
        maps = self._named(images)
        for step in self.steps:
            found = self.get_submodule(step.module)(*(maps[name] for name in step.bottoms))
            maps.update(dict.fromkeys(step.tops, found))
        return maps[self.outputs[0]] if len(self.outputs) == 1 else {name: maps[name] for name in self.outputs}

    def _named(self, images: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        if isinstance(images, fx.Proxy):  # traced for its geometry: all inputs lie alike
            return dict.fromkeys(self.inputs, images)
        named = dict(images) if isinstance(images, Mapping) else {next(iter(self.inputs)): images}
        if set(named) != set(self.inputs):
            raise SpecError(f"this net reads {', '.join(self.inputs)}; got {', '.join(named) or 'nothing'}")
        return named


@dataclass
class _Builder:
    """Walks through a definition, on the meta device, so that every shape is known."""

    definition: Definition
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    modules: dict[str, nn.Module] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def build(self) -> PlainNet:
        self.shapes.update(self.definition.inputs)
        if len(self.definition.layers) > MOST_LAYERS:
            raise SpecError(f"{self.definition.source} has more than {MOST_LAYERS:,} layers")
        for layer in self.definition.layers:
            try:
                self._add(layer)
            except (RefusedError, SpecError, RuntimeError, TypeError, ValueError, OverflowError) as error:
                reason = " ".join(str(error).split())
                raise SpecError(f"{self.definition.source}: layer {layer.name!r:.60} ({layer.type:.40}) {reason:.300}") from error
        given = dict.fromkeys(top for step in self.steps for top in step.tops)
        outputs = [top for top in given if top not in self.read]
        if not outputs:
            raise SpecError(f"{self.definition.source} has no output: every map is read by a layer")
        if sum(p.numel() for part in self.modules.values() for p in part.parameters()) > MOST_NUMBERS:
            raise SpecError(f"{self.definition.source} has more than {MOST_NUMBERS:,} weights; check its sizes")
        return PlainNet(self.definition, self.steps, self.modules, outputs).eval()

    def _add(self, settings: object) -> None:
        name, kind = settings.name, settings.type  # type: ignore[attr-defined]  # a message, whose fields are made at run time
        bottoms, tops = tuple(settings.bottom), tuple(settings.top)  # type: ignore[attr-defined]
        if kind not in RULES:
            raise RefusedError(f"is of a type that is not built here; accepted are {', '.join(RULES)}")
        unknown = [bottom for bottom in bottoms if bottom not in self.shapes]
        if unknown:
            raise RefusedError(f"reads {some(unknown)}, which no layer before it gives")
        least = SEVERAL.get(kind, 1)
        if (
            len(bottoms) < least
            or (kind not in SEVERAL and len(bottoms) > 1)
            or (kind == "Crop" and len(bottoms) > 2)
            or not tops
        ):
            raise RefusedError(f"reads {len(bottoms)} maps and gives {len(tops)}, which this type does not")
        shapes = [self.shapes[bottom] for bottom in bottoms]
        with torch.device("meta"):
            part, blobs = RULES[kind](settings, shapes)
            out = part.eval()(*(torch.empty(shape) for shape in shapes))
        self.read.update(bottom for bottom in bottoms if bottom not in tops)
        self.read.difference_update(tops)
        self.shapes.update(dict.fromkeys(tops, tuple(out.shape)))
        module = self._module_name(name)
        self.modules[module] = part
        self.steps.append(Step(name, module, bottoms, tops, blobs))

    def _module_name(self, name: str) -> str:
        free = re.sub(r"[^\w/\-]", "_", name) or "_"
        while free in self.modules or hasattr(PlainNet, free) or free in ("definition", "inputs", "steps", "outputs", "training"):
            free += "_"
        return free


def build_net(definition: Definition, model: CaffeModel | None = None) -> tuple[PlainNet, TransplantReport | None]:
    """Return the net of a definition in evaluation mode, and what became of its weights.

    Parameters
    ----------
    definition
        From :func:`fullconv.interop.caffe.prototxt.read_prototxt`.
    model
        Its weights; without them the net has no memory (meta device): for its geometry.

    Raises
    ------
    SpecError
        When a layer is of a type, or has a setting, that is not built here; it is named, with the reason.
    WeightsError
        When weights are missing, left over or of another shape: the layer and both shapes are named.
    """
    net = _Builder(definition).build()
    if model is None:
        return net, None
    layers = model.weighted
    parts = [step for step in net.steps if step.blobs]
    report = TransplantReport(model.source)
    for step in (step for step in parts if step.name in layers):
        for kind, blob in zip(step.blobs, layers[step.name].blobs, strict=False):
            _check_shape(definition, model, step.name, blob, _expected(net, step, kind))
    _check_names(definition, model, {step.name for step in parts})
    for step in parts:
        if len(layers[step.name].blobs) != len(step.blobs):
            raise WeightsError(
                f"{model.source}: layer {step.name!r} has {len(layers[step.name].blobs)} blobs, and {definition.source} wants "
                f"{len(step.blobs)} ({', '.join(step.blobs)})"
            )
    net = net.to_empty(device="cpu")
    for step in parts:
        for kind, blob in zip(step.blobs, layers[step.name].blobs, strict=True):
            target = getattr(net.get_submodule(step.module), kind)
            copy_numbers(model, step.name, blob, target)
            same = tuple(target.shape) == blob.shape and blob.values.dtype == np.float32
            (report.copied if same else report.cast).append(f"{step.module}.{kind}")
    report.dropped.extend(layer.name for layer in model.layers if is_for_training(layer.kind))
    return net.eval(), report


def _expected(net: PlainNet, step: Step, kind: str) -> tuple[tuple[int, ...], ...]:
    """Return the shapes that a blob may have: the parameter's, or that of the dense layer that it was."""
    shape = tuple(getattr(net.get_submodule(step.module), kind).shape)
    settings = next(layer for layer in net.definition.layers if layer.name == step.name)
    dense = settings.type == "InnerProduct" and kind == "weight"
    return ((shape[0], shape[1] * shape[2] * shape[3]), shape) if dense else (shape,)


def _check_names(definition: Definition, model: CaffeModel, wanted: set[str]) -> None:
    missing = sorted(wanted - set(model.weighted))
    left = [name for name, layer in model.weighted.items() if name not in wanted and not is_for_training(layer.kind)]
    left = [name for name in left if name not in definition.passed_over]
    if missing or left:
        parts = [f"nothing for {some(missing)}"] * bool(missing) + [f"no place for {some(left)}"] * bool(left)
        raise WeightsError(f"{model.source} is not of the net of {definition.source}: {'; '.join(parts)}")


def _check_shape(definition: Definition, model: CaffeModel, name: str, blob: Blob, shapes: Sequence[tuple[int, ...]]) -> None:
    scalar = shapes[0] == (1,) and blob.shape == ()
    if not scalar and not any(fits(blob.shape, shape) for shape in shapes):
        raise WeightsError(
            f"{model.source} is not of the net of {definition.source}: layer {name!r} is {shape_text(blob.shape)} in the weights "
            f"and {shape_text(shapes[0])} in the definition"
        )


def save_net(path: str | os.PathLike[str], net: PlainNet) -> None:
    """Write a net's weights, and its definition as the header's entry ``caffe``, to a ``.safetensors`` file."""
    header = json.dumps({"prototxt": net.definition.text})
    with replacing(path) as temporary:
        save_file(dict(net.state_dict()), temporary, {KEY: header})


def load_net(path: str | os.PathLike[str]) -> PlainNet:
    """Return the net that :func:`save_net` wrote, in evaluation mode.

    Raises
    ------
    WeightsError
        When the file is missing, damaged, or holds no such net.
    """
    if not Path(path).is_file():
        raise WeightsError(f"no file {path}; give one that `fullconv import --prototxt` wrote")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(KEY)
            if header is None:
                raise WeightsError(f"{path} holds no plain net; give one that `fullconv import --prototxt` wrote")
            net, _ = build_net(parse_prototxt(json.loads(header)["prototxt"], str(path)))
            net = net.to_empty(device="cpu")
            net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  # a file is no mapping
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged ({' '.join(str(error).split()):.200}); import it again") from error
    return net.eval()
