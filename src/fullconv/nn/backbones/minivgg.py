"""A small VGG with batch norm, the backbone of what is trained in minutes."""

from collections import OrderedDict

from torch import nn

from fullconv.nn.backbones.caffe import initialise
from fullconv.nn.backbones.classifier import Classifier


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
    return initialise(nn.Sequential(layers))


CLASSIFIERS = {"minivgg": Classifier(minivgg, 96, taps="pool")}
