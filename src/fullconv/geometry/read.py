"""A walk through a traced net at one image size: every operation's coordinate maps, and the size of everything on the way.

Nothing is computed but shapes: tensors are on the meta device, parameters keep their shapes and lose their numbers.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.axis import POINTWISE
from fullconv.geometry.call import Call, Outcome, leaves, replaced_in
from fullconv.geometry.graph import Layer
from fullconv.geometry.layout import Factor, Map, Refused, TooSmall, plain
from fullconv.geometry.rules import function_rule, kind_of, module_rule

BATCH = 2

Sizes = tuple[int | None, int | None]


@dataclass
class Walk:
    """What a walk at one size found.

    Parameters
    ----------
    size
        (height, width) of the images in pixels.
    layers
        One for each operation on a map.
    sizes
        Of their results: entries along the image's height and width, ``None`` along what they no longer have.
    error
        Why it ended before the output, if it did.
    too_small
        Whether that was for want of pixels.
    """

    size: tuple[int, int]
    layers: list[Layer] = field(default_factory=list)
    sizes: list[Sizes] = field(default_factory=list)
    error: GeometryError | None = None
    too_small: bool = False


class Reader:
    """Walks through one graph, at as many sizes as are wanted.

    Parameters
    ----------
    graph, root
        The graph and the module that its targets are found in.
    names
        Of its nodes.
    pointwise
        Whether a module of a kind that no rule knows keeps every position to itself.
    """

    def __init__(
        self, graph: fx.Graph, root: nn.Module, names: dict[fx.Node, str], pointwise: Callable[[nn.Module], bool]
    ) -> None:
        self.graph = graph
        self.root = root
        self.names = names
        self.pointwise = pointwise
        self._shadows: dict[str, nn.Module] = {}
        self._own_maps: dict[str, Any] = {}
        self._inner: dict[Any, bool] = {}

    def walk(self, size: tuple[int, int]) -> Walk:
        """Return what is found for images of ``size``; an operation that is refused ends it, see ``Walk.error``."""
        walk = Walk(size)
        values: dict[fx.Node, Any] = {}
        for node in self.graph.nodes:
            try:
                if node.op == "output":
                    _refuse_turned([values[other] for other in node.all_input_nodes])
                else:
                    values[node] = self._value(node, values, walk)
            except Refused as reason:
                kind = self._kind(node)
                walk.error = GeometryError(f"no coordinate map is known for {self.names[node]} ({kind}): it {reason}")
                walk.too_small = isinstance(reason, TooSmall)
                break
            except (RuntimeError, TypeError, ValueError, IndexError, AssertionError, KeyError, AttributeError) as error:
                height, width = size
                line = str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__
                walk.error = GeometryError(
                    f"{self.names[node]} ({self._kind(node)}) does not take images of {height}×{width} px: {line}; if the net takes "
                    "images of one size only, give it: size=(height, width)"
                )
                break
        return walk

    def _kind(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(self.root.get_submodule(str(node.target))).__name__
        return node.op if node.op == "output" else kind_of(node)

    def _value(self, node: fx.Node, values: dict[fx.Node, Any], walk: Walk) -> Any:
        if node.op == "placeholder":
            return node.args[0] if node.args else self._image(node, walk)
        if node.op == "get_attr":
            return _on_meta(_attribute(self.root, str(node.target)))
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda other: values[other])
        call = Call(args, kwargs, self._function(node))
        if not call.maps or _asks_only(node):
            return call.run()
        return self._layer(node, call, walk)

    def _image(self, node: fx.Node, walk: Walk) -> Map:
        """Return an input: all of them are images of one size."""
        if not walk.layers:
            walk.layers.append(Layer("image", "image", (), (POINTWISE, POINTWISE)))
            walk.sizes.append(walk.size)
        shape = (BATCH, self._channels(node), *walk.size)
        axes = (plain(BATCH), plain(shape[1]), (Factor(0, shape[2]),), (Factor(1, shape[3]),))
        return Map(torch.empty(shape, device="meta"), axes, 0)

    def _channels(self, node: fx.Node) -> int:
        """Return what the first convolution that an input leads to takes; 3 without one."""
        reached = {node}
        for other in self.graph.nodes:
            if reached.intersection(other.all_input_nodes):
                reached.add(other)
                part = self.root.get_submodule(str(other.target)) if other.op == "call_module" else None
                if isinstance(part, nn.Conv2d):
                    return part.in_channels
        return 3

    def _function(self, node: fx.Node) -> Callable[..., Any]:
        target: Any = node.target
        if node.op == "call_module":
            return lambda *args, **kwargs: self._shadow_of(target)(*args, **kwargs)
        return target if node.op == "call_function" else lambda own, *args, **kwargs: getattr(own, target)(*args, **kwargs)

    def _shadow_of(self, target: str) -> nn.Module:
        if target not in self._shadows:
            self._shadows[target] = _shadow(self.root.get_submodule(target))
        return self._shadows[target]

    def _layer(self, node: fx.Node, call: Call, walk: Walk) -> Any:
        name, kind = self.names[node], self._kind(node)
        inputs = tuple(dict.fromkeys(one.layer for one in call.maps))
        like = None
        part = self.root.get_submodule(str(node.target)) if node.op == "call_module" else None
        if part is not None and hasattr(part, "axis_maps"):
            outcome = self._stated(str(node.target), part, call)
            if hasattr(part, "like_start"):
                like, inputs = (call.maps[1].layer, part.like_start), (call.maps[0].layer,)
        else:
            rule = function_rule(node) if part is None else module_rule(part, self._is_pointwise)
            if rule is None:
                raise Refused(
                    "is none of the convolutions, poolings, paddings, pointwise and merging operations that are known; put it into "
                    "a module with a method axis_maps() that returns its vertical and horizontal map"
                )
            outcome = rule(call)
        if outcome.fill is not None:
            walk.layers.append(Layer(f"{name}.padding", "Pad", inputs, outcome.fill))
            known = walk.sizes[inputs[0]]
            walk.sizes.append(tuple(None if n is None else m.size(n) for n, m in zip(known, outcome.fill, strict=True)))  # type: ignore[arg-type]  # two
            inputs = (len(walk.layers) - 1,)
        walk.layers.append(Layer(name, kind, inputs, outcome.maps, like))
        placed = replaced_in(outcome.value, Map, lambda one: replace(one, layer=len(walk.layers) - 1))
        found = [one for one in leaves(placed) if isinstance(one, Map)]
        walk.sizes.append((found[0].extent(0), found[0].extent(1)) if found else (None, None))
        return placed

    def _is_pointwise(self, part: nn.Module) -> bool:
        """Ask once for all modules that are built alike: of one kind, with the same settings and parts."""
        settings = [(name, value) for name, value in vars(part).items() if isinstance(value, (bool, str, type(None)))]
        key = type(part), tuple(settings), repr(list(part.children()))
        if key not in self._inner:
            self._inner[key] = self.pointwise(part)
        return self._inner[key]

    def _stated(self, target: str, part: Any, call: Call) -> Outcome:
        """Return what a module with maps of its own gives: of its first input's layout."""
        if target not in self._own_maps:
            self._own_maps[target] = part.axis_maps()
        found, first = call.run(), call.maps[0]
        if not isinstance(found, Tensor) or found.ndim != first.tensor.ndim:
            raise Refused(f"states its maps by axis_maps() and gives no map of {first.tensor.ndim} dimensions")
        axes = tuple(
            (Factor(old[0].axis, size),) if len(old) == 1 and old[0].axis is not None else plain(size)
            for old, size in zip(first.axes, found.shape, strict=True)
        )
        return Outcome(Map(found, axes), self._own_maps[target])


