"""How many bytes a computation holds at its peak, found without memory: tensors of the meta device have sizes and no numbers.

What is counted are tensors, from the one that makes them to the last that needs them, at the sizes that the net really gives
for a window. Beside them a processor's library copies weights into the order that it computes in, one layer at a time, and the
process holds its programs and the weights themselves. :func:`free_for` takes all that into account.
"""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from fullconv.errors import DataError
from fullconv.inference.engines.packed import can_pack
from fullconv.inference.engines.winograd import kept_bytes
from fullconv.nn.fcn import FCN
from fullconv.nn.stages import InSlices
from fullconv.nn.upsample import Deconvolution

SHARE = 0.9
"""Of the memory that is left; the rest is for what is not counted."""
SPARE = 0.15
"""Share of a window's tensors that the library's own work space may take beside them (benchmarks/tiling.py memory)."""


DRIFT = 16_000_000
"""Bytes by which what a process has taken may differ from one run to the next."""


class TooLittleMemoryError(DataError):
    """Memory that is too small for the smallest part of an image.

    Parameters
    ----------
    memory, needed
        Bytes that are left and that are needed.
    advice
        What to do.
    """

    def __init__(self, memory: int, needed: int, advice: str = "allow more by --max-memory") -> None:
        self.memory, self.needed = memory, needed
        super().__init__(
            f"{max(memory, 0) / 1e6:.0f} MB of memory are left for an image, and its smallest part takes {needed / 1e6:.0f} MB; "
            f"{advice}, or take a smaller model"
        )


class _Peak(TorchDispatchMode):
    """Adds up the storage that lives while operations run."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = 0
        self._weights = {each.untyped_storage()._cdata for each in weights}
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for each in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                if storage._cdata not in self._weights:  # a part of a weight is no copy of it
                    self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._live = {key: known for key, known in self._live.items() if not known[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return found


def peak_of(module: nn.Module, *inputs: Any) -> int:
    """Return the bytes that tensors take at most while a module runs, its inputs among them and its weights not.

    Parameters
    ----------
    module
        Its weights are where they are, and are not touched.
    inputs
        Tensors on the meta device.
    """
    with torch.inference_mode(False), torch.no_grad():
        weights = _on_meta(module)
        with _Peak(weights.values()) as counted:
            given = [each.clone() if isinstance(each, Tensor) else {k: v.clone() for k, v in each.items()} for each in inputs]
            del inputs
            torch.func.functional_call(module, weights, tuple(given))
        return counted.peak


class _Multiplications(TorchDispatchMode):
    """Counts the multiplications of convolutions and of products of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.count += found.numel() * args[1][0].numel()
        elif func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.count += found.numel() * len(args[-1])
        return found


def work_of(module: nn.Module, *inputs: Any) -> int:
    """Return the multiplications of a module's convolutions; parameters as of :func:`peak_of`."""
    with torch.inference_mode(False), torch.no_grad(), _Multiplications() as counted:
        torch.func.functional_call(module, _on_meta(module), inputs)
    return counted.count


def channels_of(module: nn.Module, window: Tensor) -> int:
    """Return the channels of what a module gives for a window (N, C, h, w) on the meta device, of whichever type."""
    weights = _on_meta(module)
    dtype = next((each.dtype for each in weights.values() if each.is_floating_point()), window.dtype)
    with torch.inference_mode(False), torch.no_grad():
        return int(torch.func.functional_call(module, weights, (window.to(dtype),)).shape[1])


def _on_meta(module: nn.Module) -> dict[str, Tensor]:
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: torch.empty_like(tensor, device="meta") for name, tensor in named}


class _Predicting(nn.Module):
    """What a predictor does with images, up to the labels of one strip."""

    def __init__(self, model: FCN, head: str, rows: int) -> None:
        super().__init__()
        self.model, self.head, self.rows = model, head, rows

    def forward(self, images: Mapping[str, Tensor]) -> Tensor:
        maps = self.model.coarse(images)[self.head].float()
        upsample, start = self.model.head(self.head).upsample[-1], self.model.crop.start
        assert isinstance(upsample, Deconvolution)  # a ModuleList knows only modules
        height, width = next(iter(images.values())).shape[-2:]
        return (
            upsample.rows(maps, start, start + min(self.rows, height))[..., start : start + width].max(1).indices.to(torch.uint8)
        )


def window_bytes(model: FCN, head: str, size: tuple[int, int], strip: int = 256) -> int:
    """Return the bytes that predicting a window of (height, width) pixels takes at most, beside the weights of the model.

    On x86 processors that is with a copy of all weights of convolutions, as an engine computes with
    (:mod:`fullconv.inference.engines.packed`).

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> 4e6 < window_bytes(build_model("fcn32s-minivgg", 2), "semantic", (256, 256)) < 4e8
    True
    """
    images = {name: torch.empty(1, model.channels_of(name), *size, dtype=torch.uint8, device="meta") for name in model.inputs}
    copied = kept_bytes(model) if can_pack(next(model.parameters()).device) else 0
    return int(peak_of(_Predicting(model, head, strip), images) * (1 + SPARE)) + largest_weight(model) + copied


def largest_weight(module: nn.Module) -> int:
    """Return the bytes of the largest weight, which is copied while its layer runs; slices are copied twice."""
    sliced = {part.layer: part.numbers for part in module.modules() if isinstance(part, InSlices)}
    found = [
        parameter.element_size() * (2 * sliced[part] if part in sliced and parameter.dim() > 1 else parameter.numel())
        for part in module.modules()
        for parameter in part.parameters(False)
    ]
    return max([*found, 0])


def largest_fitting(fits: Callable[[int], bool], step: int, most: int) -> int:
    """Return the largest multiple of ``step``, up to the first that is not below ``most``, that fits; 0 when none does."""
    low, high = 0, -(-most // step)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * step):
            low = middle
        else:
            high = middle - 1
    return low * step


def free_for(device: torch.device, limit: int | None = None) -> int:
    """Return the bytes that may still be taken.

    Parameters
    ----------
    device
        Where the net computes.
    limit
        Of the whole process, what it has taken already included; on a GPU of the GPU's memory. By default what is free. Of what
        is left :data:`SHARE` is given.
    """
    free = _free(device)
    if free is None:
        return 2**62 if limit is None else limit
    return int(SHARE * (free if limit is None else min(free, limit - _taken(device))))


def advice_for(device: torch.device, limit: int | None, needed: int) -> str:
    """Return in words what to do where :func:`free_for` gives less than is needed: the smallest limit that would do."""
    free, needs = _free(device), math.ceil(needed / SHARE)
    if free is None:
        return f"allow at least {_megabytes(needed)} by --max-memory"
    if limit is None or needs > free:
        return f"{_megabytes(needs)} have to be free here, and {free / 1e6:.0f} MB are"
    return f"allow at least {_megabytes(_taken(device) + needs + DRIFT)} by --max-memory"


def _megabytes(number: int) -> str:
    return f"{math.ceil(number / 1e6)}MB"


def _free(device: torch.device) -> int | None:
    """Return the bytes that the system has left for this process; ``None`` where it does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if sys.platform != "linux":
        return None
    import resource

    free = _kilobytes("/proc/meminfo", "MemAvailable") * 1024
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return free if most == resource.RLIM_INFINITY else min(free, most - _kilobytes("/proc/self/status", "VmData") * 1024)


def _taken(device: torch.device) -> int:
    """Return the bytes that this process has taken, on Linux; on a GPU those of the GPU."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else _kilobytes("/proc/self/status", "VmRSS") * 1024


def _kilobytes(path: str, key: str) -> int:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
