"""A classifier as the trunk of an FCN: image → feature maps at strides 32, 16, 8 and 4.

The classifier is made convolutional, its last layer (the classes) and its global pooling are dropped, and the maps that
scores are read from are tapped: the deepest one, and for every finer stride one that all later maps are computed from.
Where a classifier ends at stride 16 (SqueezeNet), a 2x2 max pooling takes it to stride 32, as VGG's last pooling does.

Letters: N images, C channels, H W image, h w feature map.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from fullconv.errors import SpecError
from fullconv.geometry.axis import Place
from fullconv.geometry.graph import Geometry
from fullconv.geometry.trace import from_graph, node_names
from fullconv.nn.backbones import Classifier
from fullconv.nn.backbones.fixed_padding import SameConv2d
from fullconv.nn.convolutionalize import CHANNELS, DenseClassifier, convolutionalize
from fullconv.nn.surgery import keep_needed
from fullconv.spec import COLORS, STRIDES

PAPER_PADDING = 100


class Trunk(nn.Module):
    """Feature maps of one stream.

    Parameters
    ----------
    graph
        Takes normalised images (N, C, H, W), returns one map for each stride, coarse to fine.
    strides
        Of the maps, in that order.
    preprocessing
        What the weights expect of the images, see :class:`fullconv.nn.normalise.Normalise`.
    geometry
        The coordinate maps of ``graph``.
    """

    def __init__(
        self, graph: fx.GraphModule, strides: Sequence[int], preprocessing: Mapping[str, Any], geometry: Geometry
    ) -> None:
        super().__init__()
        self.graph = graph
        self.strides = tuple(strides)
        self.preprocessing = dict(preprocessing)
        self.geometry = geometry
        names = node_names(graph.graph)
        taps: list[fx.Node] = list(_output(graph).args[0])  # type: ignore[arg-type]  # a node for each stride
        self.taps = [geometry.index[names[node]] for node in taps]
        self.channels = {stride: _channels(graph, node) for stride, node in zip(self.strides, taps, strict=True)}

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return feature maps (N, C, h, w), coarse to fine."""
        return self.graph(images)

    def places(self, axis: int) -> list[Place]:
        """Return where each map lies on the image, coarse to fine."""
        return [place for tap in self.taps if (place := self.geometry.place(tap, axis)) is not None]


def build_trunk(
    entry: Classifier,
    finest: int,
    *,
    channels: int = COLORS,
    padding: str | None = None,
    centre: Literal["window", "cell"] = "cell",
    hidden_layers: bool = True,
    dropout: float | None = None,
) -> Trunk:
    """Return the trunk of a backbone with random weights.

    Parameters
    ----------
    entry
        From ``BACKBONES``.
    finest
        The finest stride that is needed: 32, 16, 8 or 4.
    channels
        Of its images; those after the third start with the mean of the first three's weights (reference), and of fewer than three
        each starts with that mean.
    padding, centre, hidden_layers, dropout
        See :class:`fullconv.spec.ModelSpec`.

    Raises
    ------
    SpecError
        When the classifier has no map at one of the strides.
    """
    dense = convolutionalize(entry.build(), (entry.native_side, entry.native_side))
    graph = dense.graph
    end = _cut_classifier(dense, hidden_layers)
    _set_padding(dense, padding or entry.padding)
    for part in graph.modules():
        if isinstance(part, nn.Dropout) and dropout is not None:
            part.p = dropout
        if isinstance(part, SameConv2d):
            part.centre = centre
    _output(graph).args = (end,)
    keep_needed(graph)
    geometry = from_graph(graph.graph, graph)
    coarsest = _pool_to_coarsest(graph, geometry, end)
    if coarsest is not end:  # skips may read the poolings too
        _output(graph).args = (coarsest,)
        geometry = from_graph(graph.graph, graph)
    strides = [stride for stride in STRIDES if stride >= finest]
    taps = [coarsest, *(_tap(graph, geometry, stride, entry.taps) for stride in strides[1:])]
    _keep_maps_whole(graph, taps)
    _output(graph).args = (taps,)
    graph.recompile()
    graph.delete_all_unused_submodules()
    if channels != COLORS:
        first = first_convolution(graph)
        first.weight = nn.Parameter(with_channels(first.weight.detach(), channels))
        first.in_channels = channels
    return Trunk(graph, strides, entry.preprocessing, geometry)


def first_convolution(graph: nn.Module) -> nn.Conv2d:
    """Return the layer that sees the image."""
    return next(part for part in graph.modules() if isinstance(part, nn.Conv2d))


