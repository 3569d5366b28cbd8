"""A classifier with fewer channels: the same layers, strides and receptive fields, trained from scratch in minutes.

For comparing architectures where there is no time for whole nets (table 1 of the paper on Scenes). With the few steps of such
trainings nets without batch norm stay behind, so :func:`batch_normalised` puts it into the paper's nets.
"""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from fullconv.errors import SpecError
from fullconv.geometry.trace import Tracer
from fullconv.nn.backbones import caffe
from fullconv.nn.backbones.caffe import initialise
from fullconv.nn.backbones.classifier import Classifier

SCALED = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


def narrow(classifier: nn.Module, factor: float, side: int = 224) -> nn.Module:
    """Return the same net with ``factor`` times the channels in every layer, He-normal weights; ``classifier`` is left as it is.

    The channels of the image and the number of classes stay. A width is rounded to a multiple of what grouped convolutions need
    and is at least that, so 1 where there are none; a depth-wise convolution stays one.

    Parameters
    ----------
    classifier
        Images float (N, C, H, W) to logits (N, K), traceable by torch.fx; parameters in Conv2d, BatchNorm2d and Linear alone.
    factor
        Greater than 0.
    side
        Of its images in pixels: from it follow the inputs of the first dense layer.

    Raises
    ------
    SpecError
        For a factor that is not positive, or a layer with parameters of another kind; it is named.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 5))
    >>> narrow(net, 0.25, side=8)
    Sequential(
      (0): Conv2d(3, 2, kernel_size=(3, 3), stride=(1, 1))
      (1): ReLU()
      (2): Flatten(start_dim=1, end_dim=-1)
      (3): Linear(in_features=72, out_features=5, bias=True)
    )
    """
    if not factor > 0:
        raise SpecError(f"cannot scale channels by {factor}; give a factor greater than 0, such as 0.125")
    for name, part in classifier.named_modules():
        if not isinstance(part, SCALED) and any(True for _ in part.parameters(recurse=False)):
            kinds = ", ".join(kind.__name__ for kind in SCALED)
            raise SpecError(f"cannot narrow {name or 'the net'} ({type(part).__name__}): only {kinds} may have parameters")
    net = copy.deepcopy(classifier)
    walk = _Narrower(net, factor)
    channels = next((part.in_channels for part in net.modules() if isinstance(part, nn.Conv2d)), 3)
    with torch.no_grad():
        walk.run(torch.empty(1, channels, side, side, device="meta"))
    for name, part in walk.scaled.items():
        net.set_submodule(name, part)
    return initialise(net).train(classifier.training)


class _Narrower(fx.Interpreter):
    """Runs a net on meta tensors and builds, for each layer that it comes to, one that fits what comes in."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__(fx.GraphModule(net, Tracer().trace(net)))
        self.factor = factor
        self.scaled: dict[str, nn.Module] = {}
        layers = [str(node.target) for node in self.module.graph.nodes if node.op == "call_module"]  # type: ignore[union-attr]  # a GraphModule
        parts = {name: self.module.get_submodule(name) for name in layers}
        self.last = next(name for name in reversed(layers) if isinstance(parts[name], (nn.Conv2d, nn.Linear)))
        grouped = (part.groups for part in parts.values() if isinstance(part, nn.Conv2d) and not _depth_wise(part))
        self.unit = math.lcm(*grouped)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the output of a layer, on the meta device, with its new width."""
        part = self.fetch_attr(target)
        if isinstance(part, SCALED):
            part = self.scaled.setdefault(target, self._scale(part, args[0], target == self.last))
        return copy.deepcopy(part).to("meta").eval()(*args, **kwargs)  # eval: batch norm refuses to train on single entries

    def _width(self, channels: int) -> int:
        return max(1, round(channels * self.factor / self.unit)) * self.unit

    def _scale(self, part: nn.Module, maps: Tensor, last: bool) -> nn.Module:
        channels = maps.shape[-1] if isinstance(part, nn.Linear) else maps.shape[1]
        if isinstance(part, nn.BatchNorm2d):
            return nn.BatchNorm2d(
                channels, eps=part.eps, momentum=part.momentum, affine=part.affine, track_running_stats=part.track_running_stats
            )
        if isinstance(part, nn.Linear):
            return nn.Linear(channels, part.out_features if last else self._width(part.out_features), part.bias is not None)
        assert isinstance(part, nn.Conv2d)  # the only other kind in SCALED
        if _depth_wise(part):
            groups, out = channels, channels * (part.out_channels // part.in_channels)
        else:
            groups, out = part.groups, part.out_channels if last else self._width(part.out_channels)
        shape: Any = {key: getattr(part, key) for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
        return nn.Conv2d(channels, out, **shape, groups=groups, bias=part.bias is not None)


def _depth_wise(part: nn.Conv2d) -> bool:
    return part.groups > 1 and part.groups == part.in_channels


def batch_normalised(classifier: nn.Module) -> nn.Module:
    """Return ``classifier`` with batch norm behind every convolution and local response normalisation left out, in place.

    Convolutions lose their bias, which batch norm has; dense layers stay as they are.

    Examples
    --------
    >>> net = batch_normalised(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.LocalResponseNorm(5)))
    >>> [type(part).__name__ for part in (*net[0], *net[1:])]
    ['Conv2d', 'BatchNorm2d', 'ReLU', 'Identity']
    """
    for name, part in list(classifier.named_modules()):
        if isinstance(part, nn.LocalResponseNorm):
            classifier.set_submodule(name, nn.Identity())
        elif isinstance(part, nn.Conv2d):
            part.register_parameter("bias", None)
            classifier.set_submodule(name, nn.Sequential(part, nn.BatchNorm2d(part.out_channels)))
    return classifier


NARROW = 1 / 8
"""Channels of the ``narrow-`` nets, as a share of the paper's."""


def _build(whole: Callable[[], nn.Module], side: int) -> nn.Module:
    """Return a net of the paper that trains from scratch in minutes: few channels, batch norm."""
    with torch.device("meta"):  # whole nets have half a gigabyte of weights, which are not kept
        net = batch_normalised(whole())
    return narrow(net, NARROW, side)


CLASSIFIERS = {
    name.replace("caffe-", "narrow-"): Classifier(partial(_build, entry.build, entry.native_side), entry.native_side, taps="pool")
    for name, entry in caffe.CLASSIFIERS.items()
}
"""The nets of the paper; padding is that of small images."""
