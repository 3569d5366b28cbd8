"""Every backbone by name: the paper's nets whole and narrow, a small one, EfficientNet-Lite, torchvision's classifiers.

``timm/NAME`` is a classifier of timm's, and one's own comes in by :func:`use_backbone`. A backbone is a classifier (image →
logits); :mod:`fullconv.nn.trunk` makes feature maps of it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from fullconv.errors import SpecError, nearest
from fullconv.nn.backbones import caffe, efficientnet_lite, minivgg, narrow, own_models, timm_models
from fullconv.nn.backbones.classifier import Classifier, Pretrained
from fullconv.nn.backbones.known import Backbones

__all__ = ["BACKBONES", "Classifier", "Pretrained", "find_backbone", "use_backbone"]


def _torchvisions() -> Mapping[str, Classifier]:
    # importing torchvision takes about as long as torch itself, and our own nets need nothing of it
    from fullconv.nn.backbones import torchvision_models

    return torchvision_models.CLASSIFIERS


OWN = minivgg.CLASSIFIERS | caffe.CLASSIFIERS | narrow.CLASSIFIERS | efficientnet_lite.CLASSIFIERS
BACKBONES = Backbones(OWN, _torchvisions)
"""All of them by name; those of torchvision are imported when one is asked for that is not our own."""
NAME = re.compile(r"[A-Za-z0-9_.:/\-]+")


def find_backbone(name: str) -> Classifier:
    """Return the entry of ``BACKBONES``, or what timm calls so. No code is imported that only ``name`` points to.

    Raises
    ------
    SpecError
        When there is none; the nearest names are given.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith(timm_models.PREFIX):
        return timm_models.find_timm(name)
    if own_models.MARK in name:
        if own_models.allowed(name):
            return use_backbone(name)
        raise SpecError(
            f"the backbone {name!r} is code outside of fullconv, which a name alone does not start; if you trust it, say "
            f"{own_models.VARIABLE}={name} in the environment, or fullconv.use_backbone({name!r}) in Python"
        )
    near = nearest(name, BACKBONES)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise SpecError(
        f"no backbone is called {name!r}{hint}. `fullconv models` lists all {len(BACKBONES)}; a net of your own comes in by "
        "module:function, or in Python by fullconv.use_backbone"
    )


def use_backbone(name: str, given: Classifier | nn.Module | Callable[[], Any] | None = None) -> Classifier:
    """Return the backbone of a name after putting a net of one's own under it, for this process.

    Models are then built, and their files opened, by that name: a file's name points into ``BACKBONES`` and starts no code.

    Parameters
    ----------
    name
        ``module:function``, which is imported, or any name for what is given. A model's name (``fcn8s-mynets:lenet``) stands for
        its backbone's, and a name that needs no import (``resnet50``) is only looked up, so any name that a user typed may be
        passed.
    given
        See :func:`fullconv.nn.backbones.own_models.as_classifier`: a module, a function that makes one, or a :class:`Classifier`.

    Raises
    ------
    SpecError
        When it cannot be imported, is no classifier, or the name is one of fullconv's own.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 16 * 16, 5))
    >>> use_backbone("tiny", net).native_side
    32
    """
    backbone = re.sub(r"^fcn(32|16|8|4)s-", "", name)
    if given is None:
        if backbone in BACKBONES or own_models.MARK not in backbone:
            return find_backbone(backbone)
        BACKBONES[backbone] = own_models.import_own(backbone)
        return BACKBONES[backbone]
    if backbone in BACKBONES.shipped or backbone.startswith(timm_models.PREFIX) or not NAME.fullmatch(backbone):
        raise SpecError(
            f"a backbone of your own cannot be called {backbone!r}: accepted are letters, digits and _ . : / - and no name that "
            "fullconv or timm has"
        )
    BACKBONES[backbone] = own_models.as_classifier(given, backbone)
    return BACKBONES[backbone]
