"""What torchvision's backbones are given is what their weights were trained with."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torchvision import models

from fullconv.nn.backbones.torchvision_models import CLASSIFIERS
from fullconv.nn.normalise import Normalise

COLOR = (250, 20, 130)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_preprocessing_is_torchvisions(name: str) -> None:
    """The transforms that come with the weights, applied to an image of one colour (which no resizing changes)."""
    image = torch.tensor(COLOR, dtype=torch.uint8).view(3, 1, 1).expand(3, 300, 300)
    transforms: Any = next(iter(models.get_model_weights(name))).transforms()
    expected = transforms(image)[None]
    if name == "googlenet":  # the part of torchvision's net that we leave out
        expected = models.GoogLeNet._transform_input(SimpleNamespace(transform_input=True), expected)
    entry = CLASSIFIERS[name]
    assert expected.shape[-2:] == (entry.native_side, entry.native_side)
    found = Normalise(entry.preprocessing)(image[None])
    torch.testing.assert_close(found[..., :1, :1], expected[..., :1, :1], atol=1e-5, rtol=0)


def test_efficientnet_v2_l_states_a_half() -> None:
    layer = Normalise(CLASSIFIERS["efficientnet_v2_l"].preprocessing)
    assert layer.mean.flatten().tolist() == layer.std.flatten().tolist() == [127.5] * 3
