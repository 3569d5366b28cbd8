"""``fullconv evaluate --absent``: every policy for classes without ground truth, against a naive count of pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fullconv.cli import main
from fullconv.data import open_dataset
from fullconv.inference.load import load
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import save_checkpoint
from fullconv.spec import DataSpec, ModelSpec

COUNT = 1
"""The first image of Scenes lacks a class that the random net below predicts somewhere."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = open_dataset(DataSpec(val_count=COUNT), "val").labels
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False), {"semantic": len(labels["semantic"])})
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp("confused") / "model.safetensors"
    save_checkpoint(path, model, {"semantic": labels["semantic"]})
    return path


def naive(checkpoint: Path, absent: str) -> tuple[float, int]:
    """Mean IU and the number of classes in it, pixel sets of each class by themselves."""
    scenes, predictor = open_dataset(DataSpec(val_count=COUNT), "val"), load(checkpoint, "cpu")
    pairs = [
        (sample.targets["semantic"].numpy(), predictor.predict(sample.picture).labels)
        for sample in (scenes[index] for index in range(COUNT))
    ]
    ious = []
    for k in range(len(predictor.labels["semantic"])):
        both = sum(int(((truth == k) & (found == k)).sum()) for truth, found in pairs)
        either = sum(int((((truth == k) | (found == k)) & (truth != 255)).sum()) for truth, found in pairs)
        true = sum(int((truth == k).sum()) for truth, _ in pairs)
        if absent == "zero" or true or (absent == "union" and either):
            ious.append(both / either if either else 0.0)
    return float(np.mean(ious)), len(ious)


@pytest.mark.parametrize("absent", ["skip", "union", "zero"])
def test_every_policy_is_offered(checkpoint: Path, absent: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(checkpoint), "--data", "scenes", "--count", str(COUNT)]
    assert main([*command, "--absent", absent, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    mean, classes = naive(checkpoint, absent)
    assert (found["absent"], found["classes"]) == (absent, classes)
    assert found["mean_iu"] == pytest.approx(mean, rel=1e-12)
    assert main([*command, "--absent", absent]) == 0
    assert f"mean over {classes} classes" in capsys.readouterr().out


def test_the_policies_differ_here_and_skip_is_the_default(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    means = {absent: naive(checkpoint, absent) for absent in ("skip", "union", "zero")}
    assert means["skip"][0] > means["union"][0] >= means["zero"][0]
    assert main(["evaluate", str(checkpoint), "--data", "scenes", "--count", str(COUNT), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["absent"] == "skip"


def test_other_policies_are_wrong_usage(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(checkpoint), "--data", "scenes", "--absent", "drop"]) == 2
    assert "drop" in capsys.readouterr().err
