"""timm's classifiers by name, ``timm/resnet18d``: extra ``fullconv[timm]``.

Which of them can be backbones the geometry decides when one is asked for: convolutional ones can, and one that looks at the whole
image at once (transformers) or decides by the image's size is refused with layer and reason. TensorFlow's SAME padding becomes
fixed, see :mod:`fullconv.nn.backbones.fixed_padding`.
"""

import difflib
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from fullconv.errors import SpecError
from fullconv.nn.backbones.classifier import Classifier, HoldingNumbers, Pretrained
from fullconv.nn.backbones.fixed_padding import SameConv2d, around

PREFIX = "timm/"


def find_timm(name: str) -> Classifier:
    """Return the classifier that timm calls so: ``timm/resnet18d`` or, with a choice of weights, ``timm/resnet18d.ra2_in1k``.

    Raises
    ------
    SpecError
        When timm is not installed or knows no such classifier of square RGB images.
    """
    timm = _timm(name)
    wanted = name.removeprefix(PREFIX)
    known = timm.list_models()
    if wanted.partition(".")[0] not in known:
        near = difflib.get_close_matches(wanted, known, 3, 0.4)
        hint = f"; nearest: {', '.join(PREFIX + other for other in near)}" if near else ""
        raise SpecError(f"timm {timm.__version__} has no classifier {wanted!r}{hint}")
    try:
        stated = timm.get_pretrained_cfg(wanted, allow_unregistered=False)
    except RuntimeError as error:
        raise SpecError(f"timm {timm.__version__} has no weights called so for {wanted!r}: {error}") from error
    channels, height, width = stated.input_size
    if channels != 3 or height != width:
        raise SpecError(f"{name} classifies images of {channels} channels and {height}×{width}; accepted are 3 and a square")
    return Classifier(
        partial(_build, wanted),
        height,
        {"channels": "RGB", "range": [0, 1], "mean": list(stated.mean), "std": list(stated.std)},
        pretrained=Pretrained(f"timm {wanted}", partial(_download, wanted), "allow the download by timm (huggingface.co)"),
    )


def _timm(name: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise SpecError(f"{name} is a net of timm, which is not installed: pip install 'fullconv[timm]'") from error
    return timm


def _build(name: str) -> nn.Module:
    import timm

    with HoldingNumbers():
        return fixed(timm.create_model(name, pretrained=False, exportable=True))


def _download(name: str) -> Mapping[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # whatever the libraries below timm raise where there is no network
        raise OSError(str(error) or type(error).__name__) from error


def fixed(net: nn.Module) -> nn.Module:
    """Return ``net`` with fixed padding in the place of every SAME padding of timm's layers, in place; state keeps its names."""
    for name, part in list(net.named_modules()):
        if (layer := _fixed_layer(part)) is not None:
            net.set_submodule(name, layer)
    return net


def _fixed_layer(part: Any) -> nn.Module | None:
    from timm.layers.conv2d_same import Conv2dSame, Conv2dSameExport
    from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame

    if isinstance(part, (Conv2dSame, Conv2dSameExport)):
        new = SameConv2d(
            part.in_channels, part.out_channels, part.kernel_size, part.stride, 0, part.dilation, part.groups,
            part.bias is not None, device="meta",
        )  # fmt: skip
        new.weight, new.bias = part.weight, part.bias
        return new
    if isinstance(part, MaxPool2dSame):
        padding = around(part.kernel_size, part.stride, part.dilation)
        return nn.Sequential(
            nn.ConstantPad2d(padding, float("-inf")), nn.MaxPool2d(part.kernel_size, part.stride, 0, part.dilation)
        )
    if isinstance(part, AvgPool2dSame):
        return nn.Sequential(nn.ZeroPad2d(around(part.kernel_size, part.stride)), nn.AvgPool2d(part.kernel_size, part.stride))
    return None
