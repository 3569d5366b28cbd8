"""Inputs of the published models as the reference prepares them, and our nets with few channels."""

import copy
import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from caffe_files import L
from torch import Tensor

from fullconv.interop.caffe import PUBLISHED
from fullconv.interop.caffe.importing import KNOWN
from fullconv.nn.backbones import BACKBONES, Classifier, caffe, use_backbone
from fullconv.nn.backbones.narrow import narrow
from fullconv.nn.normalise import CAFFE

MEANS = {
    "voc": (104.00699, 116.66877, 122.67892),
    "nyud": (116.190, 97.203, 92.318),
    "siftflow": (114.578, 115.294, 108.353),
    "pascalcontext": (104.007, 116.669, 122.679),
}
HEADS = {"semantic": ("score", "score_sem"), "geometric": ("score_geo",)}
TWINS = ("nyud-fcn32s-color", "nyud-fcn32s-hha")
"""Models whose layers are the same."""


def thin_nets(divide: int = 16) -> None:
    """Make the published models be of few channels, under the backbones' names ``thin-``."""
    for name, side in (("vgg16", 224), ("alexnet", 227)):
        with torch.device("meta"):
            whole = getattr(caffe, name)()
        net = narrow(whole, 1 / divide, side)
        use_backbone(f"thin-{name}", Classifier(lambda net=net: copy.deepcopy(net), side, CAFFE, "paper", "pool"))
    for name, entry in PUBLISHED.items():
        KNOWN[name] = dataclasses.replace(entry, model=entry.model.replace("caffe", "thin"))


def fed(layers: list[L], data: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what of ``data`` the net reads and no layer of it makes."""
    made = {top for layer in layers for top in layer.tops}
    read = dict.fromkeys(bottom for layer in layers for bottom in layer.bottoms)
    return {name: data[name] for name in read if name not in made}


def inputs(name: str, height: int, width: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return random inputs as our nets take them, and as the reference's data layers hand them on."""
    random = np.random.default_rng(height)
    rgb, hha = (torch.from_numpy(random.integers(0, 256, (1, 3, height, width))).float() for _ in range(2))
    depth = torch.from_numpy(random.uniform(0.5, 9, (1, 1, height, width))).float()
    color = rgb.flip(1) - torch.tensor(MEANS[name.split("-")[0]])[:, None, None]
    encoded = hha - torch.tensor([132.431, 94.076, 118.477])[:, None, None]
    data = {"data": encoded if name == "nyud-fcn32s-hha" else color, "color": color, "hha": encoded}
    return {"rgb": rgb, "hha": hha, "depth": depth}, data | {"depth": torch.log(depth * 1000) - 7.844}


def thin_for_a_while() -> Iterator[None]:
    """The published models with a sixteenth of the channels, until what uses this as a fixture ends."""
    thin_nets()
    yield
    KNOWN.update(PUBLISHED)
    for name in ("thin-vgg16", "thin-alexnet"):
        del BACKBONES[name]
