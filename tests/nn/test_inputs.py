"""What a net refuses to read: each would otherwise pass silently as a bad prediction."""

import pytest
import torch
from torch import Tensor

from fullconv.errors import SpecError
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.spec import ModelSpec


@pytest.fixture(scope="module")
def model() -> FCN:
    return build_model(ModelSpec(name="fcn8s-minivgg", streams=("rgb+depth",)), 3).eval()


def given(**changes: Tensor) -> dict[str, Tensor]:
    return {"rgb": torch.full((2, 3, 20, 30), 7, dtype=torch.uint8), "depth": torch.ones(2, 1, 20, 30)} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hha": torch.zeros(2, 3, 20, 30)}, "the model reads rgb, depth; got rgb, depth, hha"),
        ({"rgb": torch.zeros(3, 20, 30)}, r"rgb is \(3, 20, 30\); the model reads batches \(N, 3, H, W\): add an axis in front"),
        ({"rgb": torch.zeros(2, 20, 30, 3)}, r"rgb is \(2, 20, 30, 3\); the model reads batches \(N, 3, H, W\)"),
        ({"depth": torch.ones(2, 3, 20, 30)}, r"depth is \(2, 3, 20, 30\); the model reads batches \(N, 1, H, W\)"),
        ({"depth": torch.ones(2, 1, 20, 31)}, r"rgb is \(2, 3, 20, 30\) and depth \(2, 1, 20, 31\); all inputs of one batch"),
        ({"depth": torch.ones(1, 1, 20, 30)}, "the same number of images, height and width"),
        ({"rgb": torch.zeros(2, 3, 20, 30, dtype=torch.int64)}, "rgb is torch.int64; the model reads uint8, or float"),
        ({"rgb": torch.rand(2, 3, 20, 30)}, "the model reads 0–255: multiply by 255"),
        ({"rgb": torch.randn(2, 3, 20, 30) * 50}, "normalises by itself: leave mean and standard deviation to it"),
        ({"rgb": torch.full((2, 3, 20, 30), float("nan"))}, "rgb goes from nan to nan; the model reads 0–255"),
        ({"rgb": torch.full((2, 3, 20, 30), 65535.0)}, "rgb goes from 65535 to 65535; the model reads 0–255"),
        ({"depth": torch.full((2, 1, 20, 30), -1.0)}, "depth goes from -1 to -1; the model reads metres"),
        ({"depth": torch.full((2, 1, 20, 30), float("nan"))}, "depth goes from nan to nan; the model reads metres"),
    ],
)
def test_refused_with_what_is_accepted(model: FCN, changes: dict[str, Tensor], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        model(given(**changes))


def test_a_path_is_for_the_predictor() -> None:
    with pytest.raises(SpecError, match=r"rgb is a str; a model reads tensors, Predictor.predict reads files and images"):
        build_model("fcn32s-minivgg", classes=2)("photo.jpg")


def test_empty_batches_are_refused(model: FCN) -> None:
    with pytest.raises(SpecError, match=r"rgb is \(0, 3, 20, 30\), which is empty; the model reads images of at least 1×1 pixel"):
        model({"rgb": torch.zeros(0, 3, 20, 30), "depth": torch.zeros(0, 1, 20, 30)})


@pytest.mark.parametrize(
    "rgb",
    [torch.zeros(2, 3, 20, 30), torch.ones(2, 3, 20, 30), torch.full((2, 3, 20, 30), 255.4), torch.rand(2, 3, 20, 30) * 255],
)
def test_dark_and_resized_images_are_images(model: FCN, rgb: Tensor) -> None:
    with torch.inference_mode():
        assert model(given(rgb=rgb))["semantic"].shape == (2, 3, 20, 30)


def test_uint8_and_its_values_as_float_are_the_same(model: FCN) -> None:
    images = torch.randint(0, 256, (2, 3, 20, 30), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model(given(rgb=images))["semantic"], model(given(rgb=images.float()))["semantic"])


def test_one_input_may_come_without_its_name() -> None:
    model = build_model("fcn32s-minivgg", classes=2).eval()
    with pytest.raises(SpecError, match="add an axis in front"):
        model(torch.zeros(3, 20, 30))
