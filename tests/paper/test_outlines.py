"""Outlines before and after a CRF: which images are for what, the verdicts, and the experiment end to end."""

import io
import json
from dataclasses import replace

import pytest
from in_small import Small
from made_scores import net
from rich.console import Console

from fullconv.crf import tune
from fullconv.crf.mean_field import CRFSpec
from fullconv.data.scenes.scenes import Scenes
from fullconv.evaluation.trimap import WIDTHS
from fullconv.paper import outlines, table2
from fullconv.paper.experiment import Context, Plan
from fullconv.paper.findings import Finding, Row
from fullconv.paper.outlines import PLAIN, TUNED, divide, near
from fullconv.paper.suite import run_experiment


@pytest.mark.parametrize(("count", "tuned"), [(2, 1), (3, 2), (100, 10), (445, 11)])
def test_no_image_is_tuned_on_and_measured(count: int, tuned: int) -> None:
    tuning, measured = divide(Scenes("val", count, (8, 8)))
    assert len(tuning) == tuned
    assert not set(tuning.places) & set(measured.places)
    assert len(set(measured.places)) == len(measured) == min(count - tuned, 80)
    assert set(tuning.places) | set(measured.places) <= set(range(count))


def test_the_verdicts_follow_from_the_numbers() -> None:
    def verdicts(gains: tuple[float, ...], *tuned: float) -> list[bool | None]:
        rows = [Row(PLAIN, near(width), (30.0,), "", "") for width in WIDTHS]
        rows += [Row(TUNED, near(width), (30.0 + gain,), "", "") for width, gain in zip(WIDTHS, gains, strict=True)]
        scores = {PLAIN: net(30, 30), TUNED: net(*tuned)}
        return [claim.holds for claim in outlines._claims(Finding(tuple(rows)), scores)]

    assert verdicts((6, 5, 4, 3, 2, 1), 31, 31.2) == [True, True, True]
    assert verdicts((1, 2, 3, 4, -1, 1), 29, 29.2) == [False, False, False]
    assert verdicts((6, 5, 4, 3, 2, 1), 29, 33)[2] is None


def test_the_experiment_end_to_end(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(context: Context, seed: int) -> Plan:
        ((name, training),) = table2.staged(context, seed).items()
        recipe = training.recipe
        data = recipe.data.model_copy(update={"count": 8, "val_count": 5, "size": (24, 32)})
        model = recipe.model.model_copy(update={"weights": None})
        return {name: replace(training, recipe=recipe.model_copy(update={"data": data, "model": model}))}

    monkeypatch.setattr(outlines, "plan", tiny)
    monkeypatch.setattr(outlines, "TUNED_ON", 2)
    monkeypatch.setattr(outlines, "DEFAULT", CRFSpec(iterations=2))
    monkeypatch.setattr(tune, "FACTORS", (2.0,))  # of the search's two rounds the coarse one
    said = io.StringIO()
    context, out = replace(small, seeds=2, console=Console(file=said)), small.out
    found = run_experiment("outlines", context, budget=0.006)
    assert found.complete
    assert said.getvalue().count("tuning a CRF on scenes val, 3 images") == 2  # of 5, and not the 2 that are measured
    (out / "outlines" / "result.json").unlink()
    (out / "outlines" / "crf-seed1.json").unlink()  # as when the second search was interrupted
    again = run_experiment("outlines", context, budget=0.006)
    assert said.getvalue().count("tuning a CRF") == 3
    scores, same = ([row.measured for row in each.rows if "IU" in row.quantity] for each in (found, again))
    assert scores == same
    assert all(len(row.measured) == 2 for row in found.rows)
    assert found.row(PLAIN, "mean IU").data == "scenes val, 2 images"
    assert found.notes[0] == "Tuned on images 0, 2, 4 … of scenes val, 3 in all; measured on the other 2."
    stored = json.loads((out / "outlines" / "result.json").read_text())
    assert [picture["file"] for picture in stored["pictures"]] == ["outlines.png", "bands.png"]
    assert all((out / "outlines" / picture["file"]).exists() for picture in stored["pictures"])
