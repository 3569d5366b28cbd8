"""Weights of ImageNet tell animals apart: a trunk that does not is of no use to start from, whatever its file is called."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2.functional import resize

from fullconv.data import open_dataset
from fullconv.data.sample import RGB, SEMANTIC
from fullconv.nn.build import build_model, load_backbone_weights
from fullconv.nn.fcn import FCN
from fullconv.spec import DataSpec, ModelSpec

ANIMALS = ("cat", "dog", "horse", "sheep")
EACH = 20
SIDES = {"vgg16": 64}
SIDE = 96
"""In pixels; VGG16, which takes twenty times as long as the others, tells smaller ones apart."""
FOLDS = 5
TELLS = 0.47
"""Chance is a fourth; of 80 photographs this is four and a half standard deviations above it."""


@pytest.fixture(scope="module")
def animals(shared_data: Path) -> Mapping[int, torch.Tensor]:
    """Photographs of which one animal alone covers a tenth, uint8 (N, 3, H, W), by class."""
    dataset = open_dataset(DataSpec(name="voc2012", root=shared_data / "VOCdevkit"), "train")
    names = dataset.labels[SEMANTIC].names
    found: dict[int, list[torch.Tensor]] = {names.index(animal): [] for animal in ANIMALS}
    for index in range(len(dataset)):
        sample = dataset[index]
        shares = {label: float((sample.targets[SEMANTIC] == label).float().mean()) for label in found}
        there = [label for label, share in shares.items() if share > 0]
        if len(there) == 1 and shares[there[0]] > 0.1 and len(found[there[0]]) < EACH:
            found[there[0]].append(resize(sample.inputs[RGB], [SIDE, SIDE]))
        if all(len(images) == EACH for images in found.values()):
            break
    return {label: torch.stack(images) for label, images in found.items()}


def features(model: FCN, images: torch.Tensor) -> NDArray[np.float64]:
    """Return the mean over positions of the coarsest map, (N, C)."""
    with torch.inference_mode():
        coarsest = model.eval().trunks[RGB](model.normaliser(RGB)(images))[0]
    return coarsest.mean((2, 3)).double().numpy()


def accuracy(model: FCN, animals: Mapping[int, torch.Tensor]) -> float:
    """Return the share of photographs that ridge regression names right which has not seen them."""
    x = np.concatenate([features(model, images) for images in animals.values()])
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    truth = np.repeat(np.arange(len(animals)), EACH)
    y = np.eye(len(animals))[truth]
    right = 0
    for fold in range(FOLDS):
        held = np.arange(len(x)) % FOLDS == fold
        kernel = x[~held] @ x[~held].T
        weights = np.linalg.solve(kernel + 0.1 * np.trace(kernel) / len(kernel) * np.eye(len(kernel)), y[~held])
        right += int(((x[held] @ x[~held].T @ weights).argmax(1) == truth[held]).sum())
    return right / len(x)


def built(name: str) -> FCN:
    torch.manual_seed(0)
    return build_model(ModelSpec(name=f"fcn32s-{name}", hidden_layers=False), {"semantic": 2})


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["alexnet", "vgg16", "squeezenet1_1", "efficientnet_lite0"])
def test_a_trunk_tells_animals_apart(
    name: str, animals: Mapping[int, torch.Tensor], shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(shared_data / "weights"))
    model = built(name)
    load_backbone_weights(model)
    side = SIDES.get(name, SIDE)
    assert accuracy(model, {label: resize(images, [side, side]) for label, images in animals.items()}) > TELLS


@pytest.mark.realdata
def test_random_weights_do_not(animals: Mapping[int, torch.Tensor]) -> None:
    """Nor did an edge detector's, which once went by the name of VGG16's."""
    assert accuracy(built("squeezenet1_1"), animals) < TELLS
