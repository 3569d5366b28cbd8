"""``data.scale`` travels with the model: training, prediction and evaluation agree, at the images' own size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional

from fullconv.cli import main
from fullconv.data import open_dataset
from fullconv.data.joint_transform import JointTransform
from fullconv.data.sample import Sample
from fullconv.errors import SpecError, WeightsError
from fullconv.evaluation import evaluate
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint
from fullconv.spec import DataSpec, Recipe
from fullconv.training import train

SIZE = 48, 64


@pytest.fixture(scope="module")
def half(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small net, as if it had been trained on images of half their size."""
    found = load_checkpoint(checkpoint)
    path = tmp_path_factory.mktemp("half") / "model.safetensors"
    save_checkpoint(path, found.model, found.labels, scale=0.5)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def by_hand(path: Path, image: np.ndarray, scale: float) -> torch.Tensor:
    """The route step by step: the transform of training, the bare model, bilinear back."""
    small = JointTransform.scaled(Sample.from_arrays("a", {"rgb": image}, {}), scale).inputs["rgb"]
    with torch.no_grad():
        logits = load_checkpoint(path).model(small[None].as_subclass(torch.Tensor))["semantic"]
    return functional.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("size", [(41, 67), (96, 128), (1, 1), (2, 90)])
def test_prediction_applies_it_and_keeps_the_images_size(half: Path, checkpoint: Path, size: tuple[int, int]) -> None:
    image = noise(*size, 3)
    found = load(half, "cpu").predict(image, probabilities=True)
    expected = by_hand(half, image, 0.5)
    assert found.labels.shape == size
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected.softmax(0).numpy(), atol=1e-4)
    np.testing.assert_array_equal(found.labels, expected.argmax(0).numpy())
    if size == (96, 128):
        assert (found.labels != load(checkpoint, "cpu").predict(image).labels).any()  # it does make a difference


def test_a_list_and_a_file_give_the_same(half: Path, tmp_path: Path) -> None:
    predictor, images = load(half, "cpu"), noise(3, 40, 56, 3)
    for number, found in enumerate(predictor.predict(list(images))):
        np.testing.assert_array_equal(found.labels, predictor.predict(images[number]).labels)
        Image.fromarray(images[number]).save(tmp_path / f"{number}.png")
    assert main(["predict", str(half), *(f"{tmp_path}/{number}.png" for number in range(3)), "--out", f"{tmp_path}/out"]) == 0
    for number, image in enumerate(images):
        written = np.array(Image.open(tmp_path / "out" / f"{number}.png"))
        np.testing.assert_array_equal(written, predictor.predict(image).labels)


@pytest.mark.parametrize("stated", ["0.5", "1.0", "0.25"])
def test_evaluate_measures_what_predict_writes_at_the_images_own_size(
    half: Path, tmp_path: Path, stated: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the recipe that is measured on says of its own scale."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {{name: fcn8s-minivgg}}\ndata: {{name: scenes, val_count: 3, size: [48, 64], scale: {stated}}}\n"
        "train: {stages: [{stride: 8, steps: 1}]}\n"
    )
    assert main(["evaluate", str(half), "--data", str(recipe), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    scenes, predictor = open_dataset(DataSpec(val_count=3, size=SIZE), "val"), load(half, "cpu")
    matrix = ConfusionMatrix(7)
    for index in range(3):
        matrix.update(scenes[index].targets["semantic"].numpy(), predictor.predict(scenes[index].picture).labels)
    assert list(printed["pixels"].values()) == matrix.matrix.sum(1).tolist()  # all pixels of the images, not a quarter
    assert printed["pixel_accuracy"] == np.trace(matrix.matrix) / matrix.matrix.sum()


def test_training_stores_it_and_measures_what_the_predictor_gives(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "half",
            "model": {"name": "fcn32s-minivgg", "hidden_layers": False},
            "data": {"name": "scenes", "count": 4, "val_count": 3, "size": SIZE, "scale": 0.5},
            "train": {
                "stages": [{"stride": 32, "steps": 6}],
                "optimizer": {"learning_rate": 1e-3, "name": "adamw"},
                "reduction": "mean",
            },
        }
    )
    result = train(recipe, tmp_path / "run")
    predictor = load(result.model, "cpu")
    assert predictor.scale == 0.5
    scenes = open_dataset(DataSpec(val_count=3, size=SIZE), "val")
    report = evaluate(predictor.labels_of, scenes, predictor.labels["semantic"])
    record = result.stages[-1]["heads"]["semantic"]
    assert record["pixels"] == report.to_dict()["pixels"]
    for metric in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"):
        assert record[metric] == pytest.approx(report.to_dict()[metric], abs=2e-3)  # ties between logits
    with Image.open(tmp_path / "run" / "predictions.png") as drawn:
        assert drawn.width >= 4 * SIZE[1]


def rewritten(path: Path, out: Path, **changes: object) -> Path:
    with safe_open(path, "pt") as content:
        header = json.loads(content.metadata()["fullconv"])
    header |= changes
    save_file(load_file(path), out, {"fullconv": json.dumps({key: value for key, value in header.items() if value != "absent"})})
    return out


def test_a_file_that_does_not_say_is_of_its_own_size(half: Path, tmp_path: Path) -> None:
    assert load_checkpoint(rewritten(half, tmp_path / "old.safetensors", scale="absent")).scale == 1.0


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "half", None, [1]])
def test_scales_that_are_none(half: Path, tmp_path: Path, scale: object) -> None:
    with pytest.raises(WeightsError, match=r"bad\.safetensors contradicts itself: .*(scale|float)"):
        load_checkpoint(rewritten(half, tmp_path / "bad.safetensors", scale=scale))


@pytest.mark.parametrize("scale", [0.0, -2.0, float("nan"), float("inf")])
def test_a_predictor_takes_no_such_scale(checkpoint: Path, scale: float) -> None:
    found = load_checkpoint(checkpoint)
    with pytest.raises(SpecError, match=rf"the scale is {scale:g}; it is the factor on height and width"):
        Predictor(found.model, found.labels, scale)
