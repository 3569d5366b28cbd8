"""A trunk with its convolutions as oneDNN computes them best on x86 processors: weights in its own layout, activations included.

PyTorch brings a convolution's weights into that layout at every call. Of FCN-8s of VGG16 that is more work than the convolution
itself in the layer with the most weights (411 MB, fc6), whose map is small. Here it is done once. What a batch normalisation and
an activation behind a convolution do, the convolution does on the way.

These are the operations that PyTorch's own compiler puts in the place of convolutions when it freezes a net.
"""

import platform

import torch
from torch import Tensor, fx

from fullconv.inference.engines.folded import FoldedConv2d, folded
from fullconv.inference.engines.precision import X86


def can_pack(device: torch.device) -> bool:
    """Whether convolutions can be packed on a device: on x86 processors, with a PyTorch that was built with oneDNN."""
    known = hasattr(torch.ops.mkldnn, "_convolution_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    return device.type == "cpu" and platform.machine().lower() in X86 and torch.backends.mkldnn.is_available() and known


class PackedConv2d(FoldedConv2d):
    """A folded convolution with packed weights."""

    _packed: Tensor | None = None

    def _kept(self, weight: Tensor) -> Tensor:
        return weight  # which layout is best depends on the map

    def padded(self, maps: Tensor, padding: tuple[int, ...]) -> Tensor:
        """Return maps with so many zeros around the input; see :class:`fullconv.nn.bordered.Convolution`."""
        maps = maps.to(self.dtype)
        shape = list(padding), self.stride, self.dilation, self.groups
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight.to(self.dtype), *shape, list(maps.shape))
        return torch.ops.mkldnn._convolution_pointwise(maps, self._packed, self.bias, *shape, self.activation, self.numbers, "")


def packed(graph: fx.GraphModule, dtype: torch.dtype) -> fx.GraphModule:
    """Return a graph on a CPU that gives the same maps, with packed convolutions; see :func:`folded`."""
    return folded(graph, dtype, PackedConv2d)
