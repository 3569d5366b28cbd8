"""How a backbone is built and used, and where its ImageNet weights come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fullconv.nn.normalise import IMAGENET


@dataclass(frozen=True)
class Pretrained:
    """Weights that a library brings along or fetches.

    Parameters
    ----------
    source
        Which ones, for messages: ``torchvision resnet50 IMAGENET1K_V2``.
    load
        Returns tensors by the names of the classifier's own state. Raises OSError, RuntimeError or ImportError where it cannot;
        the first line of the message says why.
    advice
        What to do where it cannot, as the end of a sentence that begins with "or".
    installed
        Returns whether they are on this machine, so that nothing is downloaded.
    """

    source: str
    load: Callable[[], Mapping[str, Tensor]]
    advice: str
    installed: Callable[[], bool] = bool


@dataclass(frozen=True)
class Classifier:
    """How a backbone is built and used.

    Parameters
    ----------
    build
        Makes the classifier with random weights: float images (N, 3, H, W) to logits (N, classes).
    native_side
        Side of the images it classifies, in pixels.
    preprocessing
        What its weights expect, see :class:`fullconv.nn.normalise.Normalise`.
    padding
        The default of ``ModelSpec.padding``.
    taps
        Where skips read: ``pool``, the pooling that first reaches the stride (the paper's pool4 and pool3), or ``last``, the
        last map at that stride.
    pretrained
        Where its ImageNet weights come from when no file holds them; ``None``: nowhere.
    """

    build: Callable[[], nn.Module]
    native_side: int = 224
    preprocessing: Mapping[str, Any] = field(default_factory=lambda: IMAGENET)
    padding: Literal["same", "paper"] = "same"
    taps: Literal["pool", "last"] = "last"
    pretrained: Pretrained | None = None


class HoldingNumbers(TorchFunctionMode):
    """While in force, tensors of numbers that a builder states or counts out hold them, on the meta device too.

    Some nets compute their widths with such tensors (torchvision's regnet), or how often they drop a layer (convnext of older
    versions of timm); their weights are not stated and need no memory.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return what ``func`` returns."""
        given = dict(kwargs or {})
        if func in (torch.arange, torch.linspace, torch.tensor):
            given.setdefault("device", "cpu")
        return func(*args, **given)
