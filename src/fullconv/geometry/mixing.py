"""Rules of what mixes whole axes: dense layers, reductions, softmax and normalisation. Over height or width they see all of it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from fullconv.geometry.axis import Whole
from fullconv.geometry.call import Call, Outcome, Rule, dimensions
from fullconv.geometry.layout import KEPT, Layout, Map, Maps, Refused, along, plain, replaced


def whole(axes: Iterable[Any], count: int | None) -> Maps:
    """Return the maps of an operation that reads everything along the given axes of a tensor."""
    return replaced({label: Whole(count) for label in along(axes)})


def reduction(*names: str) -> Rule:
    """Return the rule of a function that sums up the axes ``dim``; ``names`` are its arguments after the first."""

    def rule(call: Call) -> Outcome:
        one, given = call.maps[0], call.given(*names)
        if not isinstance(given.get("dim", given.get("axis")), (int, list, tuple, type(None))):
            raise Refused("compares two maps")
        dims = dimensions(given.get("dim", given.get("axis")), one.tensor.ndim)
        keep = given.get("keepdim", False)
        axes = tuple(() if d in dims else axis for d, axis in enumerate(one.axes) if keep or d not in dims)
        value = _like(call.run(), axes)
        return Outcome(value, whole([one.axes[d] for d in dims], 1))

    return rule


def _like(found: Any, axes: Layout) -> Any:
    """Return what an operation gave, one tensor or several, as maps of one layout."""
    return Map(found, axes) if isinstance(found, Tensor) else tuple(Map(one, axes) for one in found)


def along_one(*names: str) -> Rule:
    """Return the rule of softmax and its like: every entry depends on all along ``dim``, and stays where it is."""

    def rule(call: Call) -> Outcome:
        one, dim = call.maps[0], call.given(*names).get("dim", 1 if "p" in names else None)
        if dim is None:
            raise Refused("is given no dim; give 1, the channels")
        dims = dimensions(dim, one.tensor.ndim)
        return Outcome(Map(call.run(), one.axes), whole([one.axes[d] for d in dims], None))

    return rule


def gated(call: Call) -> Outcome:
    """Rule of a gated linear unit: the first half of the channels times the sigmoid of the second."""
    one, dim = call.maps[0], call.given("dim").get("dim", -1)
    d = dim % one.tensor.ndim
    if along([one.axes[d]]):
        raise Refused(f"halves the height or the width (dim {dim}); give dim=1, the channels")
    axes = list(one.axes)
    axes[d] = plain(one.tensor.shape[d] // 2)
    return Outcome(Map(call.run(), tuple(axes)))


def layer_norm(call: Call) -> Outcome:
    """Rule of layer normalisation over the last axes."""
    one, shape = call.maps[0], call.given("normalized_shape")["normalized_shape"]
    last = [shape] if isinstance(shape, int) else list(shape)
    if list(one.tensor.shape[-len(last) :]) != last:
        raise Refused(f"normalises {tuple(last)} and is given {tuple(one.tensor.shape)}, so it takes images of one size only")
    mixed = one.axes[-len(last) :]
    if along(mixed):
        raise Refused("normalises over height and width with weights of their own for every position")
    return Outcome(one)


def group_norm(call: Call) -> Outcome:
    """Rule of group normalisation: statistics over all positions."""
    one = call.maps[0]
    return Outcome(one, whole(one.axes[1:], None))


def instance_norm(call: Call) -> Outcome:
    """Rule of instance normalisation: statistics over all positions, or stored ones."""
    one = call.maps[0]
    names = ("running_mean", "running_var", "weight", "bias", "use_input_stats")
    stored = call.given(*names).get("use_input_stats", True) is False
    return Outcome(one, KEPT if stored else whole(one.axes[2:], None))


def batch_norm(call: Call) -> Outcome:
    """Rule of batch normalisation: by stored statistics, as the net predicts, whatever its mode is now; else by the image's own."""
    one = call.maps[0]
    if along([one.axes[1]]):
        raise Refused("takes height or width for channels")
    stored = call.given("running_mean").get("running_mean") is not None
    return Outcome(one, KEPT if stored else whole((one.axes[0], *one.axes[2:]), None))


def over_channels(call: Call) -> Outcome:
    """Rule of modules that mix the channels, dimension 1, at every position."""
    one = call.maps[0]
    if along([one.axes[1]]):
        raise Refused("takes height or width for channels")
    return Outcome(one)


def linear(call: Call, weight: Any) -> Outcome:
    """Rule of a dense layer over the last axis."""
    one, (outputs, inputs) = call.maps[0], weight.shape
    if one.tensor.shape[-1] != inputs:
        raise Refused(
            f"is a dense layer of {inputs} inputs and is given {one.tensor.shape[-1]} at this image size; a net with dense layers "
            "takes images of one size, which has to be given: size=(height, width)"
        )
    shape = (*one.tensor.shape[:-1], outputs)
    value = Map(torch.empty(shape, device="meta"), (*one.axes[:-1], plain(outputs)))
    return Outcome(value, whole([one.axes[-1]], 1))


def matmul(call: Call) -> Outcome:
    """Rule of a product with a constant matrix; two maps are not multiplied, for that is attention."""
    if len(call.maps) > 1 or not isinstance(call.args[0], Map) or call.constants[0].ndim != 2:
        raise Refused("multiplies maps as matrices (attention), which mixes positions")
    return linear(call, call.constants[0].T)
