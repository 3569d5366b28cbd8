"""Every backbone by name: the paper's own nets whole and narrow, a small one that trains in minutes, torchvision's classifiers.

A backbone is a classifier (image → logits); :mod:`fullconv.nn.trunk` makes feature maps of it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torchvision import models

from fullconv.errors import SpecError, nearest
from fullconv.nn.backbones import caffe
from fullconv.nn.backbones.narrow import batch_normalised, narrow
from fullconv.nn.normalise import CAFFE, IMAGENET


def minivgg(classes: int = 8) -> nn.Module:
    """Return a small VGG with batch norm, the embedded default: 96x96 float RGB images (N, 3, H, W) to logits (N, classes)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = 3
    for block, (channels, depth) in enumerate(((12, 1), (24, 1), (48, 1), (96, 2), (128, 2)), start=1):
        for i in range(1, depth + 1):
            layers[f"conv{block}_{i}"] = nn.Conv2d(width, channels, 3, padding=1, bias=False)
            layers[f"norm{block}_{i}"] = nn.BatchNorm2d(channels)
            layers[f"relu{block}_{i}"] = nn.ReLU()
            width = channels
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers |= OrderedDict(
        flatten=nn.Flatten(), fc6=nn.Linear(width * 3 * 3, 256), relu6=nn.ReLU(), drop6=nn.Dropout(0.2),
        fc7=nn.Linear(256, classes)
    )  # fmt: skip
    return caffe.initialise(nn.Sequential(layers))


@dataclass(frozen=True)
class Classifier:
    """How a backbone is built and used.

    Parameters
    ----------
    build
        Makes the classifier with random weights.
    native_side
        Side of the images it classifies, in pixels.
    preprocessing
        What its weights expect, see :class:`fullconv.nn.normalise.Normalise`.
    padding
        The default of ``ModelSpec.padding``.
    taps
        Where skips read: ``pool``, the pooling that first reaches the stride (the paper's pool4 and pool3), or ``last``, the
        last map at that stride.
    """

    build: Callable[[], nn.Module]
    native_side: int = 224
    preprocessing: Mapping[str, Any] = field(default_factory=lambda: IMAGENET)
    padding: Literal["same", "paper"] = "same"
    taps: Literal["pool", "last"] = "last"


NARROW = 1 / 8
"""Channels of the ``narrow-`` nets, as a share of the paper's."""


def _narrow(build: Callable[[], nn.Module], side: int) -> Classifier:
    """Return a net of the paper that trains from scratch in minutes: few channels, batch norm, padding of small images' size."""

    def make() -> nn.Module:
        with torch.device("meta"):  # whole nets have half a gigabyte of weights, which are not kept
            whole = batch_normalised(build())
        return narrow(whole, NARROW, side)

    return Classifier(make, side, taps="pool")


FAMILIES = (
    "alexnet", "vgg", "googlenet", "resnet", "resnext", "wide_resnet", "squeezenet", "densenet", "mobilenet", "efficientnet",
    "convnext", "regnet", "mnasnet", "shufflenet",
)  # fmt: skip


def _torchvision(name: str) -> Classifier:
    weights = models.get_model_weights(name)
    native = next(iter(weights)).transforms.keywords["crop_size"]
    extra: dict[str, Any] = {}
    preprocessing: Mapping[str, Any] = IMAGENET
    if name == "googlenet":
        extra = {"aux_logits": False, "transform_input": False, "init_weights": True}
        # torchvision's weights are TensorFlow's: with transform_input it maps its own normalisation to theirs, which is this
        preprocessing = {"channels": "RGB", "range": [0, 255], "mean": [127.5] * 3, "std": [127.5] * 3}
    pools = name == "alexnet" or name.startswith("vgg")
    return Classifier(
        lambda: models.get_model(name, weights=None, **extra),
        native,
        preprocessing,
        "same",
        "pool" if pools else "last",
    )


BACKBONES: dict[str, Classifier] = {
    "minivgg": Classifier(minivgg, 96, taps="pool"),
    "caffe-alexnet": Classifier(caffe.alexnet, 227, CAFFE, "paper", "pool"),
    "caffe-vgg16": Classifier(caffe.vgg16, 224, CAFFE, "paper", "pool"),
    "caffe-googlenet": Classifier(caffe.googlenet, 224, CAFFE, "paper", "pool"),
    "narrow-alexnet": _narrow(caffe.alexnet, 227),
    "narrow-vgg16": _narrow(caffe.vgg16, 224),
    "narrow-googlenet": _narrow(caffe.googlenet, 224),
    **{name: _torchvision(name) for name in models.list_models(module=models) if name.startswith(FAMILIES)},
}


def find_backbone(name: str) -> Classifier:
    """Return the entry of ``BACKBONES``.

    Raises
    ------
    SpecError
        When there is none; the nearest names are given.
    """
    if name not in BACKBONES:
        near = nearest(name, BACKBONES)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise SpecError(f"no backbone is called {name!r}{hint}. `fullconv models` lists all {len(BACKBONES)}")
    return BACKBONES[name]
