"""Rules of what only moves values about: views, permutations, joining, splitting and slicing."""

from typing import Any

from torch import Tensor

from fullconv.geometry.axis import AxisMap, Slice
from fullconv.geometry.call import Call, Outcome, dimensions
from fullconv.geometry.layout import Axis, Factor, Map, Refused, TooSmall, along, merged, plain, pure, replaced, viewed


def pointwise(call: Call) -> Outcome:
    """Rule of what treats every position by itself, joining maps entry by entry."""
    found = call.run()
    if not isinstance(found, Tensor):
        raise Refused(f"gives a {type(found).__name__}, which is no map")
    return Outcome(Map(found, merged(found.shape, call.maps, call.constants)))


def unchanged(call: Call) -> Outcome:
    """Rule of what gives a map of the same shape, every position by itself; other arguments have no place."""
    return Outcome(call.maps[0])


def view(call: Call) -> Outcome:
    """Rule of every change of shape in row-major order: view, reshape, flatten, unflatten, squeeze, unsqueeze."""
    found = call.run()
    axes, maps = viewed(call.maps[0].axes, found.shape)
    return Outcome(Map(found, axes), maps)


def permute(call: Call) -> Outcome:
    """Rule of a new order of axes."""
    one = call.maps[0]
    dims = call.given("dims").get("dims")
    order = dimensions(dims if isinstance(dims, (list, tuple)) else call.args[1:], one.tensor.ndim)
    return Outcome(Map(call.run(), tuple(one.axes[d] for d in order)))


def transpose(call: Call) -> Outcome:
    """Rule of two axes that change places."""
    one, given = call.maps[0], call.given("dim0", "dim1")
    first, second = dimensions([given["dim0"], given["dim1"]], one.tensor.ndim)
    axes = list(one.axes)
    axes[first], axes[second] = axes[second], axes[first]
    return Outcome(Map(call.run(), tuple(axes)))


def movedim(call: Call) -> Outcome:
    """Rule of axes that move elsewhere; the others close up."""
    one, given = call.maps[0], call.given("source", "destination")
    rank = one.tensor.ndim
    source, target = dimensions(given["source"], rank), dimensions(given["destination"], rank)
    order = [d for d in range(rank) if d not in source]
    for position, d in sorted(zip(target, source, strict=True)):
        order.insert(position, d)
    return Outcome(Map(call.run(), tuple(one.axes[d] for d in order)))


def cat(call: Call) -> Outcome:
    """Rule of maps one behind the other."""
    found, dim = call.run(), call.given("dim").get("dim", call.kwargs.get("axis", 0))
    return Outcome(_side_by_side(call, found, dim % found.ndim))


def stack(call: Call) -> Outcome:
    """Rule of maps along a new axis."""
    found, dim = call.run(), call.given("dim").get("dim", 0)
    d = dim % found.ndim
    maps = [Map(one.tensor.unsqueeze(d), (*one.axes[:d], (), *one.axes[d:])) for one in call.maps]
    constants = [one.unsqueeze(d) for one in call.constants]
    axes = merged(found.shape, maps, constants)
    return Outcome(Map(found, (*axes[:d], plain(found.shape[d]), *axes[d + 1 :])))


def _side_by_side(call: Call, found: Tensor, d: int) -> Map:
    if along(one.axes[d] for one in call.maps):
        raise Refused(f"joins maps along the height or the width (dim {d}); accepted is the dim of the channels")
    others = [Map(one.tensor, (*one.axes[:d], (), *one.axes[d + 1 :])) for one in call.maps]
    axes = merged(found.shape, others, [one.narrow(d, 0, 1) for one in call.constants])
    return Map(found, (*axes[:d], plain(found.shape[d]), *axes[d + 1 :]))


def split(call: Call) -> Outcome:
    """Rule of chunk, split and tensor_split."""
    one, dim = call.maps[0], call.given("count", "dim").get("dim", 0)
    d = _channels(one, dim)
    return Outcome(tuple(Map(part, (*one.axes[:d], plain(part.shape[d]), *one.axes[d + 1 :])) for part in call.run()))


