"""One class against background: IU and Dice of the class, labels by a threshold, the best threshold."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fullconv
from fullconv.cli import main
from fullconv.data.sample import Sample
from fullconv.errors import DataError
from fullconv.evaluation import Report
from fullconv.evaluation.thresholds import THRESHOLDS, threshold_curve
from fullconv.labels import LabelSet
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import ModelSpec

LABELS = LabelSet(("background", "polyp"))


@pytest.fixture
def polyps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of two classes with random weights, five images with 0/255 masks, and the recipe that init writes of them."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg", hidden_layers=False), {"semantic": 2})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_checkpoint(tmp_path / "model.safetensors", model, {"semantic": LabelSet(("background", "foreground"))})
    random = np.random.default_rng(0)
    for number in range(5):
        for place, pixels in (
            ("images", random.integers(0, 256, (24, 32, 3), dtype=np.uint8)),
            ("masks", (np.indices((24, 32)).sum(0) % 23 < 9).astype(np.uint8) * 255),
        ):
            path = tmp_path / "polyps" / place / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    assert main(["init", "polyps"]) == 0
    return tmp_path


def test_the_report_of_two_classes_has_iu_and_dice_of_the_one(tmp_path: Path) -> None:
    matrix = ConfusionMatrix(2)
    matrix.matrix += np.array([[50, 10], [20, 40]])
    report = Report("x val", LABELS, matrix, 1)
    assert report.of_class() == {"IU of polyp": pytest.approx(40 / 70), "Dice of polyp": pytest.approx(80 / 110)}
    assert report.to_dict()["dice"] == {"background": pytest.approx(100 / 130), "polyp": pytest.approx(80 / 110)}
    assert "IU of polyp 57.1 · Dice of polyp 72.7" in report.markdown()
    assert "| polyp | 57.1 | 72.7 | 66.7 | 60 |" in report.markdown()
    report.write_csv(tmp_path / "classes.csv")
    assert (tmp_path / "classes.csv").read_text().splitlines()[0] == "class,iu,accuracy,pixels,dice"
    assert Report("x", LabelSet(("a", "b", "c")), ConfusionMatrix(3), 1).of_class() == {}


def test_labels_are_those_whose_probability_reaches_the_threshold(polyps: Path) -> None:
    image = polyps / "polyps/images/0.png"
    plain = fullconv.load(polyps / "model.safetensors").predict(image, probabilities=True)
    one = plain.probabilities[1]
    for threshold in (float(np.quantile(one, 0.2)), 0.5, float(np.quantile(one, 0.9))):
        found = fullconv.load(polyps / "model.safetensors", threshold=threshold).predict(image)
        assert (found.labels == (one >= np.float32(threshold))).all()
    assert (plain.labels == (one > 0.5)).all()


def test_predict_and_evaluate_take_a_threshold(polyps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(polyps / "model.safetensors")
    assert main(["predict", model, "polyps/images", "--out", "low", "--threshold", "0.0001"]) == 0
    assert np.asarray(Image.open("low/0.png")).min() == 1
    assert main(["predict", model, "polyps/images", "--out", "low", "--overlay", "--threshold", "0.7"]) == 1
    assert "was predicted by head semantic, threshold 0.0001, and now by head semantic, threshold 0.7" in capsys.readouterr().err
    common = ["evaluate", model, "--data", "polyps.yaml", "--split", "train"]
    assert main([*common, "--threshold", "best", "--json"]) == 0
    best = capsys.readouterr()
    assert "chosen on these images" in best.err
    threshold = best.err.rsplit("--threshold ", 1)[1].split()[0]
    dices = {}
    for given in (threshold, "0.05", "0.5", "0.95"):
        assert main([*common, "--threshold", given, "--json"]) == 0
        dices[given] = json.loads(capsys.readouterr().out)["dice"]["foreground"]
    assert json.loads(best.out)["dice"]["foreground"] == dices[threshold] == max(dices.values())


def test_thresholds_that_mean_nothing_are_one_line(polyps: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(polyps / "model.safetensors")
    assert main(["predict", str(checkpoint), "polyps/images", "--out", "x", "--threshold", "0.3"]) == 1
    assert "a threshold is for one class against another, and semantic has 7 classes" in capsys.readouterr().err
    assert main(["evaluate", str(checkpoint), "--data", "scenes", "--count", "1", "--threshold", "best"]) == 1
    assert "semantic has 7 classes" in capsys.readouterr().err
    assert main(["predict", model, "polyps/images", "--out", "x", "--threshold", "50"]) == 1
    assert "the threshold is 50; it is a probability, above 0 and below 1" in capsys.readouterr().err
    assert main(["predict", model, "polyps/images", "--out", "x", "--threshold", "0.4", "--refine", "crf"]) == 1
    assert "give it or --threshold, not both" in capsys.readouterr().err


class Two:
    name = "two val"

    def __init__(self) -> None:
        self.labels = {"semantic": LABELS}
        random = np.random.default_rng(0)
        self.truth = random.choice([0, 1, 255], (3, 9, 9), p=[0.5, 0.4, 0.1]).astype(np.uint8)
        self.known = (random.integers(0, 101, (3, 9, 9)) / 100 * 0.7 + 0.3 * (self.truth == 1)).astype(np.float32)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        place = np.full((9, 9, 3), index, np.uint8)
        return Sample.from_arrays(str(index), {"rgb": place}, {"semantic": self.truth[index]})


def test_the_curve_is_that_of_counting_at_every_threshold() -> None:
    data = Two()
    curve = threshold_curve(lambda inputs: data.known[int(inputs["rgb"][0, 0, 0])], data, "semantic")
    valid, truth = data.truth != 255, data.truth == 1
    expected = []
    for threshold in THRESHOLDS:
        found = data.known >= np.float32(threshold)
        hits = (found & truth & valid).sum()
        expected.append(2 * hits / ((found & valid).sum() + (truth & valid).sum()))
    np.testing.assert_allclose(curve.dice, expected)
    assert curve.dice[THRESHOLDS.tolist().index(curve.best)] == max(expected)
    data.truth[:] = 0
    with pytest.raises(DataError, match="two val has no pixel of polyp"):
        threshold_curve(lambda inputs: data.known[0], data, "semantic")
