"""Recording a module's graph in one thread while others go on computing.

While torch.fx traces, it replaces ``nn.Module.__call__`` and ``__getattr__`` for the whole process: modules that other threads
call in that time would be taken for parts of the traced one, and two traces at once would put each other's replacements back. So
traces wait for one another here, and what other threads do is handed through.
"""

import threading
from collections.abc import Callable
from typing import Any

from torch import fx, nn

TRACING = threading.RLock()
"""Held while a module is traced, and while it is prepared for that."""


class OneThreadTracer(fx.Tracer):
    """A tracer that several threads may use, each its own, while others call modules, the traced one included."""

    _thread: int | None = None

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """Return the graph of ``root``; waits while another thread traces."""
        with TRACING:
            self._thread = threading.get_ident()
            return super().trace(root, concrete_args)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Return what a module gives: recorded in the thread that traces, computed in any other."""
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Return an attribute of a module: a parameter's place in the graph in the thread that traces, itself in any other."""
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)
