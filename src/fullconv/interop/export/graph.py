"""The graph that is exported: a net, or a net between pixels and labels, traced for every batch size, height and width.

Letters: N images, C channels, H height, W width, K classes.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.utils import parametrize

from fullconv.inference.threshold import labels_at
from fullconv.labels import LabelSet
from fullconv.nn.fcn import FCN
from fullconv.nn.float16 import takes_half

TRACED = (2, 64, 96)
"""Images, height and width that a net is traced with; none of them is one that a file is proven at."""


class PixelsToLabels(nn.Module):
    """A net that takes images as they lie in memory, and gives labels.

    Parameters
    ----------
    model
        Any.
    labels
        The classes of each head.
    threshold
        Of heads with two classes, see :mod:`fullconv.inference.threshold`.
    """

    def __init__(self, model: FCN, labels: Mapping[str, LabelSet], threshold: float | None = None) -> None:
        super().__init__()
        self.model = model
        self.labels = dict(labels)
        self.threshold = threshold

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return labels uint8 (N, H, W) of each head, for images (N, H, W, C) by input."""
        logits = self.model({name: pixels.permute(0, 3, 1, 2) for name, pixels in images.items()})
        return {head: labels_at(logits[head], classes, self.threshold) for head, classes in self.labels.items()}


class Half(nn.Module):
    """Keeps a weight in 16 bits and computes with it in 32."""

    def forward(self, stored: Tensor) -> Tensor:
        """Return the weight float32."""
        return stored.float()

    def right_inverse(self, weight: Tensor) -> tuple[Tensor]:
        """Return the weight float16; one in a tuple, as torch wants a single tensor to keep its type."""
        return (weight.half(),)


def with_half_weights(model: FCN) -> FCN:
    """Return a copy of a net whose large kernels are stored as float16, by the rule of :mod:`fullconv.nn.float16`."""
    found = copy.deepcopy(model)
    for module in list(found.modules()):
        for name, weight in list(module.named_parameters(recurse=False)):
            if takes_half(weight.numel()):
                parametrize.register_parametrization(module, name, Half(), unsafe=True)  # unsafe: another dtype is meant
    return found


def dtype_of(name: str, pixels: bool) -> torch.dtype:
    """Return the type of an input: pixels are uint8, all else float32."""
    return torch.uint8 if pixels and name != "depth" else torch.float32


def trace(model: FCN, labels: Mapping[str, LabelSet], pixels: bool, threshold: float | None) -> ExportedProgram:
    """Return a net as a graph from images by input to logits, or of ``pixels`` to labels, by head; all but C may be of any size.

    Parameters
    ----------
    model
        In evaluation mode, on the CPU.
    labels, threshold
        See :class:`PixelsToLabels`.
    pixels
        Whether images are (N, H, W, C) and labels come out.
    """
    net: nn.Module = PixelsToLabels(model, labels, threshold) if pixels else model
    images, height, width = TRACED
    example, sizes = {}, {}
    for name in model.inputs:
        channels = model.channels_of(name)
        shape = (images, height, width, channels) if pixels else (images, channels, height, width)
        example[name] = torch.full(shape, 100, dtype=dtype_of(name, pixels))
        free = (0, 1, 2) if pixels else (0, 2, 3)
        sizes[name] = dict.fromkeys(free, Dim.DYNAMIC)
    with torch.no_grad():
        return torch.export.export(net.eval(), (example,), dynamic_shapes=(sizes,))
