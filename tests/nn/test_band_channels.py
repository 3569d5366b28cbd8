"""Nets that read other bands than colour: first layer, order of channels, mean and standard deviation."""

import numpy as np
import pytest
import torch

from fullconv.errors import SpecError
from fullconv.nn.build import build_model
from fullconv.nn.normalise import CAFFE, Normalise, preprocessing_of
from fullconv.nn.trunk import with_channels
from fullconv.spec import DataSpec, ImageSpec, ModelSpec, Recipe, TrainSpec
from fullconv.training.start import set_statistics


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_a_first_layer_of_other_channels_starts_from_the_mean(channels: int) -> None:
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32))
    found = with_channels(weight, channels)
    assert found.shape == (5, channels, 3, 3)
    mean = weight.numpy().sum(1) / 3
    for channel in range(3 if channels > 3 else 0, channels):
        np.testing.assert_allclose(found[:, channel], mean * (1 if channels > 3 else 3 / channels), atol=1e-6)
    if channels > 3:
        assert torch.equal(found[:, :3], weight)


def test_further_bands_stay_behind_colours_in_another_order() -> None:
    stated = preprocessing_of("rgb", CAFFE, 5)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 5, 2, 3)).astype(np.uint8))
    layer = Normalise(stated)
    mean = [104.00699, 116.66877, 122.67892]
    further = sum(mean) / 3
    values = images.numpy().astype(float)
    expected = np.stack([values[:, c] - m for c, m in zip([2, 1, 0, 3, 4], [*mean, further, further], strict=True)], 1)
    np.testing.assert_allclose(layer(images), expected, atol=1e-4)
    np.testing.assert_allclose(layer.mean_color, [*mean[::-1], further, further], atol=1e-4)


def test_statistics_of_a_recipe_reach_the_net() -> None:
    model = build_model(ModelSpec(name="fcn32s-caffe-alexnet", channels=4), 2)
    set_statistics(model, {"rgb": (1, 2, 3, 4)}, {"rgb": (5, 6, 7, 8)})
    assert model.preprocessing["rgb"]["mean"] == [3, 2, 1, 4]
    assert model.preprocessing["rgb"]["std"] == [7, 6, 5, 8]


def test_a_net_of_four_bands_refuses_three() -> None:
    model = build_model(ModelSpec(name="fcn32s-minivgg", channels=4), 2)
    assert model(torch.zeros(1, 4, 33, 40, dtype=torch.uint8))["semantic"].shape == (1, 2, 33, 40)
    with pytest.raises(SpecError, match=r"rgb is \(1, 3, 33, 40\); the model reads batches \(N, 4, H, W\)"):
        model(torch.zeros(1, 3, 33, 40, dtype=torch.uint8))


def test_a_recipe_gives_the_model_its_bands_once() -> None:
    train = TrainSpec.model_validate({"stages": [32]})
    data = DataSpec(image=ImageSpec(bands=(1, 2, 3, 4)), mean={"rgb": (1, 2, 3, 4)})
    assert Recipe(name="a", model=ModelSpec(name="fcn32s-minivgg"), data=data, train=train).model.channels == 4
    with pytest.raises(ValueError, match=r"model.channels is 3, but data.image.bands gives 4"):
        Recipe(name="a", model=ModelSpec(name="fcn32s-minivgg", channels=3), data=data, train=train)
    wrong = data.model_copy(update={"std": {"rgb": (1.0, 1.0, 1.0)}})
    with pytest.raises(ValueError, match=r"data.std.rgb has 4 values"):
        Recipe(name="a", model=ModelSpec(name="fcn32s-minivgg"), data=wrong, train=train)