def _asks_only(node: fx.Node) -> bool:
    """Whether a node asks a map for its shape and the like, which are numbers."""
    if node.op == "call_method":
        return node.target in ("size", "dim", "numel", "is_floating_point", "element_size", "nelement", "ndimension")
    return node.target is getattr and node.args[1] in ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad", "layout")


def _attribute(root: nn.Module, target: str) -> Any:
    value: Any = root
    for name in target.split("."):
        value = getattr(value, name)
    return value


def _on_meta(value: Any) -> Any:
    return torch.empty_like(value, device="meta") if isinstance(value, Tensor) else value


def _shadow(part: nn.Module) -> nn.Module:
    """Return a copy that shares everything with ``part`` but its parameters and buffers, which are on the meta device."""
    twin = copy.copy(part)
    own = vars(twin)
    for kind in ("_parameters", "_buffers"):
        own[kind] = {name: _on_meta(value) for name, value in own[kind].items()}
    own["_modules"] = {name: child if child is None else _shadow(child) for name, child in own["_modules"].items()}
    return twin


def _refuse_turned(results: list[Any]) -> None:
    """Refuse outputs whose height does not come before their width."""
    for one in results:
        if isinstance(one, Map):
            order = [factor.axis for axis in one.axes for factor in axis if factor.axis is not None]
            if order == [1, 0]:
                raise Refused("gives maps whose height and width have changed places; permute them back")