def with_channels(weight: Tensor, channels: int) -> Tensor:
    """Return the weights (O, channels, k, k) of a first layer that has (O, 3, k, k): each further channel gets the three's mean.

    How the reference starts early fusion of colour and depth (paper, section 5.2). Of two channels each gets the mean, times 3/2,
    so that an image of equal channels gives what it gave before.
    """
    if channels < weight.shape[1]:
        return weight.mean(1, keepdim=True).expand(-1, channels, -1, -1) * (weight.shape[1] / channels)
    extra = weight.mean(1, keepdim=True).expand(-1, channels - weight.shape[1], -1, -1)
    return torch.cat([weight, extra], 1)


def _output(graph: fx.GraphModule) -> fx.Node:
    return next(n for n in graph.graph.nodes if n.op == "output")


def _cut_classifier(dense: DenseClassifier, hidden_layers: bool) -> fx.Node:
    """Drop the last layer and the stand-ins of global pooling; return the node that scores are read from."""
    nodes = {name: node for node, name in node_names(dense.graph.graph).items()}
    score, features_end = nodes[dense.score], nodes[dense.features_end]
    order = list(dense.graph.graph.nodes)
    if not hidden_layers and order.index(features_end) < order.index(score):
        return features_end
    for name in dense.windows:
        window = nodes[name]
        window.replace_all_uses_with(window.all_input_nodes[0])
        dense.graph.graph.erase_node(window)
    return score.all_input_nodes[0]


def _set_padding(dense: DenseClassifier, padding: str) -> None:
    """Pad so that no border is lost: by 100 px at the first convolution as the reference, or at every hidden layer."""
    if padding == "paper":
        first = first_convolution(dense.graph)
        first.padding = (PAPER_PADDING, PAPER_PADDING)
        return
    for name in dense.rewrites:
        part = dense.graph.get_submodule(name) if name in dict(dense.graph.named_modules()) else None
        if isinstance(part, nn.Conv2d):
            part.padding = tuple(d * (k // 2) for k, d in zip(part.kernel_size, part.dilation, strict=True))


def _pool_to_coarsest(graph: fx.GraphModule, geometry: Geometry, end: fx.Node) -> fx.Node:
    """Append 2x2 max poolings until ``end`` has the coarsest stride; return the new end."""
    place = geometry.place(node_names(graph.graph)[end])
    if place is None:
        raise SpecError(f"{end.name} sees the whole image at every position; a trunk needs maps that keep positions")
    stride = place.stride
    while stride < STRIDES[0]:
        name = f"pool_to_{int(stride) * 2}"
        graph.add_submodule(name, nn.MaxPool2d(2, ceil_mode=True))
        with graph.graph.inserting_after(end):
            end = graph.graph.call_module(name, (end,))
        stride *= 2
    if stride != STRIDES[0]:
        raise SpecError(f"the backbone ends at stride {stride}; accepted are 2, 4, 8, 16 and {STRIDES[0]}")
    return end


def _tap(graph: fx.GraphModule, geometry: Geometry, stride: int, rule: str) -> fx.Node:
    """Return the node that the skip at ``stride`` reads, among those that every later map is computed from."""
    names = node_names(graph.graph)
    found: list[fx.Node] = []
    latest = 0
    order = {node: i for i, node in enumerate(graph.graph.nodes)}
    for i, node in enumerate(graph.graph.nodes):
        narrow = latest <= i
        latest = max([latest, *(order[user] for user in node.users)])
        parts = any(user.target is operator.getitem for user in node.users)  # of a split: several maps and not one
        if node.op in ("call_module", "call_function", "call_method") and narrow and not parts:
            place = geometry.place(names[node])
            if place is not None and place.stride == stride:
                found.append(node)
    if not found:
        raise SpecError(f"the backbone has no single map at stride {stride} that a skip could read; use a coarser FCN")
    pooled = found[0].op == "call_module" and isinstance(graph.get_submodule(str(found[0].target)), nn.MaxPool2d)
    return found[0] if rule == "pool" and pooled else found[-1]


def _keep_maps_whole(graph: fx.GraphModule, taps: list[fx.Node]) -> None:
    """Stop layers from working in place where the map that they would overwrite is still needed."""
    for node in graph.graph.nodes:
        part = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        # dropout: a pooling that stood between it and an activation may be gone, and the gradient needs the activation
        if isinstance(part, nn.Dropout) or (hasattr(part, "inplace") and node.all_input_nodes[0] in taps):
            part.inplace = False  # type: ignore[union-attr]  # checked on the line above


def _channels(graph: fx.GraphModule, node: fx.Node) -> int:
    """Return the channels of a node's map."""
    part = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(part, nn.Conv2d):
        return part.out_channels
    # what stands where the classifier had nothing is a pooling, and keeps the number of channels
    return int(node.meta[CHANNELS]) if CHANNELS in node.meta else _channels(graph, node.all_input_nodes[0])
