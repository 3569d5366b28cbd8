"""Reading a trained net out densely: against the deconvolution where they must agree, and the experiment end to end."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from fullconv.data.scenes.scenes import Scenes
from fullconv.nn.atrous import atrous
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.paper import shift
from fullconv.paper.experiment import Bench
from fullconv.paper.findings import Row
from fullconv.paper.shift import SLOW, Measured, Scorer, _claims, measure, read_dense, readings
from fullconv.paper.suite import run_experiment
from fullconv.spec import ModelSpec, Recipe


def _model(stride: int) -> FCN:
    torch.manual_seed(0)
    net = build_model(ModelSpec(name=f"fcn{stride}s-minivgg"), {"semantic": 7}).eval()
    for parameter in net.score_parameters():
        torch.nn.init.normal_(parameter)
    return net


@pytest.fixture(scope="module")
def model() -> FCN:
    return _model(32)


def test_without_more_scores_linear_reading_is_the_bilinear_deconvolution(model: FCN) -> None:
    """Two routes from coarse scores to pixels; they agree where no score reads padding."""
    image = torch.randint(0, 256, (1, 3, 320, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        read = read_dense(model, Scorer(model).eval(), 32, image)
        upsampled = model(image)["semantic"]
    middle = (..., slice(144, 176), slice(144, 176))
    torch.testing.assert_close(read[middle], upsampled[middle], atol=1e-4 * float(upsampled.abs().max()), rtol=0)


def test_between_four_shifted_windows_the_dense_reading_is_their_mean(model: FCN) -> None:
    """Score (4, 4) has its centre at 15.5 + 4 · 32 = 143.5; shifted by 3 and by 4 pixels the scores surround pixel 147."""
    scorer = Scorer(model).eval()
    image = torch.randint(0, 256, (1, 3, 300, 300), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        read = read_dense(model, atrous(scorer), 1, image)
        normalised = model.normalise["rgb"](image)
        around = [scorer(normalised[..., y:, x:])[0, :, 4, 4] for y in (3, 4) for x in (3, 4)]
    expected = torch.stack(around).mean(0)
    torch.testing.assert_close(read[0, :, 147, 147], expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


def test_every_way_gives_labels_for_every_pixel(model: FCN) -> None:
    scenes = Scenes("val", 3, (33, 47))
    for name, read in readings(model, _model(8)).items():
        count = 1 if name == SLOW else 3
        found = measure(read, scenes, count, 1)
        assert 0 <= found.score <= 100
        assert 0 <= found.few <= 100
        assert len(found.seconds) == count


def test_the_verdicts_follow_from_the_numbers() -> None:
    def verdicts(scores: tuple[float, ...], seconds: tuple[float, ...], worst: float) -> list[bool]:
        names = ("deconvolution, FCN-32s", "à trous to stride 1", SLOW, "skips, FCN-8s")
        found = {name: Measured(score, score, [time]) for name, score, time in zip(names, scores, seconds, strict=True)}
        return [claim.holds for claim in _claims(found, Row("", "", (worst,), "", ""))]

    assert verdicts((40, 41, 41, 45), (1, 20, 900, 1.1), 0.5) == [True, True, True]
    assert verdicts((40, 46, 46, 45), (10, 5, 900, 1.1), 500) == [False, False, False]


def test_the_experiment_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small images in place of a hundred: shift-and-stitch runs the net a thousand times for each."""

    def small(bench: Bench, seed: int) -> Recipe:
        changes = {"model": {"name": "fcn8s-minivgg"}, "data": {"count": 8, "val_count": 2, "size": [32, 48]}}
        return bench.recipe("scenes-fcn8s-minivgg", seed, changes)

    monkeypatch.setattr(shift, "staged_recipe", small)
    monkeypatch.setattr(shift, "FEW", {True: 1})
    monkeypatch.setattr(shift, "DRAWN", 1)
    found = run_experiment("shift", Bench(tmp_path, "", console=Console(quiet=True)), budget=0.005)
    assert found.complete
    assert found.claims[0].holds
    assert (tmp_path / "shift" / "ways.png").exists()
