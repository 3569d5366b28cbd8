"""``--refine`` in predict and evaluate, and ``fullconv tune``, from the outside."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.crf.mean_field import CRFSpec, refine
from fullconv.crf.settings import Tuned
from fullconv.inference.load import load


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(
        "model: {name: fcn8s-minivgg}\ndata: {name: scenes, size: [32, 40], val_count: 3}\ntrain: {stages: [8], steps: 1}\n"
    )
    return path


def test_predict_refines_every_picture_in_its_place(checkpoint: Path, tmp_path: Path) -> None:
    """Labels and scores are those of the function, also where images of one size go through the net together."""
    from fullconv.inference.files import predict_files
    from fullconv.inference.jobs import find_jobs

    random = np.random.default_rng(0)
    images = {
        name: random.integers(0, 256, (*size, 3), np.uint8) for name, size in zip("abc", [(20, 30)] * 2 + [(9, 1)], strict=True)
    }
    (tmp_path / "album").mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / "album" / f"{name}.png")
    (tmp_path / "album" / "broken.png").write_bytes(b"nothing")
    crf = CRFSpec(appearance_position=5)
    Tuned(crf=crf).write(tmp_path / "own.json")
    command = ["predict", str(checkpoint), f"{tmp_path}/album", "--probabilities", "--refine"]
    assert main([*command, f"{tmp_path}/own.json", "--out", f"{tmp_path}/own"]) == 1  # the broken one
    assert main([*command, "crf", "--out", f"{tmp_path}/default"]) == 1
    predictor = load(checkpoint)
    jobs = find_jobs([f"{tmp_path}/album"], tmp_path / "together", ["probabilities"])
    predict_files(predictor, jobs, ["probabilities"], crf=crf, together=2)
    for name, image in images.items():
        coarse = predictor.predict(image, probabilities=True).probabilities
        for folder, settings in (("own", crf), ("default", CRFSpec()), ("together", crf)):
            expected = refine(coarse, image, settings)
            scores = np.load(tmp_path / folder / f"{name}-probabilities.npy")
            np.testing.assert_allclose(scores, expected, atol=2e-3)  # files are float16
            with Image.open(tmp_path / folder / f"{name}.png") as labels:
                sure = np.sort(expected, 0)[-1] - np.sort(expected, 0)[-2] > 0.01
                np.testing.assert_array_equal(np.array(labels)[sure], expected.argmax(0)[sure])


def test_evaluate_sets_both_side_by_side(checkpoint: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(checkpoint), "--data", str(recipe)]
    assert main([*command, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert main([*command, "--refine", "crf", "--json"]) == 0
    printed, told = capsys.readouterr()
    found = json.loads(printed)["models"]
    assert list(found) == [str(checkpoint), "the model + CRF"]
    assert found[str(checkpoint)]["trimap"] == alone["trimap"]
    assert found["the model + CRF"]["differences"]["mean_iu"]["value"] != 0
    assert told.startswith("the CRF took ")
    assert main([*command, "--refine", "crf"]) == 0
    assert "mean IU within 4 px" in capsys.readouterr().out


def test_tune_writes_what_refine_reads(
    checkpoint: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found" / "crf.json"
    start = tmp_path / "start.json"
    Tuned(crf=CRFSpec(iterations=1, smoothness_weight=0)).write(start)
    command = ["tune", str(checkpoint), "--data", str(recipe), "--count", "2", "--start", str(start), "--out", str(out), "--json"]
    assert main(command) == 0
    printed, told = capsys.readouterr()
    found = Tuned.model_validate_json(printed)
    assert found == Tuned.model_validate_json(out.read_text())
    assert (found.data, found.images, found.crf.iterations, found.crf.smoothness_weight) == ("scenes train", 2, 1, 0)
    assert f"scenes train, 2 images, {found.trials} trials; mean IU without and with the CRF: near borders " in told
    assert main(command) == 1
    assert capsys.readouterr().err == (
        f"error: {out} exists already; go on from it with --start {out}, or choose another --out\n"
    )
    assert found == Tuned.model_validate_json(out.read_text())
    assert main(["tune", str(checkpoint), "--data", str(recipe), "--count", "2", "--start", str(out), "--out", str(out)]) == 0
    assert Tuned.model_validate_json(out.read_text()).trimap_iu[1] >= found.trimap_iu[1]
    capsys.readouterr()
    measure = ["evaluate", str(checkpoint), "--data", str(recipe), "--refine", str(out), "--json"]
    assert main(measure) == 0
    assert "was tuned on" not in capsys.readouterr().err
    assert main([*measure, "--split", "train"]) == 0
    assert f"note: {out} was tuned on scenes train itself" in capsys.readouterr().err


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([*map(str, arguments)]) == 1
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


def test_mistakes(checkpoint: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"crf": {"iterations": -1}}')
    out = tmp_path / "out"
    for command in (
        ("predict", checkpoint, tmp_path, "--out", out),
        ("evaluate", checkpoint, "--data", recipe),
        ("tune", checkpoint, "--data", recipe),
    ):
        option = "--start" if command[0] == "tune" else "--refine"
        assert "no refinement is called 'fast'; write crf, or" in fails(capsys, *command, option, "fast")
        assert "crf.iterations: Input should be greater than" in fails(capsys, *command, option, damaged)
    assert not out.exists()
    told = fails(capsys, "tune", checkpoint, "--data", recipe, "--out", tmp_path / "crf.yaml")
    assert "settings are written as JSON; end the name in .json" in told
