"""A classifier to start from on Scenes, as the paper's nets start from ImageNet's: minivgg on images of single objects."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from fullconv.data.scenes.scenes import CLASSES, object_crop
from fullconv.errors import TrainingError
from fullconv.files import replacing
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.backbones.minivgg import minivgg
from fullconv.nn.normalise import Normalise
from fullconv.paper.classifier import accuracy, train_classifier

CROPS = {"train": 1400, "val": 210}
"""Images of single objects to train the classifier on, and to judge it."""
STEPS, BATCH = 300, 32


@dataclass(frozen=True)
class Pretrained:
    """A trained classifier: its file, and the share (0..1) of unseen images that it gets right."""

    path: Path
    accuracy: float

    def load(self) -> nn.Module:
        """Return the classifier, ready to classify."""
        classifier = minivgg(len(CLASSES)).eval()
        classifier.load_state_dict(load_file(self.path))
        return classifier


def scenes_classifier(path: Path, seed: int = 0, steps: int = STEPS) -> Pretrained:
    """Return minivgg trained on single objects of the rendered world, in ``path`` (.safetensors); what is there is taken.

    Parameters
    ----------
    path
        Where its weights go, with accuracy and preprocessing in the header.
    seed
        Of initial weights and draws.
    steps
        Of training; half a minute for the default.
    """
    if path.exists():
        return _trained_before(path, seed, steps)
    side = BACKBONES["minivgg"].native_side
    counts = {**CROPS, "train": min(CROPS["train"], steps * BATCH)}  # a few steps do not see all of them
    training, unseen = ([object_crop(0, split, i, (side, side)) for i in range(count)] for split, count in counts.items())
    torch.manual_seed(seed)
    classifier, normalise = minivgg(len(CLASSES)), Normalise(BACKBONES["minivgg"].preprocessing)
    train_classifier(classifier, normalise, training, steps=steps, batch_size=BATCH, seed=seed)
    right = accuracy(classifier, normalise, unseen)
    header = {"preprocessing": json.dumps(normalise.preprocessing), "accuracy": str(right)}
    header |= {"seed": str(seed), "steps": str(steps)}
    with replacing(path) as temporary:
        save_file(classifier.state_dict(), temporary, header)
    return Pretrained(path, right)


def _trained_before(path: Path, seed: int, steps: int) -> Pretrained:
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata()
        found = Pretrained(path, float(header["accuracy"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is damaged ({error}); delete it to train it again") from error
    for key, wanted in (("seed", seed), ("steps", steps)):
        if header.get(key, str(wanted)) != str(wanted):
            raise TrainingError(f"{path} was trained with {key} {header[key]}, not {wanted}; choose another --out, or delete it")
    return found
