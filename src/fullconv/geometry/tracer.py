"""Recording a module's graph so that it still follows ``.train()`` and ``.eval()``.

torch.fx records what ``self.training`` happens to be as a constant. Here it is marked while the module is traced: dropout by
function that is given it becomes a dropout module, and wherever else it is passed on, the graph asks a small module of its own.
"""

import dis
import inspect
import itertools
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fullconv.errors import GeometryError
from fullconv.geometry.kept_whole import functions_of_torchvision
from fullconv.geometry.one_thread import TRACING, OneThreadTracer

DROPOUTS: dict[Any, type[nn.Module]] = {
    F.dropout: nn.Dropout, F.dropout1d: nn.Dropout1d, F.dropout2d: nn.Dropout2d, F.dropout3d: nn.Dropout3d,
    F.alpha_dropout: nn.AlphaDropout, F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}  # fmt: skip


class Mode(nn.Module):
    """Whether the net is in training mode, as a part of its graph."""

    def forward(self) -> bool:
        """Return the mode."""
        return self.training


class _Flag(int):
    """A module's mode while it is traced: a number that can be told from any other."""

    asked = False

    def __bool__(self) -> bool:
        type(self).asked = True
        return int(self) != 0


class Tracer(OneThreadTracer):
    """A tracer that keeps whole what has a coordinate map of its own, and keeps the mode live.

    The modules that it needs (``_mode``, ``_dropout_0`` …) become attributes of the traced module, as torch.fx does with
    constants, but no parts of it: only the GraphModule that is made of the graph has them as parts.
    """

    def __init__(self) -> None:
        super().__init__(autowrap_functions=functions_of_torchvision())
        self._numbers = itertools.count()
        self._flag: type[_Flag] = _Flag
        self._failed = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one node of the graph."""
        # batch norms with more to them keep statistics while they train, which no graph would
        own = hasattr(m, "axis_maps") or isinstance(m, (Mode, _BatchNorm))
        return own or super().is_leaf_module(m, module_qualified_name)

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """Return the graph of ``root``.

        Raises
        ------
        GeometryError
            When it takes decisions by values or sizes, or another path while training than else.
        """
        graph, asked = self._traced(root, concrete_args, training=None)
        if asked and root.training:
            other, _ = type(self)()._traced(root, concrete_args, training=False)
            if [_sketch(node) for node in graph.nodes] != [_sketch(node) for node in other.nodes]:
                raise GeometryError(
                    f"{type(root).__name__} takes another path while training than else (if self.training), and a graph has one; "
                    "put what differs into modules such as nn.Dropout, or call .eval() first: the graph is then that of eval mode"
                )
        return graph

    def trace_eval(self, root: nn.Module) -> fx.Graph:
        """Return the graph that ``root`` has in eval mode; errors as :meth:`trace`."""
        return self._traced(root, None, False)[0]

    def _traced(self, root: nn.Module, concrete_args: dict[str, Any] | None, training: bool | None) -> tuple[fx.Graph, bool]:
        """Return the graph, in a mode or as the module is, and whether ``self.training`` decided anything."""
        with TRACING:  # another thread that traces the same module would take the marks for its mode
            return self._marked_and_traced(root, concrete_args, training)

    def _marked_and_traced(
        self, root: nn.Module, concrete_args: dict[str, Any] | None, training: bool | None
    ) -> tuple[fx.Graph, bool]:
        self._flag = type("_Flag", (_Flag,), {})  # its own, so that traces in several threads do not meet
        modes = {part: part.training for part in root.modules()}
        try:
            for part, mode in modes.items():
                part.training = self._flag(mode if training is None else training)  # type: ignore[assignment]  # as good as a bool
            return super().trace(root, concrete_args), self._flag.asked
        except (fx.proxy.TraceError, TypeError) as error:
            raise GeometryError(f"{type(root).__name__} cannot be traced by torch.fx: {self._where(error)}") from error
        finally:
            for part, mode in modes.items():
                part.training = mode

    def _where(self, error: Exception) -> str:
        """Return what went wrong, in which module, and what to do about it."""
        path = self._failed
        part = self.root.get_submodule(path)
        place = f"{path or 'its forward'} ({type(part).__name__})"
        if isinstance(part, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) and isinstance(error, fx.proxy.TraceError):
            return (
                f"{place} computes its padding from the image's size (TensorFlow's SAME), so its pixels lie differently at every "
                "size; give it the fixed padding that SAME has at sizes its stride divides: stride 2 pads (k - 2) // 2 before "
                "and (k - 1) // 2 behind for a kernel of k"
            )
        if isinstance(error, fx.proxy.TraceError):
            return f"{place} takes decisions by the values or the size of its input: {error}"
        return f"{place}: {error}"

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Return what a module gives; the innermost that cannot be traced is remembered."""
        try:
            return super().call_module(m, forward, args, kwargs)
        except (fx.proxy.TraceError, TypeError):
            self._failed = self._failed or self.path_of_module(m)
            raise

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Return true where an assert asks, which becomes an operation of the graph; any other decision cannot be traced."""
        frame = inspect.currentframe()
        asker = frame.f_back.f_back if frame and frame.f_back else None  # Proxy.__bool__ stands between
        if asker is not None and _is_assert(asker):
            self.create_proxy("call_function", torch._assert, (obj, "an assert of the net does not hold"), {})
            return True
        return super().to_bool(obj)

    def create_arg(self, a: Any) -> Any:
        """Return an argument as the graph stores it; a mark becomes a call that asks for the mode."""
        if isinstance(a, _Flag):
            vars(self.root)["_mode"] = Mode().train(bool(int(a)))
            return self.create_node("call_module", "_mode", (), {})
        return super().create_arg(a)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **rest: Any) -> Any:
        """Return a new node; dropout by function that follows the module's mode becomes a module."""
        if kind == "call_function" and target in DROPOUTS:
            given = inspect.signature(target).bind(*args, **kwargs).arguments
            if isinstance(given.get("training"), _Flag):
                name = f"_dropout_{next(self._numbers)}"
                dropout = DROPOUTS[target](given.get("p", 0.5), given.get("inplace", False))
                vars(self.root)[name] = dropout.train(int(given["training"]) != 0)
                kind, target, args, kwargs = "call_module", name, (given["input"],), {}
        return super().create_proxy(kind, target, args, kwargs, *more, **rest)


def _is_assert(frame: FrameType) -> bool:
    """Whether a frame is about to jump to or over the raising of an AssertionError."""
    steps = {step.offset: step for step in dis.get_instructions(frame.f_code) if step.opname not in ("CACHE", "NOT_TAKEN", "NOP")}
    order = sorted(steps)
    at = next((i for i, offset in enumerate(order) if offset >= frame.f_lasti and "JUMP" in steps[offset].opname), None)
    if at is None or at + 1 == len(order):
        return False
    jump = steps[order[at]]
    following = steps[order[at + 1]] if "IF_TRUE" in jump.opname else steps.get(jump.argval)
    return following is not None and (following.opname == "LOAD_ASSERTION_ERROR" or following.argval is AssertionError)


def _sketch(node: fx.Node) -> tuple[Any, ...]:
    """Return what a node does, comparable between two graphs of one module."""
    return node.op, node.name, str(node.target), str(node.args), str(node.kwargs)
