"""Any image classifier as a dense scorer.

A classifier's dense layers are convolutions whose kernels cover their whole input (Long et al. 2015, section 3.1). Written
so, the net takes images of any size and gives a map of scores, one for each window of the classifier's native size, at
the cost of one pass. The features stay as they are; what follows on them is rewritten layer by layer
(:mod:`fullconv.nn.tail_rules` has the table). :func:`fullconv.nn.proof.prove` shows that both compute the same.

Letters: N images, C channels, H W image, h w score map, K classes.
"""

from collections.abc import Container
from typing import Any

from torch import Tensor, fx, nn

from fullconv.errors import GeometryError
from fullconv.geometry.graph import Geometry
from fullconv.geometry.trace import from_graph, node_names, trace
from fullconv.nn.native import by, values_at, wrong_size
from fullconv.nn.surgery import asks_size, counts_images, keep_needed, read_graph
from fullconv.nn.tail import Meaning, Tail, WrongSizeError
from fullconv.nn.tail_rules import leaves_map, permuted, rule_for

CHANNELS = "channels"
"""Under which a node's ``meta`` tells how many channels its map has in the classifier."""


class DenseClassifier(nn.Module):
    """A classifier as a fully convolutional net.

    Parameters
    ----------
    graph
        Takes images float (N, C, H, W) as the classifier does, gives logits (N, K, h, w); h = w = 1 at the native size.
    native_size
        (height, width) that the classifier was built for.
    channels
        Of its images.
    rewrites
        What was changed: names of the classifier's layers and a description of each, in order.
    features_end
        Name of the node whose map the tail (pooling, dense layers) reads; that of the images where they are flattened at once.
    score
        Name of the last layer, the one that gives the classes.
    windows
        Names of the pooling layers that stand for the classifier's global pooling.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        native_size: tuple[int, int],
        channels: int,
        rewrites: dict[str, str],
        features_end: str,
        score: str,
        windows: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.training = graph.training
        self.graph = graph
        self.native_size = native_size
        self.channels = channels
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


def convolutionalize(classifier: nn.Module, native_size: int | tuple[int, int] = (224, 224)) -> DenseClassifier:
    """Return ``classifier`` as a dense scorer that shares its weights (dense layers are views of them).

    Parameters
    ----------
    classifier
        Takes float (N, C, H, W) at the native size, gives logits (N, K) or what follows on them, such as log-probabilities.
        Traceable by torch.fx.
    native_size
        (height, width), or one side of a square, in pixels that it was trained for.

    Raises
    ------
    GeometryError
        When the net cannot be traced, does not take images of the native size, has an operation without a coordinate map in its
        features, or a layer behind them that cannot be made convolutional; the layer is named, with the reason.

    Notes
    -----
    Long et al. 2015, section 3.1 and figure 2.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))
    >>> dense = convolutionalize(net.eval(), native_size=(8, 8))
    >>> dense(torch.zeros(1, 3, 20, 30)).shape
    torch.Size([1, 5, 13, 23])
    """
    name = type(classifier).__name__
    graph = read_graph(classifier)
    names = node_names(graph.graph)
    output = next(n for n in graph.graph.nodes if n.op == "output")
    inputs = [n for n in graph.graph.nodes if n.op == "placeholder"]
    if not isinstance(output.args[0], fx.Node) or len(inputs) != 1:
        raise GeometryError(
            f"{name} computes {output.args[0]} from {', '.join(map(str, inputs))}; accepted is a net of one input, the images, "
            "and one output, the logits; wrap it in a module that has both"
        )
    native_size = (native_size, native_size) if isinstance(native_size, int) else native_size
    values = values_at(graph, native_size)
    data = _data(graph.graph, values)
    for node in data:
        if len(shape := _tensor(values[node.name]).shape) > 1:
            node.meta[CHANNELS] = shape[1]
    end = _features_end(graph, data, values)
    features = data[: data.index(end) + 1]
    _check_features(graph, end)
    tail = Tail(graph, names, values)
    try:
        last = tail.walk(end, data[len(features) :], rule_for)
    except WrongSizeError as wrong:
        raise GeometryError(wrong_size(graph, native_size, wrong.node, wrong.wanted)) from None
    if last.size != (1, 1) or "".join(last.axes) not in ("c", ""):
        raise GeometryError(
            f"{name} does not end like a classifier: it gives {tail.shape(data[-1])} for every image of {by(native_size)}; "
            "expected are pooling or flatten, then dense layers that give one number for every class"
        )
    output.args = (last.node,)
    keep_needed(graph)
    graph.delete_all_unused_submodules()
    score = _score(graph, last)
    if score is None:
        raise GeometryError(f"{name} does not end like a classifier: no dense layer or convolution gives its classes")
    channels = values[inputs[0].name].shape[1]
    return DenseClassifier(graph, native_size, channels, tail.notes, node_names(graph.graph)[end], score, tuple(tail.windows))


def _data(graph: fx.Graph, values: dict[str, Any]) -> list[fx.Node]:
    """Return the nodes, in order, that the images' numbers pass through on their way to the output."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        value = values.get(node.name)
        tensors = isinstance(value, Tensor) or (isinstance(value, tuple) and any(isinstance(v, Tensor) for v in value))
        if node.op == "placeholder" or (tensors and any(n in found for n in node.all_input_nodes)):
            found.add(node)
    return [node for node in graph.nodes if node in found and node.op != "output"]


