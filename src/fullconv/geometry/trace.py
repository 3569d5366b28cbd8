"""From a torch module to its :class:`Geometry`: every operation of its torch.fx graph is given its coordinate map.

An operation without a rule is an error that names it; nothing is guessed. A module of our own that is more than a
composition of known layers states its map itself by a method ``axis_maps() -> (vertical, horizontal)``; when it cuts
its first input to the extent of the second, its attribute ``like_start`` says where the second's index 0 is.
"""

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torchvision.models import shufflenetv2

from fullconv.errors import GeometryError
from fullconv.geometry.axis import POINTWISE, AxisMap, Pad, Transposed, Window
from fullconv.geometry.graph import Geometry, Layer
from fullconv.geometry.one_thread import OneThreadTracer

Maps = tuple[AxisMap, AxisMap]

POINTWISE_MODULES: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid,
    nn.Tanh, nn.Softmax2d, nn.BatchNorm2d, nn.LocalResponseNorm, nn.LayerNorm, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Linear,
)  # fmt: skip
POINTWISE_FUNCTIONS: set[Any] = {
    torch.add, torch.mul, torch.sub, torch.div, operator.add, operator.mul, operator.sub, operator.truediv,
    operator.iadd, operator.imul, operator.getitem, torch.relu, torch.sigmoid, torch.cat, torch.concat,
    torch.permute, torch.flatten, torch.chunk,
    F.relu, F.relu6, F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.dropout, F.layer_norm, F.batch_norm,
    "add", "mul", "relu", "relu_", "sigmoid", "contiguous", "permute", "flatten", "chunk", "float", "stochastic_depth",
    "channel_shuffle",
}  # fmt: skip
"""Functions by themselves, methods and traced helpers by their names."""


class Tracer(OneThreadTracer):
    """A tracer that keeps whole what has a coordinate map of its own."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(shufflenetv2.channel_shuffle,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one node of the graph."""
        return hasattr(m, "axis_maps") or super().is_leaf_module(m, module_qualified_name)


def trace(module: nn.Module) -> Geometry:
    """Return the coordinate maps of every layer of ``module``, which takes images (N, C, H, W).

    Raises
    ------
    GeometryError
        When the graph holds an operation without a known coordinate map; it is named.

    Examples
    --------
    >>> geometry = trace(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)))
    >>> geometry.receptive_field(-1), str(geometry.place(-1).stride)
    (8, '2')
    """
    return from_graph(Tracer().trace(module), module)


def node_names(graph: fx.Graph) -> dict[fx.Node, str]:
    """Return a unique name for every node: its module's path where only one node calls that module, else fx's own name."""
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    return {node: str(node.target) if calls[node.target] == 1 and node.op == "call_module" else node.name for node in graph.nodes}


def from_graph(graph: fx.Graph, module: nn.Module) -> Geometry:
    """Return the coordinate maps of a graph already traced from ``module``."""
    layers: list[Layer] = []
    position: dict[fx.Node, int] = {}
    names = node_names(graph)
    for node in graph.nodes:
        if node.op == "output":
            break
        inputs = [position[other] for other in node.all_input_nodes if other in position]
        if node.op == "get_attr":
            continue
        if node.op == "placeholder":
            if not layers:
                position[node] = 0
                layers.append(Layer("image", "image", (), (POINTWISE, POINTWISE)))
            continue
        position[node] = len(layers)
        layers.append(_layer(names[node], node, module, inputs))
    return Geometry(layers)


def _layer(name: str, node: fx.Node, root: nn.Module, inputs: list[int]) -> Layer:
    if node.op == "call_module":
        part = root.get_submodule(str(node.target))
        kind = type(part).__name__
        own: Any = part
        if hasattr(part, "like_start"):
            return Layer(name, kind, (inputs[0],), own.axis_maps(), like=(inputs[1], own.like_start))
        maps = _module_maps(part)
    else:
        kind = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        maps = _function_maps(node, kind)
    if maps is None:
        return Layer(name, kind, tuple(inputs), (POINTWISE, POINTWISE), sees_all=True)
    if maps == ():
        raise GeometryError(
            f"no coordinate map is known for {name} ({kind}); known are convolutions, poolings, padding, pointwise and merging "
            "operations. Give the module a method axis_maps() that returns its vertical and horizontal map"
        )
    return Layer(name, kind, tuple(inputs), maps)  # type: ignore[arg-type]  # the empty tuple was refused above


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _windows(part: Any, dilation: Any = 1, ceil: bool = False) -> Maps:
    kernel, stride, gaps = _pair(part.kernel_size), _pair(part.stride), _pair(dilation)
    if part.padding == "same":
        total = [g * (k - 1) for g, k in zip(gaps, kernel, strict=True)]
        before, after = [t // 2 for t in total], [t - t // 2 for t in total]
    else:
        padding = (0, 0) if part.padding == "valid" else _pair(part.padding)
        before = after = list(padding)
    vertical, horizontal = (Window(kernel[i], stride[i], gaps[i], before[i], after[i], ceil) for i in (0, 1))
    return vertical, horizontal


def _module_maps(part: nn.Module) -> Maps | tuple[()] | None:
    """Return a module's maps; ``None`` when it sees its whole input, ``()`` when there is no rule."""
    own: Any = part
    if hasattr(part, "axis_maps"):
        return own.axis_maps()
    if isinstance(part, nn.Conv2d):
        return _windows(part, part.dilation)
    if isinstance(part, nn.MaxPool2d):
        return _windows(part, part.dilation, part.ceil_mode)
    if isinstance(part, nn.AvgPool2d):
        return _windows(part, 1, part.ceil_mode)
    if isinstance(part, nn.ConvTranspose2d):
        fields = (_pair(v) for v in (part.kernel_size, part.stride, part.padding, part.dilation, part.output_padding))
        vertical, horizontal = (Transposed(*numbers) for numbers in zip(*fields, strict=True))
        return vertical, horizontal
    if isinstance(part, (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)):
        left, right, top, bottom = part.padding
        return Pad(top, bottom), Pad(left, right)
    if isinstance(part, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.GroupNorm, nn.InstanceNorm2d)):
        return None
    return (POINTWISE, POINTWISE) if isinstance(part, POINTWISE_MODULES) else ()


def _function_maps(node: fx.Node, kind: str) -> Maps | tuple[()] | None:
    if node.target in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
        return None
    if kind == "mean":
        dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        return None if dims in ([2, 3], (2, 3), [-2, -1], (-2, -1)) else ()
    pooling: dict[Any, Callable[..., Maps]] = {F.avg_pool2d: _pool_function, F.max_pool2d: _pool_function}
    if node.target in pooling:
        return _pool_function(node)
    known = node.target in POINTWISE_FUNCTIONS or kind in POINTWISE_FUNCTIONS
    return (POINTWISE, POINTWISE) if known else ()


def _pool_function(node: fx.Node) -> Maps:
    """Return the maps of ``F.avg_pool2d`` or ``F.max_pool2d`` from their call."""
    last = ("dilation", "ceil_mode") if node.target is F.max_pool2d else ("ceil_mode",)
    names = ("kernel_size", "stride", "padding", *last)
    given = {**dict(zip(names, node.args[1:], strict=False)), **node.kwargs}
    kernel = _pair(given["kernel_size"])
    stride, padding = _pair(given.get("stride") or kernel), _pair(given.get("padding", 0))
    gaps, ceil = _pair(given.get("dilation", 1)), bool(given.get("ceil_mode", False))
    vertical, horizontal = (Window(kernel[i], stride[i], gaps[i], padding[i], padding[i], ceil) for i in (0, 1))
    return vertical, horizontal
