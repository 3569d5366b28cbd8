"""Every backbone by name: the paper's nets whole and narrow, a small one, EfficientNet-Lite, torchvision's classifiers.

A backbone is a classifier (image → logits); :mod:`fullconv.nn.trunk` makes feature maps of it.
"""

import difflib

from fullconv.errors import SpecError
from fullconv.nn.backbones import caffe, efficientnet_lite, minivgg, narrow, torchvision_models
from fullconv.nn.backbones.classifier import Classifier, Pretrained

__all__ = ["BACKBONES", "Classifier", "Pretrained", "find_backbone"]

BACKBONES: dict[str, Classifier] = {
    **minivgg.CLASSIFIERS,
    **caffe.CLASSIFIERS,
    **narrow.CLASSIFIERS,
    **efficientnet_lite.CLASSIFIERS,
    **torchvision_models.CLASSIFIERS,
}


def find_backbone(name: str) -> Classifier:
    """Return the entry of ``BACKBONES``.

    Raises
    ------
    SpecError
        When there is none; the nearest names are given.
    """
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, 3, 0.4)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise SpecError(f"no backbone is called {name!r}{hint}. `fullconv models` lists all {len(BACKBONES)}")
    return BACKBONES[name]
