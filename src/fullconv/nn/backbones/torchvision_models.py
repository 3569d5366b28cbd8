"""torchvision's convolutional classifiers, with their own weights and what these expect of images."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision import models

from fullconv.nn.backbones.classifier import Classifier, Pretrained
from fullconv.nn.normalise import IMAGENET

FAMILIES = (
    "alexnet", "vgg", "googlenet", "resnet", "resnext", "wide_resnet", "squeezenet", "densenet", "mobilenet", "efficientnet",
    "convnext", "regnet", "mnasnet", "shufflenet",
)  # fmt: skip
POOLING = ("alexnet", "vgg")
"""Families whose skips read a pooling, as the paper's do."""


def _build(name: str) -> nn.Module:
    extra: dict[str, Any] = {}
    if name == "googlenet":
        extra = {"aux_logits": False, "transform_input": False, "init_weights": True}
    return models.get_model(name, weights=None, **extra)


def _download(name: str) -> Mapping[str, Tensor]:
    entry = next(iter(models.get_model_weights(name)))
    return entry.get_state_dict(progress=False, check_hash=True, weights_only=True)


def _classifier(name: str) -> Classifier:
    weights = next(iter(models.get_model_weights(name)))
    preprocessing: Mapping[str, Any] = IMAGENET
    if name == "googlenet":
        # torchvision's weights are TensorFlow's: with transform_input it maps its own normalisation to theirs, which is this
        preprocessing = {"channels": "RGB", "range": [0, 255], "mean": [127.5] * 3, "std": [127.5] * 3}
    return Classifier(
        partial(_build, name),
        weights.transforms.keywords["crop_size"],
        preprocessing,
        taps="pool" if name.startswith(POOLING) else "last",
        pretrained=Pretrained(
            f"torchvision {name} {weights.name}", partial(_download, name), "allow the download from torchvision"
        ),
    )


CLASSIFIERS = {name: _classifier(name) for name in models.list_models(module=models) if name.startswith(FAMILIES)}
