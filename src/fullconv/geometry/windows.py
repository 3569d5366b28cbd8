"""Rules of what looks through a window: convolutions, poolings, padding, and what changes the resolution."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fullconv.geometry.axis import AxisMap, Pad, Transposed, Whole, Window
from fullconv.geometry.call import Call, Outcome, numbers
from fullconv.geometry.layout import Axis, Factor, Map, Refused, TooSmall, along, plain, pure, replaced

FILLS = {"constant": "constant", "zeros": "constant", "reflect": "reflect", "replicate": "replicate"}


def apply(one: Map, steps: Sequence[AxisMap], channels: int | None = None) -> Outcome:
    """Return what maps of the last axes, one each, and a new number of channels before them make of a map.

    Raises
    ------
    Refused
        When height or width are flattened or stand in the place of the channels, or nothing is left.
    """
    count = len(steps)
    if one.tensor.ndim not in (count + 1, count + 2):
        raise Refused(f"takes {count + 1} or {count + 2} dimensions and is given {one.tensor.ndim}")
    lead, tail = list(one.axes[:-count]), one.axes[-count:]
    shape = list(one.tensor.shape)
    maps: dict[int, AxisMap] = {}
    axes: list[Axis] = []
    for position, (step, axis) in enumerate(zip(steps, tail, strict=True), start=len(lead)):
        shape[position] = step.size(shape[position])
        if shape[position] < 1:
            raise TooSmall(f"leaves nothing of {tuple(one.tensor.shape)}, so the image is too small")
        label = pure(axis)
        if label is not None:
            maps[label] = step
        keeps = label is not None and step.size(1) >= 0 and step != Whole(1)
        axes.append((Factor(label, shape[position]),) if keeps else plain(shape[position]))
    if channels is not None:
        if along([lead[-1]]):
            raise Refused("takes height or width for channels")
        lead[-1], shape[len(lead) - 1] = plain(channels), channels
    value = Map(torch.empty(shape, dtype=one.tensor.dtype, device="meta"), (*lead, *axes))
    return Outcome(value, replaced(maps))


def convolution(call: Call, weight: Tensor, count: int, mode: str = "zeros") -> Outcome:
    """Rule of a convolution over the last ``count`` axes, from its arguments as the function has them."""
    given = call.given("weight", "bias", "stride", "padding", "dilation", "groups")
    kernel = tuple(weight.shape[-count:])
    stride, dilation = (numbers(given.get(name, 1), count) for name in ("stride", "dilation"))
    padding = given.get("padding", 0)
    if padding == "same":
        total = [gap * (k - 1) for gap, k in zip(dilation, kernel, strict=True)]
        before, after = [t // 2 for t in total], [t - t // 2 for t in total]
    else:
        before = after = list(numbers(0 if padding == "valid" else padding, count))
    if mode == "zeros" or not any(before + after):
        steps = [Window(*own) for own in zip(kernel, stride, dilation, before, after, strict=True)]
        return apply(call.maps[0], steps, weight.shape[0])
    filled = apply(call.maps[0], [_pad(*own, mode) for own in zip(before, after, strict=True)])
    found = apply(filled.value, [Window(*own) for own in zip(kernel, stride, dilation, strict=True)], weight.shape[0])
    return Outcome(found.value, found.maps, filled.maps)


def transposed(call: Call, weight: Tensor, count: int) -> Outcome:
    """Rule of a transposed convolution."""
    given = call.given("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    fields = [numbers(given.get(name, standard), count) for name, standard in (("stride", 1), ("padding", 0), ("dilation", 1))]
    fields.append(numbers(given.get("output_padding", 0), count))
    steps = [Transposed(*own) for own in zip(weight.shape[-count:], *fields, strict=True)]
    return apply(call.maps[0], steps, weight.shape[1] * given.get("groups", 1))


def max_pool(call: Call, count: int) -> Outcome:
    """Rule of max pooling over the last ``count`` axes."""
    given = call.given("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    if given.get("return_indices"):
        raise Refused("also returns indices, which are positions on the map; use a pooling without them")
    return _pool(call.maps[0], given, count)


def average_pool(call: Call, count: int) -> Outcome:
    """Rule of average pooling; what it divides by makes no difference to what it reads."""
    given = call.given("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    return _pool(call.maps[0], given, count)


def power_pool(call: Call, count: int) -> Outcome:
    """Rule of power-average pooling."""
    return _pool(call.maps[0], call.given("norm_type", "kernel_size", "stride", "ceil_mode"), count)


def _pool(one: Map, given: dict[str, Any], count: int) -> Outcome:
    kernel = numbers(given["kernel_size"], count)
    stride = numbers(given.get("stride") or kernel, count)
    padding, dilation = numbers(given.get("padding", 0), count), numbers(given.get("dilation", 1), count)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise Refused(f"pads by {padding}, more than half of its kernel {kernel}, which torch refuses")
    ceil = bool(given.get("ceil_mode", False))
    fields = zip(kernel, stride, dilation, padding, padding, strict=True)
    return apply(one, [Window(*own, ceil) for own in fields])


def adaptive_pool(call: Call, count: int) -> Outcome:
    """Rule of adaptive pooling: it reads the whole map, whatever number of entries it gives."""
    given = call.given("output_size", "return_indices")
    if given.get("return_indices"):
        raise Refused("also returns indices, which are positions on the map; use a pooling without them")
    one, wanted = call.maps[0], numbers(given["output_size"], count)
    if count == 1 and wanted == (1,) and along([one.axes[-1]]) == {0, 1}:  # of a flattened map
        shape = (*one.tensor.shape[:-1], 1)
        value = Map(torch.empty(shape, device="meta"), (*one.axes[:-1], ()))
        return Outcome(value, (Whole(1), Whole(1)))
    return apply(one, [Window() if n is None else Whole(n) for n in wanted])


def pad(call: Call) -> Outcome:
    """Rule of padding by function: pairs (before, behind), the last axis first."""
    given = call.given("pad", "mode", "value")
    one, pairs = call.maps[0], list(given["pad"])
    ends = list(zip(pairs[::2], pairs[1::2], strict=True))[::-1]
    axes, shape = list(one.axes), list(one.tensor.shape)
    maps: dict[int, AxisMap] = {}
    for position, (before, after) in enumerate(ends, start=one.tensor.ndim - len(ends)):
        if not (before or after):
            continue
        step, label = _pad(before, after, given.get("mode", "constant")), pure(axes[position])
        shape[position] = step.size(shape[position])
        if shape[position] < 1:
            raise TooSmall(f"leaves nothing of {tuple(one.tensor.shape)}, so the image is too small")
        axes[position] = plain(shape[position]) if label is None else (Factor(label, shape[position]),)
        if label is not None:
            maps[label] = step
    return Outcome(Map(torch.empty(shape, device="meta"), tuple(axes)), replaced(maps))


def _pad(before: int, after: int, mode: str) -> Pad:
    if mode not in FILLS:
        raise Refused(f"pads with what lies at the other end of the map ({mode}); accepted are {', '.join(FILLS)}")
    return Pad(before, after, FILLS[mode])  # type: ignore[arg-type]  # one of its three


def interpolate(call: Call) -> Outcome:
    """Rule of upsampling by a whole factor, nearest or bilinear; each output pixel keeps to the middle of the input's cells."""
    given = call.given("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
    mode = given.get("mode", "nearest")
    if given.get("size") is not None or mode not in ("nearest", "nearest-exact", "bilinear") or given.get("align_corners"):
        raise Refused(
            "resizes to a given size, or by another rule than nearest or bilinear without aligned corners, so how far pixels lie "
            "apart depends on the image; give a whole scale_factor"
        )
    one = call.maps[0]
    factors = numbers(given["scale_factor"], one.tensor.ndim - 2)
    if len(factors) != 2 or any(factor != math.floor(factor) or factor < 1 for factor in factors):
        raise Refused(f"resizes by {factors}; accepted are two whole factors")
    return apply(one, [_upsampling(int(factor), mode == "bilinear") for factor in factors])


def _upsampling(factor: int, linear: bool) -> AxisMap:
    """Return nearest or linear upsampling as the transposed convolution with the same filter."""
    if not linear or factor == 1:
        return Transposed(factor, factor)
    return Transposed(2 * factor - factor % 2, factor, factor // 2)


def pixel_shuffle(call: Call) -> Outcome:
    """Rule of depth to space: a block of channels becomes a block of pixels."""
    factor = call.given("upscale_factor")["upscale_factor"]
    return apply(call.maps[0], [Transposed(factor, factor)] * 2, call.run().shape[-3])
