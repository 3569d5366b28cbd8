"""What the common operations of a convolutional net give on the meta device, without asking torch.

Torch computes such operations in Python there, and for convolutions, sums, averages and dense layers it first imports its
compiler and SymPy, which takes more than a second: long for a service that starts, or for one image to be predicted. What is
unusual is left to torch, and so is every error.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Pair = int | Sequence[int]


class KnownShapes(TorchFunctionMode):
    """While in force, maps of known shape are made at once where an operation is given maps of the meta device.

    Examples
    --------
    >>> from torch import nn
    >>> with torch.device("meta"), KnownShapes():
    ...     found = nn.Conv2d(3, 8, 3, stride=2)(torch.empty(1, 3, 64, 48))
    >>> found.shape, found.device.type
    (torch.Size([1, 8, 31, 23]), 'meta')
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return what the function gives."""
        given = kwargs or {}
        rule = RULES.get(func) if not given or func is F.max_pool2d else None
        if rule is not None and all(_is_plain(each) for each in args if isinstance(each, Tensor)):
            found = rule(*args, **given)
            if found is not None:
                return found
        return func(*args, **given)


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor has floating point numbers, some of them, and lies in memory in the order of its axes."""
    return value.is_meta and value.is_floating_point() and value.is_contiguous() and value.numel() > 0


def _convolution(
    maps: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1, padding: Pair | str = 0, dilation: Pair = 1,
    groups: int = 1,
) -> Tensor | None:  # fmt: skip
    if isinstance(padding, str) or maps.dim() != 4 or weight.dim() != 4 or maps.dtype != weight.dtype:
        return None
    out = weight.shape[0]
    if maps.shape[1] != weight.shape[1] * groups or out % groups or (bias is not None and tuple(bias.shape) != (out,)):
        return None
    sides = zip(maps.shape[2:], weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation), strict=True)
    usual = min(_pair(stride)) > 0 and min(_pair(padding)) >= 0 and min(_pair(dilation)) > 0
    size = [(n + 2 * pad - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in sides] if usual else [0]
    return maps.new_empty((maps.shape[0], out, *size)) if min(size) > 0 else None


def _pair(given: Pair) -> tuple[int, ...]:
    return (given, given) if isinstance(given, int) else (*given, *given)[:2]


def _pooling(
    maps: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1, ceil_mode: bool = False,
    **further: Any,
) -> Tensor | None:  # fmt: skip
    if maps.dim() != 4 or any(further.values()):  # indices are asked for too
        return None
    kernel, pads, dilations = _pair(kernel_size), _pair(padding), _pair(dilation)
    strides = kernel if stride is None or stride == [] else _pair(stride)
    if min(*kernel, *strides, *dilations) < 1 or any(not 0 <= 2 * pad <= k for pad, k in zip(pads, kernel, strict=True)):
        return None
    size = []
    for n, k, s, pad, d in zip(maps.shape[2:], kernel, strides, pads, dilations, strict=True):
        room = n + 2 * pad - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        # a last window that would begin behind the map and its padding is left out
        size.append(count - 1 if ceil_mode and (count - 1) * s >= n + pad else count)
    return maps.new_empty((*maps.shape[:2], *size)) if min(size) > 0 else None


def _dense(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    fits = weight.dim() == 2 and values.dim() > 1 and values.dtype == weight.dtype and values.shape[-1] == weight.shape[1]
    if not fits or (bias is not None and tuple(bias.shape) != (weight.shape[0],)):
        return None
    return values.new_empty((*values.shape[:-1], weight.shape[0]))


def _average(maps: Tensor, output_size: Any) -> Tensor | None:
    whole = output_size in (1, (1, 1), [1, 1])
    return maps.new_empty((*maps.shape[:2], 1, 1)) if whole and maps.dim() == 4 else None


def _sum(first: Any, second: Any) -> Tensor | None:
    if not (isinstance(first, Tensor) and isinstance(second, Tensor)):
        return None
    return _same(first) if first.shape == second.shape and first.dtype == second.dtype else None


def _same(given: Tensor) -> Tensor:
    return given.new_empty(given.shape)


RULES: dict[Any, Callable[..., Tensor | None]] = {
    torch.empty_like: _same,
    torch.conv2d: _convolution,
    F.max_pool2d: _pooling,
    F.linear: _dense,
    F.adaptive_avg_pool2d: _average,
    **dict.fromkeys((torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.mul, torch.Tensor.mul, torch.Tensor.__mul__), _sum),
}
