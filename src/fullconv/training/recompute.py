"""Gradient checkpointing: a trunk keeps the maps at the borders of its segments, and computes those between them again.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost": of ``n`` layers some ``2 √n`` maps are in memory at a time in
place of ``n``, for a second pass forward.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, fx
from torch.fx.passes.split_module import split_module
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from fullconv.nn.trunk import Trunk


class Recomputed:
    """What gives a trunk's maps with less memory, and the same gradients.

    Parameters
    ----------
    trunk
        Its layers are used as they are, weights, statistics and modes.

    Examples
    --------
    >>> import torch
    >>> from fullconv.nn.build import build_model
    >>> trunk = build_model("fcn8s-minivgg", 2).trunks["rgb"]
    >>> [tuple(maps.shape[-2:]) for maps in Recomputed(trunk)(torch.zeros(1, 3, 64, 96))]
    [(2, 3), (4, 6), (8, 12)]
    """

    def __init__(self, trunk: Trunk) -> None:
        nodes = [node for node in trunk.graph.graph.nodes if node.op not in ("placeholder", "output")]
        segments = max(2, round(math.sqrt(len(nodes))))
        of_node = {node: place * segments // len(nodes) for place, node in enumerate(nodes)}
        self._graph = split_module(trunk.graph, trunk.graph, lambda node: of_node.get(node, 0))

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return feature maps (N, C, h, w), coarse to fine, of normalised images (N, C, H, W)."""
        found: list[Tensor] = _Segments(self._graph).run(images)
        return found


class _Segments(fx.Interpreter):
    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a segment gives, of which nothing but its inputs is kept."""
        segment = self.fetch_attr(target)
        norms = [part for part in segment.modules() if isinstance(part, _BatchNorm)]
        contexts = lambda: (contextlib.nullcontext(), _still(norms))  # noqa: E731  # checkpoint asks for a function of both
        return checkpoint(segment, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextlib.contextmanager
def _still(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Keep the statistics of normalisations, which have seen this batch already."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count
