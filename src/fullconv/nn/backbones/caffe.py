"""The classifiers of the paper as their Caffe definitions have them: CaffeNet (AlexNet), VGG16 and GoogLeNet.

Sources: Long et al. 2015, section 4.1; ``bvlc_reference_caffenet``, ``VGG_ILSVRC_16_layers`` and ``bvlc_googlenet`` of the
Caffe model zoo. They differ from torchvision's nets of the same names: pools round up (ceil mode), AlexNet has groups and
normalises after pooling, GoogLeNet has local response normalisation and no batch norm. Inputs are BGR minus a mean colour.
Layers carry the names of the Caffe layers, so that published weights find their places.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from fullconv.nn.backbones.classifier import Classifier
from fullconv.nn.normalise import CAFFE


def _pool(kernel: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


def _lrn() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)


def initialise(net: nn.Module) -> nn.Module:
    """Return ``net`` with He-normal convolutions and dense layers and zero biases, in place: enough to train from scratch."""
    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return net


def _dense_layers(features: int, side: int, classes: int) -> OrderedDict[str, nn.Module]:
    """Return fc6, fc7 and fc8 with dropout, for maps of ``side`` x ``side``."""
    return OrderedDict(
        flatten=nn.Flatten(),
        fc6=nn.Linear(features * side * side, 4096), relu6=nn.ReLU(), drop6=nn.Dropout(0.5),
        fc7=nn.Linear(4096, 4096), relu7=nn.ReLU(), drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, classes),
    )  # fmt: skip


def alexnet(classes: int = 1000) -> nn.Module:
    """Return CaffeNet: 227x227 float BGR images (N, 3, H, W) to logits (N, classes)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 96, 11, 4), relu1=nn.ReLU(), pool1=_pool(3), norm1=_lrn(),
        conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2), relu2=nn.ReLU(), pool2=_pool(3), norm2=_lrn(),
        conv3=nn.Conv2d(256, 384, 3, padding=1), relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2), relu4=nn.ReLU(),
        conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2), relu5=nn.ReLU(), pool5=_pool(3),
    )  # fmt: skip
    return initialise(nn.Sequential(layers | _dense_layers(256, 6, classes)))


def bvlc_alexnet(classes: int = 1000) -> nn.Module:
    """Return the model zoo's AlexNet, which normalises before it pools: 227x227 float BGR images (N, 3, H, W) to (N, classes)."""
    parts = dict(alexnet(classes).named_children())
    order = [name for name in parts if name not in ("norm1", "norm2")]
    for name in ("norm1", "norm2"):
        order.insert(order.index(name.replace("norm", "pool")), name)
    return nn.Sequential(OrderedDict((name, parts[name]) for name in order))


def vgg16(classes: int = 1000) -> nn.Module:
    """Return VGG16 with pools that round up: 224x224 float BGR images (N, 3, H, W) to logits (N, classes)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = 3
    for block, (channels, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for i in range(1, depth + 1):
            layers[f"conv{block}_{i}"] = nn.Conv2d(width, channels, 3, padding=1)
            layers[f"relu{block}_{i}"] = nn.ReLU()
            width = channels
        layers[f"pool{block}"] = _pool(2)
    return initialise(nn.Sequential(layers | _dense_layers(512, 7, classes)))


class Inception(nn.Module):
    """Four branches side by side, each a way to look at the same map; their outputs are stacked.

    Parameters
    ----------
    channels
        Of the input.
    single
        Outputs of the 1x1 branch.
    three, five
        (reduction, outputs) of the 3x3 and the 5x5 branch.
    projection
        Outputs of the pooling branch.
    """

    def __init__(self, channels: int, single: int, three: tuple[int, int], five: tuple[int, int], projection: int) -> None:
        super().__init__()
        self.single = nn.Sequential(nn.Conv2d(channels, single, 1), nn.ReLU())
        self.three = self._reduced(channels, three, 3)
        self.five = self._reduced(channels, five, 5)
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), nn.Conv2d(channels, projection, 1), nn.ReLU())

    @staticmethod
    def _reduced(channels: int, widths: tuple[int, int], kernel: int) -> nn.Sequential:
        reduce, out = widths
        return nn.Sequential(
            nn.Conv2d(channels, reduce, 1), nn.ReLU(), nn.Conv2d(reduce, out, kernel, padding=kernel // 2), nn.ReLU()
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the branches' maps (N, C', H, W), stacked."""
        return torch.cat([self.single(maps), self.three(maps), self.five(maps), self.pool(maps)], 1)


def googlenet(classes: int = 1000) -> nn.Module:
    """Return GoogLeNet with its last loss layer only: 224x224 float BGR images (N, 3, H, W) to logits (N, classes)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 64, 7, 2, padding=3), relu1=nn.ReLU(), pool1=_pool(3), norm1=_lrn(),
        reduce2=nn.Conv2d(64, 64, 1), relu_reduce2=nn.ReLU(), conv2=nn.Conv2d(64, 192, 3, padding=1), relu2=nn.ReLU(),
        norm2=_lrn(), pool2=_pool(3),
        inception_3a=Inception(192, 64, (96, 128), (16, 32), 32),
        inception_3b=Inception(256, 128, (128, 192), (32, 96), 64), pool3=_pool(3),
        inception_4a=Inception(480, 192, (96, 208), (16, 48), 64),
        inception_4b=Inception(512, 160, (112, 224), (24, 64), 64),
        inception_4c=Inception(512, 128, (128, 256), (24, 64), 64),
        inception_4d=Inception(512, 112, (144, 288), (32, 64), 64),
        inception_4e=Inception(528, 256, (160, 320), (32, 128), 128), pool4=_pool(3),
        inception_5a=Inception(832, 256, (160, 320), (32, 128), 128),
        inception_5b=Inception(832, 384, (192, 384), (48, 128), 128),
        pool5=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), drop=nn.Dropout(0.4), loss3=nn.Linear(1024, classes),
    )  # fmt: skip
    return initialise(nn.Sequential(layers))


CLASSIFIERS = {
    "caffe-alexnet": Classifier(alexnet, 227, CAFFE, "paper", "pool"),
    "caffe-bvlc_alexnet": Classifier(bvlc_alexnet, 227, CAFFE, "paper", "pool"),
    "caffe-vgg16": Classifier(vgg16, 224, CAFFE, "paper", "pool"),
    "caffe-googlenet": Classifier(googlenet, 224, CAFFE, "paper", "pool"),
}
