"""A card says what the file, its run and its report say, no more; the hub's own reader understands its head."""

import json
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.repocard_data import model_index_to_eval_results
from PIL import Image

import fullconv
from fullconv.cli import main
from fullconv.errors import DataError, SpecError, WeightsError
from fullconv.evaluation import METRICS
from fullconv.interop.card import card_text, gather
from fullconv.interop.half import write_half
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.find_checkpoint import installed
from made_runs import make_run, stage

LABELS = {"semantic": LabelSet(("floor", "wall"))}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two classes with its model, a picture and a verdict."""
    out = make_run(tmp_path_factory.mktemp("runs") / "street", {"data": {"root": str(Path("/home/maria/secret"))}})
    record = stage(30, 0.4)
    record["kept"] = {"keep": "best", "metric": "mean_iu of semantic", "step": 20}
    result = {"recipe": "street", "finished": True, "stages": [record]}
    result["verdict"] = [{"kind": "over-fitting", "what": "0.9 on training images and 0.4 on others", "advice": "more images"}]
    (out / "result.json").write_text(json.dumps(result))
    history = [{"recipe": "street", "data": "scenes train", **record}]
    fullconv.save_checkpoint(out / "model.safetensors", build_model("fcn32s-minivgg", 2), LABELS, history, 0.5)
    Image.new("RGB", (8, 8)).save(out / "predictions.png")
    return out


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """What ``fullconv evaluate --out`` writes, of a data set whose images are half right."""
    content = {
        **stage(1, 0.5)["heads"]["semantic"],
        "dataset": "voc2012 val",
        "dice": {"floor": 0.75, "wall": None},
        "intervals": {key: [0.412345, 0.6] for key in METRICS},
        "bootstrap": {"level": 0.95, "resamples": 2000, "seed": 0},
    }
    content["iu"] = {"floor": 0.6, "wall": None}
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(json.dumps(content))
    return tmp_path / "report"


def test_a_card_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(run / "model.safetensors")]) == 0
    captured = capsys.readouterr()
    card = huggingface_hub.ModelCard(captured.out)
    assert (card.data.license, card.data.library_name, card.data.datasets) == ("unknown", "fullconv", ["scenes"])
    (result,) = [each for each in card.data.eval_results if each.metric_type == "mean_iou"]
    assert (result.metric_value, result.dataset_name) == (0.4, "scenes val")
    for said in (
        "# street",
        "- 2 classes: floor, wall",
        "| mean IU | 40.0 |",
        "seen at 0.5 of its size",
        "The step that was kept (20) was chosen by mean\\_iu of semantic on the same images",
        "| floor | 50.0 |",
        "licence of the data: Apache-2.0, as the package",
        "| 32s | 30 | 0.001 | 32-true | 40.0 |",
        "over-fitting: 0.9 on training images and 0.4 on others",
        "Unknown: who made this model has not stated one.",
        "root: secret",
    ):
        assert said in captured.out, said
    assert "maria" not in captured.out.replace(str(run), "")  # no folders of the machine it was trained on
    assert "--license says it" in captured.err
    assert "fullconv evaluate CHECKPOINT" in captured.err


def test_a_report_brings_intervals_and_what_was_never_measured(run: Path, report: Path, tmp_path: Path) -> None:
    out = tmp_path / "CARD.md"
    assert main(["card", str(run / "model.safetensors"), "--out", str(out), "--report", str(report), "--license", "mit"]) == 0
    text = out.read_text()
    assert "| mean IU | 50.0 (41.2 to 60.0) |" in text
    assert "Intervals are of 95 %, by 2000 draws of the images with replacement (seed 0)." in text
    assert "Never measured, as no image had them: wall." in text
    assert "flatter" not in text
    data = huggingface_hub.ModelCard(text).data
    assert data.license == "mit"
    _, results = model_index_to_eval_results(data.to_dict()["model-index"])
    (found,) = [each for each in results if each.metric_type == "mean_iou"]
    assert (found.metric_value, found.metric_args["interval"], found.dataset_type) == (0.5, [0.4123, 0.6], "voc2012")
    assert "![predictions](CARD-picture.png)" in text
    assert (tmp_path / "CARD-picture.png").read_bytes() == (run / "predictions.png").read_bytes()


def test_a_photograph_in_place_of_the_runs_picture(run: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 200, 3), np.uint8)).save(tmp_path / "cat.png")
    out = tmp_path / "card.md"
    assert main(["card", str(run / "model.safetensors"), "--out", str(out), "--image", str(tmp_path / "cat.png")]) == 0
    assert "What it makes of cat.png." in out.read_text()
    with Image.open(tmp_path / "card-picture.png") as drawn:
        assert drawn.width == 200


def test_a_model_without_a_history(checkpoint: Path) -> None:
    text = card_text(gather(checkpoint))
    assert "Not measured: neither the file nor a report says how good it is." in text
    assert "The file does not say what it learned from." in text
    assert "The file does not say how it was trained." in text
    assert "model-index" not in text


def test_another_runs_folder_is_not_taken_for_its_own(run: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(checkpoint.read_bytes())
    for name in ("recipe.yaml", "result.json", "predictions.png"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    facts = gather(tmp_path / "model.safetensors")
    assert (facts.recipe, facts.picture, tuple(facts.limits)) == (None, None, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("intervals"), "is no report of `fullconv evaluate --out` .*intervals"),
        (
            lambda r: r.update(models={"a": {}, "b": {}}),
            r"is of several models \(a, b\); run `fullconv evaluate` with this one alone",
        ),
        (lambda r: r.update(iu={"sky": 1.0}), "is of a model with the classes sky …, and this one has others"),
    ],
)
def test_reports_of_something_else(run: Path, report: Path, change: object, message: str) -> None:
    content = json.loads((report / "report.json").read_text())
    change(content)  # type: ignore[operator]
    (report / "report.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        gather(run / "model.safetensors", [report])


def test_what_is_not_a_card_or_a_licence(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="--license Apache 2: the hub's names are in small letters"):
        gather(run / "model.safetensors", license="Apache 2")
    assert main(["card", str(run / "model.safetensors"), "--out", str(tmp_path / "card.txt")]) == 1
    assert "give a name that ends in .md" in capsys.readouterr().err


def test_half_the_bytes_and_nearly_the_same_labels(checkpoint: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 61, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    done = write_half(checkpoint, tmp_path / "half.safetensors", [tmp_path / "a.png"], most=0.01)
    assert done.bytes < 0.6 * checkpoint.stat().st_size
    before, after = (fullconv.load(path, "cpu").predict(image).labels for path in (checkpoint, tmp_path / "half.safetensors"))
    assert done.changed == np.mean(before != after)
    assert gather(tmp_path / "half.safetensors").precision == "float16, float32"
    with pytest.raises(WeightsError, match=r"pixels get another label in float16, and -100 % may; share it as it is"):
        write_half(checkpoint, tmp_path / "none.safetensors", [tmp_path / "a.png"], most=-1)
    assert not (tmp_path / "none.safetensors").exists()
    with pytest.raises(DataError, match="no images to compare labels on"):
        write_half(checkpoint, tmp_path / "none.safetensors", [])


def test_numbers_beyond_float16_are_refused(tmp_path: Path) -> None:
    model = build_model("fcn32s-minivgg", 2)
    max(model.parameters(), key=torch.numel).data.fill_(1e5)
    with pytest.raises(WeightsError, match=r"has values up to 1e\+05, and float16 ends at 65504"):
        fullconv.save_checkpoint(tmp_path / "m.safetensors", model, LABELS, half=True)


@pytest.mark.parametrize(
    ("head", "license"),
    [
        ("license: cc-by-4.0\ntags: [a]", "cc-by-4.0"),
        ("license: [a", "unknown"),
        ("license: My Own", "unknown"),
        ("tags: [a]", "unknown"),
    ],
)
def test_the_licence_of_an_installed_model_is_its_own_cards(
    head: str, license: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "toy_model"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    info = tmp_path / "toy_model-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy-model\nVersion: 1\n\n---\n{head}\n---\n\n# toy\n")
    (info / "entry_points.txt").write_text("[fullconv.models]\ntoy = toy_model\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed.cache_clear()
    try:
        assert main(["card", "toy"]) == 0
        assert gather("toy", license="mit").license == "mit"
    finally:
        installed.cache_clear()
    told = capsys.readouterr()
    assert f"\nlicense: {license}\n" in told.out
    assert ("the licence stands as unknown" in told.err) == (license == "unknown")
