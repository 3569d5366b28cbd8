"""Which engine runs a net: by its name, or ``auto``, which is a rule and no timing."""

import importlib.util
from typing import Literal, NamedTuple

import torch

from fullconv.errors import SpecError
from fullconv.inference.engine import Engine
from fullconv.inference.engines.compiled import CompiledEngine
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.engines.onnxruntime import OnnxRuntimeEngine
from fullconv.inference.engines.openvino import OpenVinoEngine
from fullconv.inference.engines.precision import Precision, torch_precisions
from fullconv.nn.fcn import FCN

EngineName = Literal["auto", "eager", "compiled", "openvino", "onnxruntime"]
ENGINES: dict[str, type[EagerEngine | CompiledEngine | OpenVinoEngine | OnnxRuntimeEngine]] = {
    "eager": EagerEngine,
    "compiled": CompiledEngine,
    "openvino": OpenVinoEngine,
    "onnxruntime": OnnxRuntimeEngine,
}
MANY = 100
"""Images from which on ``auto`` has a net converted.

Conversion takes 8 to 14 s of a processor and saves 0.03 s (fcn8s-squeezenet1_1) to 0.1 s (fcn8s-efficientnet_lite0) an image of
375×500 and more of larger ones: it pays after some hundred images.
"""


class Chosen(NamedTuple):
    """An engine, and in words what runs and why."""

    engine: Engine
    about: str


def choose_engine(model: FCN, name: str = "auto", precision: Precision | None = None, images: int | None = None) -> Chosen:
    """Return the engine of a name for a net.

    Parameters
    ----------
    model
        Is put in evaluation mode.
    name
        One of :data:`ENGINES`; or ``auto``: on a CPU openvino where it is installed and there are at least :data:`MANY` images,
        elsewhere eager; on CUDA eager in bfloat16, or float16 where the card has no bfloat16, unless a precision is given.
    precision
        ``fp32``, ``bf16`` or ``fp16``; by default ``fp32``, but for ``auto`` on CUDA.
    images
        How many there will be, where that is known.

    Raises
    ------
    SpecError
        When there is no such engine, it is not installed, or cannot run this net here.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> choose_engine(build_model("fcn32s-minivgg", 2), "auto", images=1).about
    'engine: eager in fp32 on cpu, as openvino takes seconds to convert a net and there are fewer than 100 images (auto)'
    """
    device = next(model.parameters()).device
    if name != "auto":
        return _named(model, name, precision or "fp32", "")
    if device.type == "cuda":
        precision = precision or torch_precisions(device)[1]
    name, reason = by_rule(device, images)
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
    return Chosen(engine, f"engine: {name} in {precision} on {engine.device}{reason}")


def by_rule(device: torch.device, images: int | None) -> tuple[str, str]:
    """Return the name that ``auto`` stands for on a device, and why; ``images`` is ``None`` where their number is not known."""
    if device.type != "cpu":
        return "eager", f", as it is the one that needs no preparation on {device.type} (auto)"
    if any(importlib.util.find_spec(package) is None for package in ("openvino", "onnxscript")):
        return "eager", ", as openvino is not installed (auto; pip install 'fullconv[openvino]')"
    if images is not None and images < MANY:
        return "eager", f", as openvino takes seconds to convert a net and there are fewer than {MANY} images (auto)"
    return "openvino", ", as it is installed and the fastest on a CPU (auto)"