def unbind(call: Call) -> Outcome:
    """Rule of every entry of an axis as a map of its own."""
    one = call.maps[0]
    d = _channels(one, call.given("dim").get("dim", 0))
    return Outcome(tuple(Map(part, (*one.axes[:d], *one.axes[d + 1 :])) for part in call.run()))


def rearranged(call: Call) -> Outcome:
    """Rule of flip, roll and repeat over axes that are neither height nor width."""
    one = call.maps[0]
    found = call.run()
    changed = call.given("dims").get("dims", call.args[1:])
    for d in dimensions(changed, one.tensor.ndim):
        _channels(one, d)
    return Outcome(Map(found, one.axes))


def expand(call: Call) -> Outcome:
    """Rule of axes of one entry that are repeated."""
    one, found = call.maps[0], call.run()
    return Outcome(Map(found, ((),) * (found.ndim - one.tensor.ndim) + one.axes))


def _channels(one: Map, dim: int) -> int:
    d = dim % one.tensor.ndim
    if along([one.axes[d]]):
        raise Refused(f"works along the height or the width (dim {dim}); accepted is the dim of the channels")
    return d


def select(call: Call) -> Outcome:
    """Rule of indexing: integers take one channel, slices cut height and width or leave out some of their pixels."""
    one, key = call.args[0], call.args[1]
    if not isinstance(one, Map):
        return Outcome(one[key])
    found = call.run()
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(part, (Map, Tensor, list)) for part in keys):
        raise Refused("takes entries by a tensor or a list of indices; accepted are slices, and integers along the channels")
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    at = keys.index(Ellipsis)
    used = sum(part is not None and part is not Ellipsis for part in keys)
    keys[at : at + 1] = [slice(None)] * (one.tensor.ndim - used)
    return _indexed(one, keys, found)


def narrow(call: Call) -> Outcome:
    """Rule of a range of one axis."""
    one, given = call.maps[0], call.given("dim", "start", "length")
    keys: list[Any] = [slice(None)] * one.tensor.ndim
    keys[given["dim"]] = slice(given["start"], given["start"] + given["length"])
    return _indexed(one, keys, call.run())


def take(call: Call) -> Outcome:
    """Rule of one entry of an axis (torch.select)."""
    one, given = call.maps[0], call.given("dim", "index")
    keys: list[Any] = [slice(None)] * one.tensor.ndim
    keys[given["dim"]] = given["index"]
    return _indexed(one, keys, call.run())


def _indexed(one: Map, keys: list[Any], found: Tensor) -> Outcome:
    axes: list[Axis] = []
    maps: dict[int, AxisMap] = {}
    remaining = iter(zip(one.axes, one.tensor.shape, strict=True))
    for key in keys:
        if key is None:
            axes.append(())
            continue
        axis, size = next(remaining)
        if isinstance(key, int):
            if along([axis]):
                raise Refused("takes a single row or column of the map; accepted are slices, and integers along the channels")
            continue
        step = _slice(key, size)
        if step == Slice(0):
            axes.append(axis)
            continue
        label = pure(axis)
        if label is not None:
            maps[label] = step
        count = step.size(size)
        if count < 1:
            raise TooSmall(f"leaves nothing of {size} entries, so the image is too small")
        axes.append(plain(count) if label is None else (Factor(label, count),))
    return Outcome(Map(found, tuple(axes)), replaced(maps))


def _slice(key: slice, size: int) -> Slice:
    """Return a slice in its simplest form: an end at or behind the last entry is none."""
    start, stop = key.start or 0, key.stop
    if start < 0:
        if start <= -size:
            start = 0
        else:
            raise Refused(
                "counts from the end, so where its pixels lie depends on the image's size; accepted is a start from 0 on"
            )
    return Slice(start, None if stop is not None and stop >= size else stop, key.step or 1)
