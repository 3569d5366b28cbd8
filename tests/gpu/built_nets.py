"""A net of every kind, with random weights, and images for it."""

import torch
from torch import nn

from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec

NETS: dict[str, tuple[ModelSpec, dict[str, int]]] = {
    "caffe-vgg16, narrow": (ModelSpec(name="fcn8s-narrow-vgg16", padding="paper"), {"semantic": 21}),
    "vgg16": (ModelSpec(name="fcn8s-vgg16"), {"semantic": 21}),
    "resnet18": (ModelSpec(name="fcn8s-resnet18"), {"semantic": 21}),
    "resnet50": (ModelSpec(name="fcn8s-resnet50"), {"semantic": 21}),
    "efficientnet_lite0": (ModelSpec(name="fcn8s-efficientnet_lite0"), {"semantic": 21}),
    "squeezenet1_1": (ModelSpec(name="fcn8s-squeezenet1_1"), {"semantic": 21}),
    "minivgg": (ModelSpec(name="fcn8s-minivgg"), {"semantic": 21}),
    "learned upsampling": (ModelSpec(name="fcn8s-minivgg", deconvolution="learned"), {"semantic": 21}),
    "rgb and hha": (ModelSpec(name="fcn16s-minivgg", streams=("rgb", "hha")), {"semantic": 21}),
    "two heads": (ModelSpec(name="fcn16s-minivgg"), {"semantic": 21, "geometric": 3}),
}


def built(name: str) -> FCN:
    """Return a net of :data:`NETS` on the CPU, the same at every call, with random scores and no dropout."""
    spec, heads = NETS[name]
    torch.manual_seed(0)
    model = build_model(spec, heads)
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.05)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def images_for(model: FCN, count: int, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Return coarse patterns, uint8 (count, 3, H, W) by input, so that maps are not all alike."""
    generator = torch.Generator().manual_seed(count)
    found = {}
    for name in model.inputs:
        blocks = torch.rand(count, 3, 8, 8, generator=generator) * 255
        found[name] = nn.functional.interpolate(blocks, size, mode="bilinear").to(torch.uint8)
    return found
