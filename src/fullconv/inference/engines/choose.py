"""Which engine runs a net: by its name, or ``auto``, which is a rule and no timing."""

import contextlib
import importlib.util
import os
from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch

from fullconv.data.images import upright_size
from fullconv.errors import DataError, SpecError
from fullconv.inference.engine import Engine
from fullconv.inference.engines.compiled import CompiledEngine
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.onnxruntime import OnnxRuntimeEngine
from fullconv.inference.engines.openvino import OpenVinoEngine
from fullconv.inference.engines.precision import Precision
from fullconv.nn.fcn import FCN

EngineName = Literal["auto", "eager", "compiled", "openvino", "onnxruntime"]
ENGINES: dict[str, type[EagerEngine | CompiledEngine | OpenVinoEngine | OnnxRuntimeEngine]] = {
    "eager": EagerEngine,
    "compiled": CompiledEngine,
    "openvino": OpenVinoEngine,
    "onnxruntime": OnnxRuntimeEngine,
}
MANY = 100_000_000
"""Pixels of all images together, from which on ``auto`` has a net converted: some 500 photographs of 375×500, or 10 of 3000×4000.

Conversion takes 6 to 12 s of a processor, and saves 0.07 s (fcn8s-efficientnet_lite0) to 0.25 s (fcn8s-resnet50) a million
pixels: it pays from 50 to 140 million on.
"""
TYPICAL = (375, 500)
"""Height and width in pixels of the photographs at which ``auto`` looks how many multiplications eager computes."""
FEWER = 0.7
"""The share of a net's multiplications up to which eager is as fast as openvino, which computes them all (docs/engines.md)."""


class Chosen(NamedTuple):
    """An engine, and in words what runs and why."""

    engine: Engine
    about: str


def choose_engine(model: FCN, name: str = "auto", precision: Precision | None = None, pixels: int | None = None) -> Chosen:
    """Return the engine of a name for a net.

    Parameters
    ----------
    model
        Is put in evaluation mode.
    name
        One of :data:`ENGINES`; or ``auto``: on a CPU openvino where it is installed, there are at least :data:`MANY` pixels, and
        eager computes more than :data:`FEWER` of the net's multiplications (:mod:`fullconv.nn.window`,
        :mod:`fullconv.inference.engines.winograd`); elsewhere eager; on CUDA eager, in float32 where the card computes
        convolutions in TF32, else in float16, unless a precision is given.
    precision
        ``fp32``, ``bf16`` or ``fp16``; by default ``fp32``, but for ``auto`` on CUDA.
    pixels
        Of all images together, where that is known.

    Raises
    ------
    SpecError
        When there is no such engine, it is not installed, or cannot run this net here.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> choose_engine(build_model("fcn32s-minivgg", 2), "auto", pixels=375 * 500).about
    'engine: eager in fp32 on cpu, as openvino takes seconds to convert a net, which pays from 100 megapixels on (auto)'
    """
    device = next(model.parameters()).device
    if name != "auto":
        return _named(model, name, precision or "fp32", "")
    if device.type == "cuda":
        precision = precision or _on_card(device)
    name, reason = by_rule(device, pixels)
    if name == "openvino" and (share := EagerEngine(model, precision or "fp32").computed(TYPICAL)) <= FEWER:
        name, reason = "eager", f", as it gets along with {share:.0%} of this net's multiplications (auto)"
    try:
        return _named(model, name, precision or "fp32", reason)
    except SpecError as error:
        if name == "eager":
            raise
        return _named(model, "eager", precision or "fp32", f", as {error} (auto)")


def _named(model: FCN, name: str, precision: Precision, reason: str) -> Chosen:
    if name not in ENGINES:
        raise SpecError(f"there is no engine {name!r}; accepted are auto, {', '.join(ENGINES)}")
    engine = ENGINES[name](model, precision)
    short = " (TF32 in convolutions)" if precision == "fp32" and engine.device.type == "cuda" and _tf32(engine.device) else ""
    return Chosen(engine, f"engine: {name} in {precision}{short} on {engine.device}{reason}")


def _on_card(device: torch.device) -> Precision:
    """Return the precision that ``auto`` takes on a card: float32 with TF32 is as fast as bfloat16 and changes far fewer labels.

    On an H200 one image takes 4 % longer in float32 and eight take 16 % less time, over five nets (docs/results.md, "On a GPU").
    """
    return "fp32" if _tf32(device) else "fp16"


def _tf32(device: torch.device) -> bool:
    """Return whether a card rounds what convolutions in float32 read to TF32, as PyTorch has it unless it is told not to."""
    # not allow_tf32, which raises where somebody has set the precision of convolutions alone
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # set when the module is imported
    return bool(convolutions.fp32_precision == "tf32") and torch.cuda.get_device_capability(device) >= (8, 0)


def by_rule(device: torch.device, pixels: int | None) -> tuple[str, str]:
    """Return the name that ``auto`` stands for on a device, and why; ``pixels`` is ``None`` where their number is not known."""
    if device.type != "cpu":
        return "eager", f", as it is the one that needs no preparation on {device.type} (auto)"
    if any(importlib.util.find_spec(package) is None for package in ("openvino", "onnxscript")):
        return "eager", ", as openvino is not installed (auto; pip install 'fullconv[openvino]')"
    if pixels is not None and pixels < MANY:
        return "eager", f", as openvino takes seconds to convert a net, which pays from {MANY // 10**6} megapixels on (auto)"
    return "openvino", ", as it is installed and the fastest on a CPU (auto)"


def pixels_of(images: Iterable[str | os.PathLike[str]]) -> int:
    """Return the pixels of image files together, from their headers; counted on until there are :data:`MANY`.

    What cannot be read counts as nothing.
    """
    found = 0
    for image in images:
        with contextlib.suppress(DataError):
            height, width = upright_size(image)
            found += height * width
        if found >= MANY:
            break
    return found
