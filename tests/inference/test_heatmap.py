"""A heat map is the classifier's own probability, window by window, at the place where the window was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fullconv.data.images import read_image
from fullconv.errors import SpecError, WeightsError
from fullconv.inference.heatmap import HeatMap, draw_heat_map, heat_map, load_classifier
from fullconv.inference.imagenet import find_class, imagenet_classes
from fullconv.nn.convolutionalize import DenseClassifier, convolutionalize
from fullconv.nn.normalise import Normalise

RAW = {"channels": "RGB", "range": [0, 255], "mean": [0, 0, 0], "std": [255, 255, 255]}
SIDE = 9


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 9, 4)
    ).eval()


@pytest.fixture(scope="module")
def dense(classifier: nn.Module) -> DenseClassifier:
    return convolutionalize(classifier, (SIDE, SIDE))


def test_values_are_those_of_the_classifier_on_each_window(classifier: nn.Module, dense: DenseClassifier) -> None:
    image = np.random.default_rng(1).integers(0, 256, (30, 22, 3), np.uint8)
    found = heat_map(dense, Normalise(RAW), image, 2).probability
    assert found.shape == (30, 22)
    half = SIDE // 2
    padded = np.pad(image, ((half, half), (half, half), (0, 0))).astype(np.float32) / 255
    for y in range(0, 30, 2):
        for x in range(0, 22, 2):  # a window is centred on every second pixel
            window = torch.from_numpy(padded[y : y + SIDE, x : x + SIDE].transpose(2, 0, 1).copy())[None]
            with torch.no_grad():
                truth = classifier(window).softmax(1)[0, 2].item()
            assert found[y, x] == pytest.approx(truth, abs=1e-5)
    np.testing.assert_allclose(found[1, 0], (found[0, 0] + found[2, 0]) / 2, rtol=1e-4)


def test_small_images_are_scaled_up(dense: DenseClassifier) -> None:
    found = heat_map(dense, Normalise(RAW), np.full((4, 3, 3), 90, np.uint8), 0)
    assert found.probability.shape == (4, 3)
    assert 0 < found.peak < 1


def test_without_a_class_the_clearest_one_is_taken(dense: DenseClassifier) -> None:
    image = np.random.default_rng(2).integers(0, 256, (25, 25, 3), np.uint8)
    best = heat_map(dense, Normalise(RAW), image)
    windows = [heat_map(dense, Normalise(RAW), image, k) for k in range(4)]
    # at the image's own pixels the maps are sums of the windows' values, so the clearest can only be matched or missed
    assert best.peak == pytest.approx(max(heat.peak for heat in windows), abs=0.02)


def test_unknown_class(dense: DenseClassifier) -> None:
    with pytest.raises(SpecError, match="no class 4; this classifier numbers its classes from 0 to 3"):
        heat_map(dense, Normalise(RAW), np.zeros((9, 9, 3), np.uint8), 4)


def test_the_drawing_shows_heat_where_it_is() -> None:
    image = np.full((120, 200, 3), 100, np.uint8)
    probability = np.zeros((120, 200), np.float32)
    probability[:, 100:] = 0.9
    drawn = np.array(draw_heat_map(image, HeatMap(3, probability, (1, 2)), "macaw")).astype(int)
    assert drawn.shape[0] > 120
    assert drawn.shape[1] > 200
    top = drawn.shape[0] - 60
    left, right = drawn[top // 2, 50].sum(), drawn[top // 2, 150].sum()
    assert right > 2 * left


def test_tiny_images_can_be_drawn() -> None:
    drawn = draw_heat_map(np.zeros((1, 1, 3), np.uint8), HeatMap(0, np.ones((1, 1), np.float32), (1, 1)), "a class")
    assert drawn.mode == "RGB"


def test_weights_without_the_last_layer_are_refused(tmp_path: Path) -> None:
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}, tmp_path / "trunk.safetensors")
    with pytest.raises(WeightsError, match=r"trunk\.safetensors does not hold the whole classifier squeezenet1_1"):
        load_classifier("squeezenet1_1", str(tmp_path / "trunk.safetensors"))


@pytest.mark.realdata
def test_the_parrot_lights_up(shared_data: Path) -> None:
    image = read_image(shared_data / "pictures" / "parrot.jpg")
    dense, normalise = load_classifier("squeezenet1_0", str(shared_data / "weights" / "squeezenet1_0.safetensors"))
    found = heat_map(dense, normalise, image, find_class("macaw", imagenet_classes()))
    assert found.peak > 0.95
    assert heat_map(dense, normalise, image).class_index == found.class_index
    # the bird sits in the middle right above half height; the undergrowth at the left and below is none
    assert found.probability[150:400, 250:420].mean() > 0.6
    assert found.probability[:, :100].mean() < 0.1
    assert found.probability[600:].mean() < 0.05
    # looked up in the picture: the bird without its tail lies in rows 105-560 and columns 150-460
    bird = np.zeros(image.shape[:2], bool)
    bird[105:560, 150:460] = True
    assert bird[np.unravel_index(found.probability.argmax(), bird.shape)]
    assert found.probability[bird].mean() > 10 * found.probability[~bird].mean()
