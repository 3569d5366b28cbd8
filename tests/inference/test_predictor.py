"""Predictions are the model's own, at the picture's own size; files hold exactly them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fullconv
from fullconv.errors import DataError, SpecError
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.labels import LabelSet
from fullconv.nn.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return load(checkpoint, "cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (41, 67, 3), np.uint8)


def test_labels_and_scores_are_those_of_the_model(predictor: Predictor, checkpoint: Path, image: np.ndarray) -> None:
    found = predictor.predict(image, probabilities=True)
    model = load_checkpoint(checkpoint).model
    with torch.no_grad():
        logits = model(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])["semantic"][0]
    np.testing.assert_array_equal(found.labels, logits.argmax(0).numpy())
    assert found.labels.dtype == np.uint8
    assert len(np.unique(found.labels)) > 1
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, logits.softmax(0).numpy(), atol=1e-4)
    assert predictor.predict(image).probabilities is None


def test_several_pictures_together_give_the_logits_of_one_at_a_time(predictor: Predictor) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 41, 67, 3), np.uint8)
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        together = predictor.model({"rgb": batch})["semantic"]
    for logits, image in zip(together, batch, strict=True):
        torch.testing.assert_close(logits, predictor.logits({"rgb": image})["semantic"][0], rtol=0, atol=1e-4)
    for found, image in zip(
        predictor.predict_batch([{"rgb": image} for image in images], probabilities=True), images, strict=True
    ):
        alone = predictor.predict(image, probabilities=True)
        np.testing.assert_array_equal(found.labels, alone.labels)
        assert found.probabilities is not None
        assert alone.probabilities is not None
        np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2), (97, 131)])
def test_every_size_is_kept(predictor: Predictor, size: tuple[int, int]) -> None:
    assert predictor.predict(np.zeros((*size, 3), np.uint8)).labels.shape == size


def test_path_image_and_array_agree(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(image).save(tmp_path / "a.png")
    truth = predictor.predict(image).labels
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image)):
        np.testing.assert_array_equal(predictor.predict(source).labels, truth)


def test_the_public_name(checkpoint: Path, image: np.ndarray) -> None:
    assert fullconv.load(checkpoint).predict(image).labels.shape == (41, 67)


def test_the_device_is_a_gpu_where_there_is_one_or_what_is_asked_for(checkpoint: Path) -> None:
    assert load(checkpoint).device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert load(checkpoint, "cpu").device.type == "cpu"


@pytest.mark.parametrize("name", ["", "gpu", "meta", "cuda:77", "cpu:zero", "hpu", "xla", "vulkan", "fpga"])
def test_devices_that_are_none(checkpoint: Path, name: str) -> None:
    with pytest.raises(SpecError, match=rf"torch finds no device '{name}' here; give auto, cpu, or cuda, cuda:1, mps"):
        load(checkpoint, name)


def test_the_saved_png_holds_labels_and_palette(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    found = predictor.predict(image)
    found.save(tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as stored:
        assert stored.mode == "P"
        np.testing.assert_array_equal(np.array(stored), found.labels)
        np.testing.assert_array_equal(np.array(stored.convert("RGB")), found.label_set.colorize(found.labels))
    assert [path.name for path in tmp_path.iterdir()] == ["labels.png"]


def test_the_overlay_keeps_the_picture_and_adds_a_legend(predictor: Predictor, image: np.ndarray) -> None:
    found = predictor.predict(image)
    drawn = found.overlay(image)
    assert drawn.mode == "RGB"
    assert drawn.height > 41
    assert drawn.width >= 67
    with pytest.raises(DataError, match="predict on this image"):
        found.overlay(image[:, 1:])


def test_unknown_head(predictor: Predictor, image: np.ndarray) -> None:
    with pytest.raises(SpecError, match="no head 'depth'; it has semantic"):
        predictor.predict(image, head="depth")


def test_memory_that_is_too_small_is_said_in_words() -> None:
    predictor = Predictor(Full(), {"semantic": LabelSet(("dark", "bright"))})
    with pytest.raises(DataError, match="no memory for an image of 5×6 pixels"):
        predictor.logits({"rgb": torch.zeros(3, 5, 6, dtype=torch.uint8)})


class Bright:
    """An engine without a net: class 1 where red is above 100."""

    inputs, heads, device = ("rgb",), {"semantic": 2}, torch.device("cpu")

    def __call__(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        red = batch["rgb"][:, :1].float()
        return {"semantic": torch.cat([100 - red, red - 100], 1)}


class Full(Bright):
    def __call__(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def test_an_engine_of_ones_own_predicts_and_is_evaluated(image: np.ndarray) -> None:
    predictor = Predictor(Bright(), {"semantic": LabelSet(("dark", "bright"))})
    truth = image[..., 0] > 100
    np.testing.assert_array_equal(predictor.predict(image).labels, truth)
    np.testing.assert_array_equal(predictor.labels_of({"rgb": torch.from_numpy(image).permute(2, 0, 1)}), truth)
    with pytest.raises(SpecError, match=r"holds no net that could be looked into; load the model\.safetensors"):
        _ = predictor.model
