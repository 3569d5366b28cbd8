"""A model of two heads on the command line: trained, stopped, resumed, then measured and put to work head by head."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.cli import main
from fullconv.data.scenes.scenes import HEADS
from fullconv.metrics import count_pairs, metrics_of
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import ModelSpec


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An FCN-16s with both heads of Scenes and random scores."""
    torch.manual_seed(3)
    model = build_model(ModelSpec(name="fcn16s-minivgg", hidden_layers=False), {head: len(HEADS[head]) for head in HEADS})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp("joint") / "model.safetensors"
    save_checkpoint(path, model, HEADS)
    return path


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first three scenes of val as images."""
    from fullconv.data.scenes.scenes import render

    folder = tmp_path_factory.mktemp("scenes")
    for index in range(3):
        Image.fromarray(render(0, "val", index).image).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("head", list(HEADS))
def test_what_is_predicted_for_a_head_is_what_is_measured(
    joint: Path, scenes: Path, tmp_path: Path, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels that ``predict`` writes, counted here against the truth, give the scores that ``evaluate`` prints."""
    from fullconv.data.scenes.scenes import render

    assert main(["evaluate", str(joint), "--data", "scenes", "--count", "3", "--head", head, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["iu"]) == list(HEADS[head].names)
    assert main(["predict", str(joint), str(scenes), "--out", str(tmp_path), "--head", head]) == 0
    matrix = np.zeros((len(HEADS[head]),) * 2, np.int64)
    for index in range(3):
        written = Image.open(tmp_path / f"{index}.png")
        assert tuple(written.getpalette()[:9]) == sum(HEADS[head].colors[:3], ())  # type: ignore[index]
        matrix += count_pairs(getattr(render(0, "val", index), head), np.asarray(written), len(HEADS[head]))[0]
    assert report["mean_iu"] == pytest.approx(metrics_of(matrix).mean_iu)
    assert report["pixel_accuracy"] == pytest.approx(metrics_of(matrix).pixel_accuracy)


def test_which_head_was_taken_is_said_when_none_was_given(
    joint: Path, checkpoint: Path, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "the head is semantic, the model's first; --head takes geometric"
    commands = {
        "evaluate": ["--data", "scenes", "--count", "1"],
        "predict": [str(scenes / "0.png"), "--out", str(tmp_path)],
    }
    for command, options in commands.items():
        assert main([command, str(joint), *options]) == 0
        assert said in capsys.readouterr().err
        assert main([command, str(joint), *options, "--head", "semantic"]) == 0
        elsewhere = [str(tmp_path / "other") if option == str(tmp_path) else option for option in options]
        assert main([command, str(checkpoint), *elsewhere]) == 0
        assert "the head is" not in capsys.readouterr().err
        assert main([command, str(joint), *options, "--head", "depth"]) == 1
        assert "error: the model has no head 'depth'; it has semantic, geometric\n" in capsys.readouterr().err


def test_a_joint_run_is_resumed_and_measured_by_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "joint"
    small = ["--data.size", "[32, 40]", "--data.count", "4", "--data.val_count", "3", "--train.batch_size", "2"]
    steps = ["--train.stages.0.steps", "2", "--train.stages.1.steps", "2", "--train.head_weights", "{geometric: 0.5}"]
    command = ["train", "scenes-fcn16s-joint-minivgg", *small, *steps, "--out", str(out)]
    assert main([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    result = json.loads((out / "result.json").read_text())
    (out / "result.json").write_text(json.dumps(result | {"stages": result["stages"][:1]}))  # as if stopped after 32s
    assert main([*command, "--resume", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for head in HEADS:
        assert again["stages"][-1]["heads"][head] == first["stages"][-1]["heads"][head]
        assert (
            main(["evaluate", str(out / "model.safetensors"), "--data", str(out / "recipe.yaml"), "--head", head, "--json"]) == 0
        )
        measured = json.loads(capsys.readouterr().out)
        for metric in ("mean_iu", "pixel_accuracy", "iu"):
            assert measured[metric] == pytest.approx(again["stages"][-1]["heads"][head][metric], nan_ok=True)


def test_results_of_another_way_are_not_taken_for_these(
    joint: Path, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(joint), str(scenes), "--out", str(tmp_path), "--head"]
    assert main([*command, "geometric"]) == 0
    before = (tmp_path / "0.png").read_bytes()
    assert main([*command, "geometric"]) == 0
    assert "0 of 3 images" in capsys.readouterr().err
    for more, now in ((["semantic"], "head semantic"), (["geometric", "--refine", "crf"], "head geometric, CRF {.*}")):
        assert main([*command, *more]) == 1
        told = capsys.readouterr().err
        assert re.search(
            f"0.png was predicted by head geometric, and now by {now}; choose another --out, or --overwrite it", told
        )
    assert (tmp_path / "0.png").read_bytes() == before
    assert main([*command, "semantic", "--overwrite"]) == 0
    assert (tmp_path / "0.png").read_bytes() != before
