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
    out, pairs = weight.shape[0], _pairs(stride, padding, dilation)
    if pairs is None or maps.shape[1] != weight.shape[1] * groups or out % groups or not _is_bias(bias, weight):
        return None
    strides, pads, dilations = pairs
    if min(*strides, *dilations) < 1 or min(pads) < 0:
        return None
    sides = zip(maps.shape[2:], weight.shape[2:], strides, pads, dilations, strict=True)
    size = [(n + 2 * pad - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in sides]
    return maps.new_empty((maps.shape[0], out, *size)) if min(size) > 0 else None


def _is_bias(value: Tensor | None, weight: Tensor) -> bool:
    """Whether it is none, or one number for each output."""
    return value is None or (tuple(value.shape) == tuple(weight.shape[:1]) and value.dtype == weight.dtype)


def _pairs(*given: Any) -> list[tuple[int, int]] | None:
    """Return each as (vertical, horizontal), or nothing where one is other than a number, or one or two of them.

    NumPy's numbers, for example, are taken by some layers and not by others, which torch knows.
    """
    found = [tuple(each) if isinstance(each, (tuple, list)) else (each,) for each in given]
    usual = all(len(each) in (1, 2) and all(type(number) is int for number in each) for each in found)
    return [(each[0], each[-1]) for each in found] if usual else None


def _pooling(
    maps: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1, ceil_mode: bool = False,
    **further: Any,
) -> Tensor | None:  # fmt: skip
    if maps.dim() != 4 or any(further.values()):  # indices are asked for too
        return None
    as_kernel = stride is None or (isinstance(stride, Sequence) and not stride)
    pairs = _pairs(kernel_size, kernel_size if as_kernel else stride, padding, dilation)
    if pairs is None or not isinstance(ceil_mode, bool):
        return None
    kernel, strides, pads, dilations = pairs
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
    if not fits or not _is_bias(bias, weight):
        return None
    return values.new_empty((*values.shape[:-1], weight.shape[0]))


def _average(maps: Tensor, output_size: Any) -> Tensor | None:
    whole = _pairs(output_size) == [(1, 1)] and output_size not in ((1,), [1])
    return maps.new_empty((*maps.shape[:2], 1, 1)) if whole and maps.dim() == 4 else None


def _sum(first: Any, second: Any, *further: Any) -> Tensor | None:
    if further or not (isinstance(first, Tensor) and isinstance(second, Tensor)):
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
