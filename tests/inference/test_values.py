"""The values and colours of the masks of training come out of predict again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data.masks import read_labels
from fullconv.errors import DataError
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs, passed_over
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.segmentation import Segmentation
from fullconv.labelmap import parse_label_map
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import ImageSpec, ModelSpec

TRUTH = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
DECLARED = {
    "values": ({"road": [7, 8], "sky": 24, "car": 26, "void": "ignore"}, [7, 24, 26], np.uint8),
    "deep": ({"road": 7, "sky": 300, "car": 1000}, [7, 300, 1000], np.uint16),
    "colours": ({"road": "#ff0000", "sky": "#00ff00", "car": "#0000ff"}, [(255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8),
}


@pytest.mark.parametrize("name", DECLARED)
def test_original_values_are_read_back_as_the_same_labels(name: str, tmp_path: Path) -> None:
    entries, firsts, dtype = DECLARED[name]
    label_map = parse_label_map(entries)
    Segmentation(TRUTH, None, label_map.labels, label_map).save(tmp_path / "a.png", values="original")
    stored = np.asarray(Image.open(tmp_path / "a.png"))
    assert stored.dtype == dtype
    assert np.array_equal(stored, np.array(firsts)[TRUTH])
    assert np.array_equal(read_labels(tmp_path / "a.png", label_map), TRUTH)


def test_colors_are_rgb(tmp_path: Path) -> None:
    label_map = parse_label_map(DECLARED["values"][0])
    found = Segmentation(TRUTH, None, label_map.labels)
    found.save(tmp_path / "a.png", values="colors")
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.array(label_map.labels.colors, np.uint8)[TRUTH])
    with pytest.raises(DataError, match="does not say what values its masks had"):
        found.save(tmp_path / "b.png", values="original")
    assert not (tmp_path / "b.png").exists()


@pytest.fixture(scope="module")
def four_bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    label_map = parse_label_map(DECLARED["values"][0])
    spec = ModelSpec(name="fcn32s-minivgg", channels=4)
    model = build_model(spec, {"semantic": 3})
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    how = ImageSpec(bands=(1, 2, 3, 4), range=(0, 255))
    save_checkpoint(path, model, {"semantic": label_map.labels}, image=how, label_maps={"semantic": label_map})
    return path


def test_bands_and_values_travel_with_the_model(four_bands: Path, tmp_path: Path) -> None:
    predictor = load(four_bands, "cpu")
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 4)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "in/a.png")
    Image.fromarray(image[..., :3]).save(tmp_path / "in/b.png")
    jobs = find_jobs([str(tmp_path / "in")], tmp_path / "out")
    outcome = predict_files(predictor, jobs, ["overlay", "areas"], values="original")
    assert list(outcome.predicted) == [str(tmp_path / "in/a.png")]
    assert "3 bands" in outcome.failed[str(tmp_path / "in/b.png")]
    stored = np.asarray(Image.open(tmp_path / "out/a.png"))
    expected = predictor.predict(image).labels
    assert np.array_equal(stored, np.array([7, 24, 26], np.uint8)[expected])
    assert (tmp_path / "out/areas.csv").is_file()
    with pytest.raises(DataError, match=r"was predicted by head semantic, values original, and now by head semantic"):
        predict_files(predictor, jobs, ["overlay", "areas"])


def test_a_model_without_values_says_so_before_it_predicts(tmp_path: Path) -> None:
    label_map = parse_label_map(DECLARED["values"][0])
    predictor = Predictor(build_model("fcn32s-minivgg", {"semantic": 3}), {"semantic": label_map.labels})
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    jobs = find_jobs([str(tmp_path / "a.png")], tmp_path / "out")
    with pytest.raises(DataError, match="does not say what values its masks had"):
        predict_files(predictor, jobs, values="original")


def test_kinds_that_are_not_read_are_counted_and_links_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for name in ("a.HEIC", "b.heic", "c.nef", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"")
    Image.new("RGB", (8, 8)).save(tmp_path / "elsewhere/d.jfif", format="JPEG")
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/round").symlink_to(tmp_path / "in")
    assert passed_over([str(tmp_path / "in")]) == {".heic": 2, ".nef": 1}
    assert [job.name.as_posix() for job in find_jobs([str(tmp_path / "in")], tmp_path / "out")] == ["link/d.jfif"]
