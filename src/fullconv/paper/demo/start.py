"""What the story starts from: a classifier, what it says, the same made convolutional, the proof, and its heat maps.

ImageNet's EfficientNet-Lite0 where its weights are installed, looking at a photograph; else a small VGG that learns rendered
objects here, looking at a rendered scene.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fullconv.data.scenes.scenes import CLASSES, render
from fullconv.files import replacing
from fullconv.inference.heatmap import HeatMap, draw_heat_map, heat_map
from fullconv.inference.imagenet import imagenet_classes
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.convolutionalize import DenseClassifier, convolutionalize
from fullconv.nn.normalise import Normalise
from fullconv.nn.proof import Proof, prove
from fullconv.nn.weights import find_weights, transplant, weights_at
from fullconv.paper.demo.photograph import installed_photograph, middle
from fullconv.paper.pretrained import CROPS, scenes_classifier

LITE, SMALL = "efficientnet_lite0", "minivgg"
STAGES = ("32s-fixed", "32s", "16s", "8s")
AT_ONCE = "8s at once"
PICTURED = 3
"""The validation scene that the small classifier looks at."""
LARGEST = 1280
"""Pixels a side up to which the proof slides Lite0's window, which takes 1184."""
Picture = tuple[str, str]
"""A file's name in the demo's folder, and its caption."""


@dataclass(frozen=True)
class Start:
    """What nets of the story start from, and what the classifier showed.

    Attributes
    ----------
    backbone
        Its name.
    weights
        What recipes call its weights.
    proof
        That the net made convolutional is the classifier.
    says
        What it makes of images, in one line.
    pictures
        Heat maps.
    facts
        The same in numbers, ready for JSON.
    """

    backbone: str
    weights: str
    proof: Proof
    says: str
    pictures: Sequence[Picture]
    facts: Mapping[str, Any]

    @property
    def runs(self) -> dict[str, str]:
        """The recipe of every run by the name of its folder, in order."""
        return runs_of(self.backbone)


def runs_of(backbone: str) -> dict[str, str]:
    """Return the recipe of every run by the name of its folder, in order.

    Nets at once are trained from Lite0 alone: from the small classifier they would take longer than all the rest.
    """
    runs = {"fcn32s-fixed": f"scenes-fcn32s-fixed-{backbone}", "fcn8s": f"scenes-fcn8s-{backbone}"}
    return runs | ({"fcn8s-at-once": f"scenes-fcn8s-at-once-{backbone}"} if backbone == LITE else {})


def chosen_backbone() -> str:
    """Return the backbone that a demo starts from on this machine: Lite0 where its weights need no download."""
    return LITE if weights_at(LITE) in ("file", "package") else SMALL


def start_from(backbone: str, out: Path) -> Start:
    """Return the start of the story, with its pictures (and a classifier that had to be trained) in the folder ``out``."""
    return _from_imagenet(out) if backbone == LITE else _from_rendered_objects(out)


def _from_imagenet(out: Path) -> Start:
    entry, weights = BACKBONES[LITE], find_weights(LITE)
    classifier, normalise = entry.build().eval(), Normalise(weights.preprocessing or entry.preprocessing)
    transplant(weights, classifier)
    dense = convolutionalize(classifier, (entry.native_side, entry.native_side))
    says, pictures, facts = look_at_photograph(classifier, dense, normalise, out)
    return Start(LITE, "imagenet", prove(dense, classifier, side_limit=LARGEST), says, pictures, facts)


def look_at_photograph(
    classifier: nn.Module, dense: DenseClassifier, normalise: Normalise, out: Path
) -> tuple[str, list[Picture], dict[str, Any]]:
    """Return what a classifier of ImageNet says to a photograph, its heat maps in the folder ``out``, and the same as facts.

    Parameters
    ----------
    classifier, dense
        The net, and the same made convolutional.
    normalise
        What images go through first.
    out
        Folder for the heat maps.
    """
    shown, names = installed_photograph(), imagenet_classes()
    pixels = torch.from_numpy(middle(shown.image, dense.native_size[0]).transpose(2, 0, 1).copy())[None]
    with torch.inference_mode():
        probability = classifier(normalise(pixels)).softmax(1)[0]
    first = {_short(names[k]): float(probability[k]) for k in probability.argsort(descending=True)[:3].tolist()}
    listed = ", ".join(f"{name} {value:.0%}" for name, value in first.items())
    says = f"The photograph is {shown.about}. EfficientNet-Lite0 says: {listed}."
    heats = [heat_map(dense, normalise, shown.image, number) for number in shown.classes]
    pictures = [_drawn(out / "heatmap.png", shown.image, heats[0], _short(names[shown.classes[0]]))]
    share = float(probability[list(shown.classes)].sum())
    if len(heats) > 1:  # ImageNet tells kinds apart, which share the probability
        together = replace(heats[0], probability=np.sum([heat.probability for heat in heats], axis=0).clip(0, 1))
        pictures.insert(0, _drawn(out / "heatmap-together.png", shown.image, together, shown.together))
        says += f" Together, {shown.together} get {share:.0%}."
    return says, pictures, {"photograph": shown.about, "first": first, "together": shown.together, "probability": share}


def _from_rendered_objects(out: Path) -> Start:
    pretrained = scenes_classifier(out / "classifier" / "minivgg.safetensors")
    classifier, entry = pretrained.load(), BACKBONES[SMALL]
    dense = convolutionalize(classifier, (entry.native_side, entry.native_side))
    image, thing = render(0, "val", PICTURED, (384, 480)).image, CLASSES.index("ball")
    picture = _drawn(out / "heatmap.png", image, heat_map(dense, Normalise(entry.preprocessing), image, thing), CLASSES[thing])
    side, right = entry.native_side, pretrained.accuracy
    says = (
        f"A small VGG learned here to name the object in an image of {side}×{side} pixels: it gets {right:.0%} of {CROPS['val']} "
        f"unseen images right (chance {1 / len(CLASSES):.0%}). With ImageNet's classifier, which pip install 'fullconv[lite]' "
        "brings, the story is told on a photograph and ends higher."
    )
    return Start(SMALL, str(pretrained.path), prove(dense, classifier), says, [picture], {"classifier_accuracy": right})


def _short(name: str) -> str:
    return name.split(",")[0]


def _drawn(path: Path, image: np.ndarray[Any, np.dtype[np.uint8]], heat: HeatMap, title: str) -> Picture:
    with replacing(path) as temporary:
        draw_heat_map(image, heat, title).save(temporary, format="PNG")
    rows, columns = heat.windows
    return path.name, f"Where it sees “{title}”: its probability in {rows}×{columns} windows, computed at once."
