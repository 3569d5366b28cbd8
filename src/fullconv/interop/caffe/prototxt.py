"""The text form of a net (``.prototxt``), read by the protobuf runtime with a schema that knows what it reads."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from fullconv.errors import SpecError
from fullconv.interop.caffe.schema import message, upgraded
from fullconv.interop.caffe.transplant import is_for_training

LONGEST = 4 << 20
"""Bytes of a definition; the longest nets in use have a hundredth of it."""
ADVICE = "give the deploy.prototxt of the net"


@dataclass(frozen=True)
class Definition:
    """A net as text defines it: name, inputs (shape by name), its layers in order, and the layers that only training needs."""

    source: str
    name: str
    inputs: dict[str, tuple[int, ...]]
    layers: tuple[Any, ...]
    passed_over: tuple[str, ...]
    text: str


def read_prototxt(path: str | os.PathLike[str]) -> Definition:
    """Return the net of a ``.prototxt``, of either form, without the layers that only training needs.

    Raises
    ------
    SpecError
        When the file is missing, no text, no net, holds a setting that Caffe does not know (line and name are given), or says
        nothing of its input.
    """
    file = Path(path)
    try:
        content = file.read_bytes() if file.stat().st_size <= LONGEST else b""
    except OSError as error:
        raise SpecError(f"cannot read {file}: {error.strerror}; {ADVICE}") from error
    if not content.strip():
        raise SpecError(f"{file} is empty or longer than {LONGEST:,} bytes; {ADVICE}")
    try:
        return parse_prototxt(content.decode("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise SpecError(f"{file} is no text; {ADVICE}, and weights as .caffemodel") from error


def parse_prototxt(text: str, source: str) -> Definition:
    """Return the net that a text defines; ``source`` opens messages, errors as :func:`read_prototxt`."""
    net = message("NetParameter")
    try:
        text_format.Parse(text, net)
    except (text_format.ParseError, RecursionError, ValueError) as error:
        reason = str(error).replace('Message type "caffe.', '"') or type(error).__name__
        raise SpecError(f"{source} is no net that is understood ({reason:.200}); {ADVICE}") from error
    layers = [*net.layer, *map(upgraded, net.layers)]
    if not layers:
        raise SpecError(f"{source} has no layers; {ADVICE}")
    used = [layer for layer in layers if _is_tested(layer)]
    inputs = _inputs(net, used, source)
    kept = [layer for layer in used if layer.type != "Input" and not is_for_training(layer.type)]
    passed = [layer.name for layer in layers if layer not in kept and layer.type != "Input"]
    return Definition(source, str(net.name), inputs, tuple(kept), tuple(passed), text)


def _is_tested(layer: Any) -> bool:
    """Whether a layer takes part when the net is run and not trained."""
    train = 0
    rules = [rule for rule in layer.include if rule.HasField("phase")]
    left_out = [rule for rule in layer.exclude if rule.HasField("phase") and rule.phase != train]
    return not left_out and (not rules or any(rule.phase != train for rule in rules))


def _inputs(net: Any, layers: Sequence[Any], source: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the inputs by name, from any of the three ways to say them."""
    dims = [int(side) for side in net.input_dim]
    shapes = [tuple(map(int, shape.dim)) for shape in net.input_shape] or [tuple(dims[i : i + 4]) for i in range(0, len(dims), 4)]
    found = dict(zip(net.input, shapes, strict=False))
    if len(found) != len(net.input):
        raise SpecError(f"{source} names the inputs {', '.join(net.input)} and has shapes for {len(found)}; {ADVICE}")
    for layer in layers:
        if layer.type == "Input":
            said = layer.input_param.shape
            for i, top in enumerate(layer.top):
                if not said:
                    raise SpecError(f"{source}: the input {top!r} has no shape; {ADVICE}")
                found[top] = tuple(map(int, said[min(i, len(said) - 1)].dim))
    if not found:
        raise SpecError(f"{source} says nothing of its input, as definitions for training do; {ADVICE}")
    for name, shape in found.items():
        if len(shape) != 4 or not all(1 <= side <= 1 << 16 for side in shape):
            raise SpecError(f"{source}: the input {name!r} is {shape}; accepted are images, number × channels × height × width")
    return found
