"""A trunk for prediction: what a batch normalisation behind a convolution does is in the convolution's weights.

Weights are brought into the numbers that convolutions compute in once, and not at every call, as autocast does: of FCN-8s of
VGG16 these are 134 million.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from fullconv.nn.backbones.fixed_padding import SameConv2d, around

Activation = tuple[str, list[float]]
"""What comes behind a convolution: its name in oneDNN, and numbers."""
ACTIVATIONS: dict[Any, Activation] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
    torch.relu: ("relu", []),
    F.relu: ("relu", []),
}
IN_PLACE = {"relu": F.relu_, "hardtanh": F.hardtanh_, "swish": F.silu, "hardswish": F.hardswish}


class FoldedConv2d(nn.Module):
    """A convolution and what follows it; for prediction alone, as it has no gradient.

    Parameters
    ----------
    convolution
        Its weights are copied where they change.
    norm
        The batch normalisation behind it, as it is in evaluation mode.
    activation
        What comes behind that, see :data:`ACTIVATIONS`.
    dtype
        In which it computes.
    """

    def __init__(
        self, convolution: nn.Conv2d, norm: nn.BatchNorm2d | None, activation: Activation | None, dtype: torch.dtype
    ) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        if norm is not None:
            assert norm.running_mean is not None  # one without statistics is not folded
            assert norm.running_var is not None
            statistics = norm.running_mean, norm.running_var
            weight, bias = fuse_conv_bn_weights(weight, bias, *statistics, norm.eps, norm.weight, norm.bias)
        own: tuple[int, ...] = (0, 0) if isinstance(convolution.padding, str) else convolution.padding
        self.before = (0, 0, 0, 0)
        if isinstance(convolution, SameConv2d):
            left, right, top, bottom = around(convolution.kernel_size, convolution.stride, convolution.dilation)
            if left == right and top == bottom:
                own = own[0] + top, own[1] + left
            else:
                self.before = left, right, top, bottom
        self.padding = own
        self.stride, self.dilation, self.groups = list(convolution.stride), list(convolution.dilation), convolution.groups
        self.activation, self.numbers = activation or ("none", [])
        self.dtype = dtype
        self.weight = self._kept(weight.detach())
        self.bias = None if bias is None else bias.detach().to(dtype)

    def _kept(self, weight: Tensor) -> Tensor:
        """Return the weights as they are kept."""
        return weight.to(self.dtype, memory_format=torch.channels_last)

    @property
    def work(self) -> int:
        """Multiplications for one place of its map."""
        return self.weight.numel()

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (N, C', h', w') from (N, C, h, w)."""
        return self.padded(F.pad(maps, self.before) if any(self.before) else maps, self.padding)

    def padded(self, maps: Tensor, padding: tuple[int, ...]) -> Tensor:
        """Return the same with so many zeros around the input; see :class:`fullconv.nn.bordered.Convolution`."""
        found = F.conv2d(maps.to(self.dtype), self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return IN_PLACE[self.activation](found, *self.numbers) if self.activation in IN_PLACE else found


def folded(graph: fx.GraphModule, dtype: torch.dtype, kind: Callable[..., FoldedConv2d] = FoldedConv2d) -> fx.GraphModule:
    """Return a graph that gives the same maps, with folded convolutions; the one given is left as it is.

    Parameters
    ----------
    graph
        In evaluation mode, weights in float32.
    dtype
        In which convolutions compute.
    kind
        Of the convolutions; called with the parameters of :class:`FoldedConv2d`.
    """
    nodes = fx.Graph()
    nodes.output(nodes.graph_copy(graph.graph, {}))
    found = fx.GraphModule(graph, nodes)
    calls = Counter(node.target for node in nodes.nodes)
    for node in [node for node in nodes.nodes if node.op == "call_module" and calls[node.target] == 1]:
        part = found.get_submodule(str(node.target))
        if (
            not isinstance(part, nn.Conv2d)
            or type(part) not in (nn.Conv2d, SameConv2d)
            or part.padding_mode != "zeros"
            or isinstance(part.padding, str)
        ):
            continue
        norm = _norm(found, node)
        activation = _activation(found, node)
        found.set_submodule(str(node.target), kind(part, norm, activation, dtype))
    found.recompile()
    found.delete_all_unused_submodules()
    return found.eval()


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _norm(graph: fx.GraphModule, node: fx.Node) -> nn.BatchNorm2d | None:
    """Return the batch normalisation that alone reads a node, and take it out."""
    reader = _only_reader(node)
    part = graph.get_submodule(str(reader.target)) if reader is not None and reader.op == "call_module" else None
    if reader is None or type(part) is not nn.BatchNorm2d or part.running_mean is None:
        return None
    _take_out(reader, node)
    return part


def _activation(graph: fx.GraphModule, node: fx.Node) -> Activation | None:
    """Return the activation that alone reads a node, and take it out."""
    reader = _only_reader(node)
    if reader is None or reader.op not in ("call_module", "call_function"):
        return None
    kind = type(graph.get_submodule(str(reader.target))) if reader.op == "call_module" else reader.target
    if kind not in ACTIVATIONS:
        return None
    _take_out(reader, node)
    return ACTIVATIONS[kind]


def _take_out(reader: fx.Node, node: fx.Node) -> None:
    reader.replace_all_uses_with(node)
    reader.graph.erase_node(reader)
