"""A net read as a graph (torch.fx) that layers can be exchanged in, and such a graph cut in two.

Functions that a net calls with constant arguments and its own parameters become the modules that do the same, so that who
rewrites a graph has to know the modules alone.
"""

import contextlib
import copy
import operator
import random
import threading
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from fullconv.errors import GeometryError
from fullconv.geometry.known_shapes import KnownShapes
from fullconv.geometry.trace import Tracer, node_names

WEIGHTS = ("weight", "bias")
DRAWING = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson", "rand_like", "randn_like"),
    *("randint_like", "random_", "uniform_", "normal_", "bernoulli_", "exponential_", "geometric_", "log_normal_", "cauchy_"),
}
"""Functions and methods of torch that draw random numbers."""
MODULES: dict[Any, tuple[type[nn.Module], tuple[str, ...]]] = {
    F.conv2d: (nn.Conv2d, (*WEIGHTS, "stride", "padding", "dilation", "groups")),
    F.linear: (nn.Linear, WEIGHTS),
    F.max_pool2d: (nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")),
    F.avg_pool2d: (nn.AvgPool2d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")),
    F.lp_pool2d: (nn.LPPool2d, ("norm_type", "kernel_size", "stride", "ceil_mode")),
    F.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
    F.adaptive_max_pool2d: (nn.AdaptiveMaxPool2d, ("output_size", "return_indices")),
}
"""Functions: the module that does the same, and the names of the arguments after the map, in the function's order."""


def read_graph(net: nn.Module) -> fx.GraphModule:
    """Return ``net`` as a graph of modules that it shares; modes (train, eval) stay as they are.

    Raises
    ------
    GeometryError
        When torch.fx cannot trace it, or when its forward draws random numbers itself: what it drew while it was traced would
        be the same for ever.
    """
    name = type(net).__name__
    watch, before = _Draws(), random.getstate()
    try:
        with watch:
            graph = fx.GraphModule(net, Tracer().trace(net))
    except GeometryError:
        raise
    except Exception as error:  # the net's own code runs on symbols, so anything can be raised
        raise GeometryError(f"{name} cannot be traced by torch.fx: {_first_line(error)}") from error
    # Python's own generator is everybody's: with other threads at work nobody can say who drew
    if watch.drew or (threading.active_count() == 1 and before != random.getstate()):
        raise GeometryError(
            f"{name} draws random numbers in its forward, so that its path through the layers differs from call to call; "
            "call eval() first if it does so in training alone, or draw in a module such as nn.Dropout"
        )
    own = set(net.modules())
    for part in graph.modules():
        if part not in own:  # containers that fx made
            part.training = net.training
    for node in graph.graph.nodes:
        _make_module(graph, node)
    keep_needed(graph)
    return graph


class _Draws(TorchFunctionMode):
    """Notices whether random numbers are drawn by the code that runs inside, in this thread, other than as a step of a graph."""

    drew = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return what the function gives."""
        given = (*args, *(kwargs or {}).values())
        self.drew |= getattr(func, "__name__", "") in DRAWING and not any(isinstance(each, fx.Proxy) for each in given)
        return func(*args, **(kwargs or {}))


def _make_module(graph: fx.GraphModule, node: fx.Node) -> None:
    """Let a node call a module in place of a function, where its arguments are constants and parameters."""
    if node.op != "call_function" or node.target not in MODULES:
        return
    names = MODULES[node.target][1]
    given: dict[str, Any] = {**dict(zip(names, node.args[1:], strict=False)), **node.kwargs}
    given.pop("input", None)
    tensors = {key: given.pop(key) for key in WEIGHTS if isinstance(given.get(key), fx.Node)}
    others = [n for n in node.all_input_nodes[1:] if n not in tensors.values()]
    if others or any(n.op != "get_attr" for n in tensors.values()) or given.get("return_indices"):
        return
    given.pop("bias", None)
    values = {key: operator.attrgetter(str(n.target))(graph) for key, n in tensors.items()}
    part = build_module(node.target, given, values)
    part.training = graph.training
    target = node.name
    while hasattr(graph, target):
        target += "_module"
    graph.add_submodule(target, part)
    node.op, node.target, node.args, node.kwargs = "call_module", target, (node.all_input_nodes[0],), {}


def build_module(function: Any, given: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    """Return the module that does what ``function`` does with the arguments ``given``; it has ``tensors`` themselves."""
    kind: Any = MODULES[function][0]
    if not tensors:
        return kind(**given)
    weight = tensors["weight"]
    if kind is nn.Linear:
        return with_tensors(nn.Linear(1, 1, bias="bias" in tensors, device="meta"), tensors, in_features=weight.shape[1],
                            out_features=weight.shape[0])  # fmt: skip
    size = tuple(weight.shape[2:])
    groups = given.get("groups", 1)
    made = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], size, **given, bias="bias" in tensors, device="meta")  # type: ignore[arg-type]
    return with_tensors(made, tensors)


def with_tensors(part: nn.Module, tensors: dict[str, Tensor], **facts: Any) -> nn.Module:
    """Return ``part`` with these parameters in place of its own, and these attributes."""
    for key, value in tensors.items():
        setattr(part, key, value if isinstance(value, nn.Parameter) else nn.Parameter(value.detach(), value.requires_grad))
    for key, value in facts.items():
        setattr(part, key, value)
    return part


class StoppedError(Exception):
    """A run on shapes stopped: the node that cannot take what it is given."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


SHAPE_KEPT = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.SiLU, nn.Hardswish, nn.GELU, nn.Sigmoid, nn.Hardsigmoid, nn.Dropout)
"""Layers of whose output the shape is known: without memory torch computes it by a dozen operations in Python."""


class Shapes(fx.Interpreter):
    """A run of a graph without memory (meta tensors), in eval mode, whose values are kept by the names of the nodes.

    Parameters
    ----------
    graph
        Left as it is.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        tensors = [*graph.parameters(), *graph.buffers()]
        shadow = copy.deepcopy(graph, {id(t): _on_meta(t) for t in tensors}).eval()
        super().__init__(shadow, garbage_collect_values=False)
        self.extra_traceback = False
        self.values: dict[str, Any] = {}

    def of(self, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, Any]:
        """Return the value of every node for images of a shape (N, C, H, W).

        Raises
        ------
        StoppedError
            When a node cannot take what it is given; ``values`` holds what was computed before.
        """
        self.values = {}
        with torch.no_grad():
            self.run(torch.empty(shape, dtype=dtype, device="meta"))
        return self.values

    def until_stopped(self, shape: tuple[int, ...], dtype: torch.dtype) -> dict[str, Any]:
        """Return the values of the nodes up to the first that cannot take what it is given, or of all."""
        with contextlib.suppress(StoppedError):
            self.of(shape, dtype)
        return self.values

    def run_node(self, n: fx.Node) -> Any:
        """Return a node's value, and keep it."""
        try:
            with torch.device("meta"), KnownShapes():  # the first for tensors that the net makes itself
                value = super().run_node(n)
        except Exception as error:  # layers raise what they like at shapes that do not fit
            raise StoppedError(n.name, _first_line(error)) from error
        self.values[n.name] = value
        return value

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a layer's output without calling the hooks that a user may have put on it."""
        layer = self.fetch_attr(target)
        if len(args) == 1 and not kwargs and _keeps_shape(layer, args[0]):
            return torch.empty_like(args[0])
        return layer.forward(*args, **kwargs)


def _keeps_shape(layer: nn.Module, given: Any) -> bool:
    """Whether a layer's output has the shape and dtype of what it is given, and nothing can be wrong with that."""
    if not isinstance(given, Tensor) or not given.is_floating_point():
        return False
    fits = type(layer) is nn.BatchNorm2d and given.dim() == 4 and given.shape[1] == layer.num_features
    return fits or type(layer) in SHAPE_KEPT


def _on_meta(tensor: Tensor) -> Tensor:
    made = torch.empty_like(tensor, device="meta")
    return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def split(classifier: nn.Module, features_end: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Return a classifier in two parts that share its weights: image → features, and features → logits.

    Parameters
    ----------
    classifier
        Traceable by torch.fx.
    features_end
        Name of the node between them, as in :class:`fullconv.nn.convolutionalize.DenseClassifier`.
    """
    features, head = read_graph(classifier), read_graph(classifier)
    for part in (features, head):
        end = next(node for node, name in node_names(part.graph).items() if name == features_end)
        if part is features:
            next(n for n in part.graph.nodes if n.op == "output").args = (end,)
        else:
            with part.graph.inserting_after(end):
                entry = part.graph.placeholder("features")
            end.replace_all_uses_with(entry)
            _count_images_at(part.graph, entry)
        keep_needed(part)
    return features, head


def _count_images_at(graph: fx.Graph, entry: fx.Node) -> None:
    """Let nodes that ask an earlier map for the number of images ask ``entry``, as ``x.view(x.size(0), -1)`` often does."""
    for node in [n for n in graph.nodes if asks_size(n)]:
        if counts_images(node):
            with graph.inserting_after(entry):
                count = graph.call_method("size", (entry, 0))
            for asked in [node] if len(node.args) > 1 and node.target == "size" else list(node.users):
                asked.replace_all_uses_with(count)


def asks_size(node: fx.Node) -> bool:
    """Whether a node asks a map for its size."""
    return bool(node.target == "size" or (node.target is getattr and node.args[1] == "shape"))


def counts_images(node: fx.Node) -> bool:
    """Whether a node that asks for a size wants to know the number of images alone."""
    if node.target == "size" and len(node.args) > 1:
        return bool(node.args[1] == 0)
    return all(user.target is operator.getitem and user.args[1] == 0 for user in node.users)


def keep_needed(part: fx.GraphModule) -> None:
    """Erase every node that the output does not need (fx itself keeps dropout, which it holds to have side effects)."""
    nodes = list(part.graph.nodes)
    needed = set(nodes[-1].all_input_nodes)
    for node in reversed(nodes[:-1]):
        if node in needed:
            needed.update(node.all_input_nodes)
        else:
            part.graph.erase_node(node)
    part.graph.lint()
    part.recompile()
