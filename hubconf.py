"""Entry points of ``torch.hub``: ``torch.hub.load("path/or/owner/name", "fcn8s", backbone="resnet50", classes=21)``.

All of them are :func:`fullconv.build_model`; which net it is, its arguments say.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

dependencies = ["filelock", "numpy", "PIL", "pydantic", "rich", "safetensors", "torch", "torchvision", "yaml"]

try:
    import fullconv
except ImportError:  # a copy that torch.hub fetched, which nobody has installed
    sys.path.append(str(Path(__file__).parent / "src"))
    import fullconv

Classes = int | Mapping[str, int]


def fcn32s(backbone: str = "resnet50", classes: Classes = 21, weights: str | None = None) -> "fullconv.FCN":
    """Return an FCN whose scores are read at stride 32 alone, in training mode.

    Parameters
    ----------
    backbone
        A name from ``fullconv models``, such as ``vgg16`` or ``efficientnet_lite0``.
    classes
        How many, or how many of each head, such as ``{"semantic": 33, "geometric": 3}``.
    weights
        Of the backbone: ``imagenet``, or a path or name; random ones by default.

    Returns
    -------
    fullconv.FCN
        uint8 images (N, 3, H, W) to logits float32 (N, K, H, W) by head; errors as :func:`fullconv.build_model`.
    """
    return fullconv.build_model(f"fcn32s-{backbone}", classes, weights=weights)


def fcn16s(backbone: str = "resnet50", classes: Classes = 21, weights: str | None = None) -> "fullconv.FCN":
    """Return an FCN with a skip at stride 16; arguments as :func:`fcn32s`."""
    return fullconv.build_model(f"fcn16s-{backbone}", classes, weights=weights)


def fcn8s(backbone: str = "resnet50", classes: Classes = 21, weights: str | None = None) -> "fullconv.FCN":
    """Return an FCN with skips at strides 16 and 8; arguments as :func:`fcn32s`."""
    return fullconv.build_model(f"fcn8s-{backbone}", classes, weights=weights)


def fcn4s(backbone: str = "resnet50", classes: Classes = 21, weights: str | None = None) -> "fullconv.FCN":
    """Return an FCN with skips at strides 16, 8 and 4; arguments as :func:`fcn32s`."""
    return fullconv.build_model(f"fcn4s-{backbone}", classes, weights=weights)
