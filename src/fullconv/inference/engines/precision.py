"""In which numbers an engine computes, and what is said where a processor lacks them."""

import platform
from collections.abc import Sequence
from typing import Literal

import torch

from fullconv.errors import SpecError

Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""Of convolutions: float32, bfloat16, float16; int8 is that of exported files alone. Logits are float32 always."""
TORCH_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
X86 = ("x86_64", "amd64")


def check_torch_precision(engine: str, precision: str, device: torch.device) -> None:
    """Check that PyTorch computes in a precision on a device.

    Raises
    ------
    SpecError
        When it does not, or would only imitate it, which is slower than float32.
    """
    check_precision(engine, precision, torch_precisions(device), f"this {device.type.upper()}")


def check_precision(engine: str, precision: str, known: Sequence[str], where: str) -> None:
    """Check that a precision is among those that an engine has.

    Raises
    ------
    SpecError
        When it is not, with those that it has.

    Examples
    --------
    >>> check_precision("onnxruntime", "fp16", ["fp32"], "this CPU")
    Traceback (most recent call last):
        ...
    fullconv.errors.SpecError: onnxruntime has no fp16 on this CPU; it computes fp32 here
    """
    if precision == "int8":
        raise SpecError(
            f"{engine} has no int8, which takes ranges from images: write a file by fullconv export --precision int8 --calibrate "
            "FOLDER, and give that in place of the model"
        )
    if precision not in known:
        raise SpecError(f"{engine} has no {precision} on {where}; it computes {', '.join(known)} here")


def torch_precisions(device: torch.device) -> list[Precision]:
    """Return the precisions that PyTorch computes in on a device, float32 first, then the best for speed."""
    if device.type == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return ["fp32", "bf16", "fp16"] if bfloat16 else ["fp32", "fp16"]
    if device.type == "cpu":
        return ["fp32", "bf16"] if _cpu_has_bfloat16() else ["fp32"]
    return ["fp32", "fp16"]


def _cpu_has_bfloat16() -> bool:
    flags: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch that is supported
    if platform.machine().lower() in X86:
        return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
    return bool(flags.get("bf16"))
