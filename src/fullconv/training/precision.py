"""The precision of a run whose recipe leaves it open (``train.precision: auto``): bfloat16 only where it is fast.

Measured on AVX512-BF16 with FCN-8s on SqueezeNet, processor time of a step of four images (benchmarks/training.py): float32
0.42 s and bfloat16 0.51; on AVX2 bfloat16 took 5.5 times as long. So on x86 processors AMX decides, which multiplies whole
tiles of bfloat16. float16 is never chosen: a loss that is summed over an image leaves its range, and a scaler that skips steps
changes how many there are.
"""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fullconv.spec import TrainSpec

BFLOAT16, FLOAT32 = "bf16-mixed", "32-true"
X86 = ("x86_64", "amd64")
CLEARLY = 0.9
"""bfloat16 is chosen when its timed step takes at most this share of float32's."""


class Choice(NamedTuple):
    """A precision by Lightning's name, and why."""

    precision: str
    reason: str

    def __str__(self) -> str:
        name = "bfloat16" if self.precision == BFLOAT16 else "float32"
        return f"precision: {name} ({self.precision}), as {self.reason} (train.precision: auto)"


@dataclass(frozen=True)
class Processor:
    """What the processor that trains states of itself.

    Attributes
    ----------
    kind
        ``cpu``, ``cuda`` or another accelerator.
    bfloat16
        Of CUDA: whether it computes bfloat16 itself.
    machine
        Of a CPU: the architecture, such as ``x86_64`` or ``arm64``.
    flags
        Of a CPU: its instruction sets, as ``torch.cpu.get_capabilities`` names them.
    """

    kind: str
    bfloat16: bool = False
    machine: str = ""
    flags: Mapping[str, Any] = field(default_factory=dict)


def choose_precision(processor: Processor, seconds: Callable[[bool], float] | None) -> Choice:
    """Return the precision for a processor.

    Parameters
    ----------
    processor
        See :class:`Processor`.
    seconds
        Of a training step with bfloat16 (``True``) and without, asked only where the processor does not tell; ``None`` where
        nothing is to be timed.

    Examples
    --------
    >>> choose_precision(Processor("cuda", bfloat16=True), None).precision
    'bf16-mixed'
    """
    if processor.kind == "cuda":
        if processor.bfloat16:
            return Choice(BFLOAT16, "this GPU computes bfloat16")
        return Choice(FLOAT32, "this GPU has no bfloat16")
    if processor.kind != "cpu":
        return Choice(FLOAT32, f"bfloat16 has not been measured on {processor.kind}")
    if processor.flags.get("amx_bf16") and processor.flags.get("amx_tile"):
        return Choice(BFLOAT16, "this processor has AMX-BF16")
    if processor.machine.lower() in X86 and processor.flags:
        return Choice(FLOAT32, "this processor has no AMX-BF16, without which bfloat16 is slower")
    if seconds is None:
        return Choice(FLOAT32, "this processor does not say how fast bfloat16 is")
    plain, short = seconds(False), seconds(True)
    found = BFLOAT16 if short <= CLEARLY * plain else FLOAT32
    return Choice(
        found, f"a step took {plain * 1000:.0f} ms with float32 and {short * 1000:.0f} ms with bfloat16 on this processor"
    )


def precision_for(train: TrainSpec) -> Choice:
    """Return the precision that ``train`` is to have on this machine.

    Processes that train together must choose alike, so nothing is timed where there are several.
    """
    alone = train.nodes == 1 and train.devices in (1, "auto")
    return choose_precision(this_processor(train.accelerator), seconds_of_a_step if alone else None)


def this_processor(accelerator: str) -> Processor:
    """Return what is known of the processor that Lightning takes for ``accelerator``."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    kind = {"auto": "cuda" if cuda else "mps" if mps else "cpu", "gpu": "mps" if mps and not cuda else "cuda"}
    found = kind.get(accelerator, accelerator)
    if found == "cuda":
        return Processor(found, bfloat16=cuda and torch.cuda.is_bf16_supported(including_emulation=False))
    if found != "cpu":
        return Processor(found)
    states = getattr(torch.cpu, "get_capabilities", dict)  # not in every torch that is supported
    return Processor(found, machine=platform.machine(), flags=states())


def seconds_of_a_step(bfloat16: bool) -> float:
    """Return how long forward and backward of a few convolutions take on the CPU; draws nothing from random generators."""
    image = torch.full((2, 3, 128, 128), 0.5).contiguous(memory_format=torch.channels_last)
    weights = [torch.full((wide, narrow, 3, 3), 0.01, requires_grad=True) for narrow, wide in ((3, 64), (64, 64), (64, 128))]
    found = 0.0
    for _ in range(2):  # the first prepares kernels
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = _features(image, weights).float().sum()
        loss.backward()
        found = time.perf_counter() - begin
    return found


def _features(image: Tensor, weights: list[Tensor]) -> Tensor:
    for weight in weights:
        image = nn.functional.conv2d(image, weight, padding=1).relu()
    return image
