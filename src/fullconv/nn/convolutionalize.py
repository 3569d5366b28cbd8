"""Any image classifier as a dense scorer, with a proof that it computes the same.

A classifier's dense layers are convolutions whose kernels cover their whole input (Long et al. 2015, section 3.1). Written
so, the net takes images of any size and gives a map of scores, one for each window of the classifier's native size, at
the cost of one pass. What changes in the graph (torch.fx), from the end of the features on:

======================================  ==============================================================
flatten, view                           removed
(adaptive) average pooling, mean        average pooling of the native window with stride 1
first Linear                            convolution of the native window, same numbers
other Linear                            1x1 convolution, same numbers
everything else, dropout included       kept
======================================  ==============================================================

Letters: N images, C channels, H W image, h w score map, K classes.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.graph import Geometry
from fullconv.geometry.trace import Tracer, from_graph, node_names, trace
from fullconv.nn.proof import Proof, prove

FLATTEN = {torch.flatten, "flatten", "view", "reshape", "squeeze"}


class DenseClassifier(nn.Module):
    """A classifier as a fully convolutional net.

    Parameters
    ----------
    graph
        Takes images float (N, C, H, W) as the classifier does, gives logits (N, K, h, w); h = w = 1 at the native size.
    native_size
        (height, width) that the classifier was built for.
    rewrites
        What was changed: names in the graph and a description of each, in order.
    features_end
        Name of the node whose map the tail (pooling, dense layers) reads.
    score
        Name of the last layer, the one that gives the classes.
    windows
        Names of the pooling layers that stand for the classifier's global pooling.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        native_size: tuple[int, int],
        rewrites: dict[str, str],
        features_end: str,
        score: str,
        windows: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.graph = graph
        self.native_size = native_size
        self.rewrites = rewrites
        self.features_end = features_end
        self.score = score
        self.windows = windows

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, h, w), one score vector for each window of the native size."""
        return self.graph(images)

    @property
    def geometry(self) -> Geometry:
        """The coordinate maps of the dense net."""
        return trace(self.graph)

    def prove(self, classifier: nn.Module, *, seed: int = 0, side_limit: int = 1024) -> Proof:
        """Return how far this net is from ``classifier``, at the native size and slid over a larger image; see :class:`Proof`."""
        return prove(self, classifier, seed=seed, side_limit=side_limit)


@dataclass
class _Rewrite:
    """The state of the walk over the tail: what a flattened vector was before it was flattened."""

    graph: fx.GraphModule
    names: dict[fx.Node, str]
    size: tuple[int, int]
    gap: tuple[int, int] = (1, 1)
    notes: dict[str, str] = field(default_factory=dict)
    windows: list[str] = field(default_factory=list)

    def drop(self, node: fx.Node, why: str) -> None:
        self.notes[self.names[node]] = why
        node.replace_all_uses_with(node.all_input_nodes[0])
        self.graph.graph.erase_node(node)

    def pool(self, node: fx.Node, out: tuple[int, int]) -> None:
        """Put a stride-1 pooling in place of one that gave ``out`` entries from ``self.size``."""
        if any(n % o for n, o in zip(self.size, out, strict=True)):
            raise GeometryError(
                f"{self.names[node]} pools {self.size} entries to {out} in windows of unequal size, which no stride-1 pooling "
                f"repeats; give a native size at which it divides"
            )
        window = (self.size[0] // out[0], self.size[1] // out[1])
        self.size, self.gap = out, window
        if window == (1, 1):
            self.drop(node, "removed: pooling of 1×1 windows")
            return
        name = f"window_{len(self.windows)}"
        self.graph.add_submodule(name, nn.AvgPool2d(window, stride=1))
        with self.graph.graph.inserting_before(node):
            pooled = self.graph.graph.call_module(name, (node.all_input_nodes[0],))
        self.notes[self.names[node]] = f"average pooling {window[0]}×{window[1]}, stride 1"
        self.windows.append(name)
        node.replace_all_uses_with(pooled)
        self.graph.graph.erase_node(node)

    def convolve(self, node: fx.Node, linear: nn.Linear) -> None:
        """Put a convolution of the same numbers in place of a dense layer."""
        channels = linear.in_features // (self.size[0] * self.size[1])
        with torch.device(linear.weight.device):
            conv = nn.Conv2d(1, 1, 1, bias=linear.bias is not None)
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.dilation = (
            channels,
            linear.out_features,
            self.size,
            self.gap,
        )
        conv.weight = nn.Parameter(linear.weight.detach().view(linear.out_features, channels, *self.size))
        if linear.bias is not None:
            conv.bias = nn.Parameter(linear.bias.detach())
        self.graph.set_submodule(str(node.target), conv)
        self.notes[self.names[node]] = f"convolution {self.size[0]}×{self.size[1]}, {channels} → {linear.out_features}"
        self.size, self.gap = (1, 1), (1, 1)


def convolutionalize(classifier: nn.Module, native_size: tuple[int, int] = (224, 224)) -> DenseClassifier:
    """Return ``classifier`` as a dense scorer that shares its weights (dense layers are views of them).

    Parameters
    ----------
    classifier
        Takes float (N, C, H, W) at the native size, gives logits (N, K). Traceable by torch.fx.
    native_size
        (height, width) in pixels that it was trained for.

    Raises
    ------
    GeometryError
        When the net cannot be traced, has an operation without a coordinate map, or pools in unequal windows.

    Notes
    -----
    Long et al. 2015, section 3.1 and figure 2.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))
    >>> dense = convolutionalize(net.eval(), native_size=(8, 8))
    >>> dense(torch.zeros(1, 3, 20, 30)).shape
    torch.Size([1, 5, 13, 23])
    """
    try:
        graph = fx.GraphModule(classifier, Tracer().trace(classifier))
    except (fx.proxy.TraceError, TypeError) as error:
        raise GeometryError(f"{type(classifier).__name__} cannot be traced by torch.fx: {error}") from error
    graph.train(classifier.training)
    geometry = from_graph(graph.graph, graph, native_size)
    tail, names = _tail(graph), node_names(graph.graph)
    score = next((names[n] for n in reversed(tail) if isinstance(_module(graph, n), (nn.Linear, nn.Conv2d))), None)
    start = next((i for i, n in enumerate(tail) if _pooled_to(graph, n) is not None or _flattens(graph, n)), None)
    if score is None or start is None:
        raise GeometryError(
            f"{type(classifier).__name__} does not end like a classifier: after its features come {[names[n] for n in tail]}; "
            "expected are pooling or flatten, then dense layers"
        )
    before = tail[start].all_input_nodes[0]
    size = geometry.sizes(native_size)[geometry.index[names[before]]]
    walk = _Rewrite(graph, names, size)
    features_end = names[before]
    for node in tail[start:]:
        part, out = _module(graph, node), _pooled_to(graph, node)
        if out is not None:
            walk.pool(node, (out[0] or walk.size[0], out[1] or walk.size[1]))
        elif _flattens(graph, node):
            walk.drop(node, "removed")
        elif isinstance(part, nn.Linear):
            walk.convolve(node, part)
    graph.graph.lint()
    graph.recompile()
    return DenseClassifier(graph, native_size, walk.notes, features_end, score, tuple(walk.windows))


def _tail(graph: fx.GraphModule) -> list[fx.Node]:
    """Return the straight chain of nodes that ends in the output."""
    node = next(n for n in graph.graph.nodes if n.op == "output").all_input_nodes[0]
    chain: list[fx.Node] = []
    while node.op != "placeholder" and len(maps := [n for n in node.all_input_nodes if n.op != "get_attr"]) == 1:
        chain.append(node)
        node = maps[0]
    return chain[::-1]


def _module(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def _flattens(graph: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(_module(graph, node), nn.Flatten) or (node.op != "call_module" and node.target in FLATTEN)


def _pooled_to(graph: fx.GraphModule, node: fx.Node) -> tuple[Any, Any] | None:
    """Return the (height, width) that an adaptive or global average pooling gives; ``None`` for other nodes."""
    part = _module(graph, node)
    if isinstance(part, nn.AdaptiveAvgPool2d):
        size: Any = part.output_size
    elif node.target is F.adaptive_avg_pool2d:
        size = node.args[1] if len(node.args) > 1 else node.kwargs["output_size"]
    elif node.target in (torch.mean, "mean"):
        size = 1
    else:
        return None
    return (size, size) if isinstance(size, int) or size is None else tuple(size)
