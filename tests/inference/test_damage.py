"""Prediction and heat maps with what should not be: damaged weights, links in circles, disks that end, strange arrays."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from fullconv.errors import DataError, FullconvError, SpecError, WeightsError
from fullconv.inference.files import predict_files
from fullconv.inference.heatmap import heat_map, load_classifier
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.convolutionalize import convolutionalize
from fullconv.nn.normalise import IMAGENET, Normalise
from small_disk import files_of_at_most


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return load(checkpoint, "cpu")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# --- predictions ---


def test_weights_that_are_no_numbers(checkpoint: Path) -> None:
    found = load_checkpoint(checkpoint)
    with torch.no_grad():
        found.model.score_parameters()[0].view(-1)[0] = torch.nan
    with pytest.raises(WeightsError, match="logits that are not finite: its weights are damaged or its training diverged"):
        Predictor(found.model, found.labels).predict(noise(20, 30, 3))


def test_scores_are_probabilities(predictor: Predictor) -> None:
    found = predictor.predict(noise(33, 21, 3), probabilities=True)
    assert found.probabilities is not None
    assert found.probabilities.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.probabilities.argmax(0), found.labels)


def test_every_other_mistake_of_the_model_stays_visible(predictor: Predictor) -> None:
    with pytest.raises(SpecError, match=r"rgb is \(1, 5, 20, 20\); the model reads batches \(N, 3, H, W\)"):
        predictor.logits({"rgb": torch.zeros(5, 20, 20, dtype=torch.uint8)})


@pytest.mark.parametrize("size", [(1, 1), (20, 30)])
def test_views_and_locked_arrays_are_fine(predictor: Predictor, size: tuple[int, int]) -> None:
    image = noise(*size, 3)
    channels_first = np.ascontiguousarray(image.transpose(2, 0, 1))
    locked = channels_first.transpose(1, 2, 0)
    locked.flags.writeable = False
    mirrored = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps = [predictor.predict(view).labels for view in (image, locked, mirrored, np.asarray(Image.fromarray(image)))]
    for found in maps:
        np.testing.assert_array_equal(found, maps[0])


def test_labels_are_only_written_as_png(predictor: Predictor, tmp_path: Path) -> None:
    found = predictor.predict(noise(9, 9, 3))
    with pytest.raises(DataError, match=r"labels.jpg: labels are written as PNG, which keeps them exact; end the name in .png"):
        found.save(tmp_path / "labels.jpg")
    found.save(tmp_path / "labels.PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.PNG"]


# --- files ---


def test_a_full_disk_loses_nothing_that_was_written(predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Image.fromarray(noise(60, 80, 3)).save(tmp_path / "a.png")
    jobs = find_jobs([str(tmp_path / "a.png")], out)
    predict_files(predictor, jobs, ["probabilities"])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with (
        files_of_at_most(8000),
        pytest.raises(
            FullconvError, match=r"cannot write .*a-probabilities.npy: .* What was there before is untouched; free space"
        ),
    ):
        predict_files(predictor, jobs, ["probabilities"], overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_links_in_a_circle_and_names_that_are_too_long(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    Image.fromarray(noise(20, 20, 3)).save(tmp_path / "z.png")
    inputs = [str(tmp_path / "circle.jpg"), "n" * 300 + ".jpg", str(tmp_path / "z.png")]
    outcome = predict_files(predictor, find_jobs(inputs, tmp_path / "out"))
    assert [problem.rpartition(": ")[2] for problem in outcome.failed.values()] == [
        "Too many levels of symbolic links",
        "File name too long",
    ]
    assert list(outcome.predicted) == inputs[2:]


def test_two_names_of_one_picture(tmp_path: Path) -> None:
    Image.fromarray(noise(20, 20, 3)).save(tmp_path / "a.png")
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "a.png").symlink_to(tmp_path / "a.png")
    assert len(find_jobs([f"{tmp_path}/a.png", f"{tmp_path}/link/a.png", f"{tmp_path}/link/../a.png"], tmp_path / "out")) == 1
    with pytest.raises(DataError, match=r"a\.png is one of the images and would be overwritten"):
        find_jobs([str(tmp_path / "link" / "a.png")], tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "an image's name is empty; give files, folders or patterns"),
        ("/nowhere/**.jpg", r"/nowhere/\*\*.jpg: (invalid pattern: .*\*\*/\*.jpg$|no file matches this pattern)"),
    ],
)
def test_patterns_that_mean_nothing(given: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        find_jobs([given], tmp_path)


# --- heat maps ---


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "whole.safetensors"
    save_file(BACKBONES["squeezenet1_1"].build().state_dict(), path)
    return path


def test_a_classifier_whose_weights_are_no_numbers(weights: Path, tmp_path: Path) -> None:
    tensors = load_file(weights)
    tensors["classifier.1.bias"][3] = torch.inf
    save_file(tensors, tmp_path / "bad.safetensors")
    dense, normalise = load_classifier("squeezenet1_1", str(tmp_path / "bad.safetensors"))
    with pytest.raises(WeightsError, match="scores that are not finite: its weights are damaged; fetch them again"):
        heat_map(dense, normalise, noise(60, 60, 3))


@pytest.mark.parametrize(
    ("share", "preprocessing", "message"),
    [
        (0.5, None, "is not a whole .safetensors file"),
        (0.0, None, "is not a whole .safetensors file"),
        (1.0, "{", "is not a whole .safetensors file"),
        (1.0, "{}", "preprocessing {} is not complete"),
    ],
)
def test_damaged_classifier_files(weights: Path, share: float, preprocessing: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(load_file(weights), path, {"preprocessing": preprocessing} if preprocessing else None)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match=message) as raised:
        load_classifier("squeezenet1_1", str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (5, 3)])
def test_heat_of_very_small_and_very_thin_pictures(size: tuple[int, int]) -> None:
    """A side of one pixel must not blow the other one up."""
    torch.manual_seed(0)
    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 2)).eval()
    found = heat_map(convolutionalize(small, (5, 5)), Normalise(IMAGENET), noise(*size, 3), 1)
    assert found.probability.shape == size
    assert found.windows[0] * found.windows[1] <= 400
    assert 0 <= found.probability.min() <= found.probability.max() <= 1