def _features_end(graph: fx.GraphModule, data: list[fx.Node], values: dict[str, Any]) -> fx.Node:
    """Return the last node that everything passes through and that is a map of local features (N, C, H, W)."""
    maps = {data[0]}
    layout = {data[0]: [0, 1, 2, 3]}
    order = {node: i for i, node in enumerate(data)}
    latest, end = 0, data[0]
    for i, node in enumerate(data):
        if i:
            before = [n for n in node.all_input_nodes if n in order]
            shapes = [tuple(_tensor(values[n.name]).shape[1:]) for n in (*before, node)]
            part = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
            turned = permuted(node, 4) if len(shapes[0]) == len(shapes[-1]) == 3 else None
            known = next((layout[n] for n in before if n in layout), [0, 1, 2, 3])
            along_width = isinstance(part, nn.Linear) and known[3] != 1
            if any(n in maps for n in before) and not along_width and not leaves_map(part, node, shapes[0], shapes[-1]):
                maps.add(node)
            layout[node] = known if turned is None else [known[axis] for axis in turned]
        if latest <= i and node in maps and layout[node] == [0, 1, 2, 3] and isinstance(values[node.name], Tensor):
            end = node
        latest = max([latest, *(order[user] for user in _readers(node, order))])
    return end


def _readers(node: fx.Node, data: Container[fx.Node]) -> list[fx.Node]:
    """Return the nodes of ``data`` that read a node, or its size but for the number of images."""
    found, asked = [], [node]
    while asked:
        for user in asked.pop().users:
            if user in data:
                found.append(user)
            elif user.op != "output" and not (asks_size(user) and counts_images(user)):
                asked.append(user)
    return found


def _tensor(value: Any) -> Tensor:
    return next(v for v in value if isinstance(v, Tensor)) if isinstance(value, tuple) else value


def _check_features(graph: fx.GraphModule, end: fx.Node) -> None:
    """Refuse features that hold an operation without a coordinate map."""
    features = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    features.graph_copy(graph.graph, copies)
    features.output(copies[end])
    part = fx.GraphModule(graph, features)
    keep_needed(part)
    from_graph(part.graph, part)


def _score(graph: fx.GraphModule, last: Meaning) -> str | None:
    """Return the name of the last convolution that the output is computed from; ``None`` when there is none."""
    names = node_names(graph.graph)
    seen = {last.node}
    for node in reversed(list(graph.graph.nodes)):
        if node in seen:
            if node.op == "call_module" and isinstance(graph.get_submodule(str(node.target)), nn.Conv2d):
                return names[node]
            seen.update(node.all_input_nodes)
    return None
