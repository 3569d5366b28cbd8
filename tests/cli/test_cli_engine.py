"""The options --engine, --precision and --verbose of predict, evaluate and tune."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.cli import main
from fullconv.inference.engines.precision import torch_precisions


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (41, 60, 3), np.uint8)).save(path)
    return path


def labels(checkpoint: Path, photo: Path, out: Path, *options: str) -> np.ndarray:
    assert main(["predict", str(checkpoint), str(photo), "--out", str(out), *options]) == 0
    with Image.open(out / "a.png") as image:
        return np.asarray(image)


def test_predict_says_which_engine_runs_and_both_give_the_same(
    checkpoint: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = labels(checkpoint, photo, tmp_path / "plain")
    assert "engine:" not in capsys.readouterr().err
    by_rule = labels(checkpoint, photo, tmp_path / "auto", "--verbose")
    assert "engine: eager in fp32 on cpu, as openvino takes seconds to convert a net" in capsys.readouterr().err
    converted = labels(checkpoint, photo, tmp_path / "openvino", "--engine", "openvino", "--verbose", "--device", "cpu")
    assert "engine: openvino in fp32 on cpu\n" in capsys.readouterr().err
    np.testing.assert_array_equal(plain, by_rule)
    assert (plain == converted).mean() > 0.999


def test_results_of_another_precision_are_not_taken_for_these(
    checkpoint: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "bf16" not in torch_precisions(torch.device("cpu")):
        pytest.skip("this processor has no bfloat16")
    labels(checkpoint, photo, tmp_path, "--precision", "bf16", "--engine", "eager", "--device", "cpu")
    assert main(["predict", str(checkpoint), str(photo), "--out", str(tmp_path), "--device", "cpu"]) == 1
    assert "was predicted by head semantic, precision bf16, and now by head semantic;" in capsys.readouterr().err


def test_evaluate_measures_the_net_as_it_is_unless_told(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("evaluate", str(checkpoint), "--data", "scenes", "--count", "2", "--device", "cpu", "--json", "--verbose")
    assert main(given) == 0
    plain = capsys.readouterr()
    assert "engine: eager in fp32 on cpu\n" in plain.err
    assert main([*given, "--engine", "auto"]) == 0
    by_rule = capsys.readouterr()
    assert "engine: eager in fp32 on cpu, as openvino takes seconds" in by_rule.err
    assert json.loads(by_rule.out)["intervals"] == json.loads(plain.out)["intervals"]


@pytest.mark.parametrize(
    "command", [("predict", "a.png", "--out", "out"), ("evaluate", "--data", "scenes"), ("tune", "--data", "scenes")]
)
def test_what_cannot_be_is_one_line(
    command: tuple[str, ...],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *rest = command
    crf = ["--out", "crf.json"] if name == "tune" else []
    given = [name, str(checkpoint), *rest, *crf, "--engine", "onnxruntime", "--precision", "fp16"]
    assert main(given) == 1
    assert capsys.readouterr().err.splitlines()[-1] == ("error: onnxruntime has no fp16 on any processor; it computes fp32 here")
    assert list(tmp_path.iterdir()) == []
