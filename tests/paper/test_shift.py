"""Reading a trained net out densely: against the deconvolution where they must agree, and the experiment end to end."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from in_small import Small
from made_scores import PIXELS, from_hits, net

from fullconv.nn.atrous import atrous
from fullconv.nn.build import build_model
from fullconv.nn.fcn import FCN
from fullconv.paper import shift, table2
from fullconv.paper.experiment import Context, Plan
from fullconv.paper.findings import Row
from fullconv.paper.shift import SLOW, Measured, Scorer, _claims, read_dense, readings
from fullconv.paper.suite import run_experiment
from fullconv.spec import ModelSpec


def _model(stride: int) -> FCN:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name=f"fcn{stride}s-minivgg"), {"semantic": 7}).eval()
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    return model


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


def test_the_verdicts_follow_from_the_numbers() -> None:
    def verdicts(scores: tuple[float, ...], seconds: tuple[float, ...], worst: float) -> list[bool | None]:
        names = ("deconvolution, FCN-32s", "à trous to stride 1", SLOW, "skips, FCN-8s")
        found = {name: Measured(net(score), 3, [time]) for name, score, time in zip(names, scores, seconds, strict=True)}
        return [claim.holds for claim in _claims(found, Row("", "", (worst,), "", ""))]

    assert verdicts((40, 41, 41, 45), (1, 20, 900, 1.1), 0.5) == [True, True, True]
    assert verdicts((40, 46, 46, 45), (10, 5, 900, 1.1), 500) == [False, False, False]
    half, other = np.full((1, 20), 0.5), np.full((1, 20), 0.5)
    other[0, ::2], other[0, 1::2] = 0.3, 0.75  # better on half of the images, worse on the others
    assert Measured(from_hits(PIXELS * half), 2, []).mean_iu == pytest.approx(100 / 3)
    unsure = {"deconvolution, FCN-32s": half, "à trous to stride 1": half, SLOW: half, "skips, FCN-8s": other}
    found = {name: Measured(from_hits(PIXELS * hits), 2, [1.0]) for name, hits in unsure.items()}
    assert _claims(found, Row("", "", (1.0,), "", ""))[2].holds is None


def test_the_experiment_end_to_end(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """One small image of odd sides in place of a hundred: shift-and-stitch runs the net a thousand times for each."""

    def few(context: Context, seed: int) -> Plan:
        ((name, training),) = table2.staged(context, seed).items()
        data = training.recipe.data.model_copy(update={"val_count": 1, "size": (9, 15)})
        model = training.recipe.model.model_copy(update={"hidden_layers": False})  # a score sees fewer pixels
        return {name: replace(training, recipe=training.recipe.model_copy(update={"data": data, "model": model}))}

    monkeypatch.setattr(shift, "plan", few)
    monkeypatch.setattr(shift, "FEW", {True: 1})
    monkeypatch.setattr(shift, "DRAWN", 1)
    monkeypatch.setattr(shift, "COMPARED", (152, 152))
    found = run_experiment("shift", small, budget=0.005)
    assert found.complete
    assert found.claims[0].holds
    assert {row.item for row in found.rows} == {*readings(_model(32), _model(8)), shift.PAIR}
    assert all(0 <= row.mean <= 100 for row in found.rows if row.quantity == "mean IU")
    assert (small.out / "shift" / "ways.png").exists()
