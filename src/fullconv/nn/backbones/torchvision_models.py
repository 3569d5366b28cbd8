"""torchvision's convolutional classifiers, with their own weights and what these expect of images."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision import models

from fullconv.nn.backbones.classifier import Classifier, HoldingNumbers, Pretrained

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
    with HoldingNumbers():
        return models.get_model(name, weights=None, **extra)


def _download(name: str) -> Mapping[str, Tensor]:
    entry = next(iter(models.get_model_weights(name)))
    return entry.get_state_dict(progress=False, check_hash=True, weights_only=True)


def _preprocessing(name: str) -> Mapping[str, Any]:
    """Return what the weights of ``name`` expect, as torchvision states it with them."""
    if name == "googlenet":
        # its weights are TensorFlow's: torchvision states ImageNet's numbers, and a part of the net that we leave out
        # (transform_input) maps these to what the weights want, which is this
        return {"channels": "RGB", "range": [0, 1], "mean": [0.5] * 3, "std": [0.5] * 3}
    stated = next(iter(models.get_model_weights(name))).transforms()
    # their numbers are for bytes divided by 255
    return {"channels": "RGB", "range": [0, 1], "mean": list(stated.mean), "std": list(stated.std)}


def parameters_of(name: str) -> int:
    """Return the number of a classifier's parameters, as torchvision states it with its weights."""
    return next(iter(models.get_model_weights(name))).meta["num_params"]


def _classifier(name: str) -> Classifier:
    weights = next(iter(models.get_model_weights(name)))
    return Classifier(
        partial(_build, name),
        weights.transforms.keywords["crop_size"],
        _preprocessing(name),
        taps="pool" if name.startswith(POOLING) else "last",
        pretrained=Pretrained(
            f"torchvision {name} {weights.name}", partial(_download, name), "allow the download from torchvision"
        ),
    )


CLASSIFIERS = {name: _classifier(name) for name in models.list_models(module=models) if name.startswith(FAMILIES)}
