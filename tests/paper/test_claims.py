"""The training claims: the recipes that are compared, arithmetic by hand, and all of it end to end at a tiny scale."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from in_small import Small, assert_trained_as_planned
from made_scores import net
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from fullconv.paper import claims as module
from fullconv.paper import sliding as sliding_module
from fullconv.paper.claims import AVERAGED, BATCHED, LOSS_GAP, MEAN_IU, SINGLE, SUMMED, loss_gap, run, same_reach
from fullconv.paper.experiment import Context
from fullconv.paper.findings import Finding, Row
from fullconv.paper.verdicts import Scores
from fullconv.training import RunResult


def context(out: Path, **more: Any) -> Context:
    return Context(out, "claims", console=Console(file=io.StringIO(), width=200), **more)


def reach(steps: int, rate: float, momentum: float) -> float:
    """How far a gradient of 1 in the first of so many steps of SGD moves a weight."""
    velocity, moved = 1.0, 0.0
    for _ in range(steps):
        moved += rate * velocity
        velocity *= momentum
    return moved


def test_each_image_moves_the_weights_as_far() -> None:
    rate = same_reach(0.03, 0.9, 20, 0.99, 1)
    assert rate == pytest.approx(0.03 / 200)
    assert reach(5000, rate, 0.99) == pytest.approx(reach(5000, 0.03 / 20, 0.9))
    assert same_reach(0.1, 0.5, 4, 0.5, 4) == pytest.approx(0.1)


def test_the_largest_relative_difference_of_losses() -> None:
    assert loss_gap([2.0, 4.0, 1.0], [2.0, 3.0, 1.1]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="zip"):
        loss_gap([1.0], [1.0, 1.0])


def made(**mean_iu: tuple[float, ...]) -> dict[str, Scores]:
    names = {"batched": BATCHED, "single": SINGLE, "averaged": AVERAGED, "summed": SUMMED, "balancing": "class balancing"}
    return {names.get(key, key): net(*values) for key, values in mean_iu.items()}


def test_claims_are_judged_by_intervals() -> None:
    found = module._no_gain(made(plain=(30, 30), balancing=(32, 32), mirroring=(29, 35), jitter=(28, 28)))
    assert [claim.holds for claim in found] == [False, None, True]  # +2; +2 of seeds that are six apart; -2
    assert found[0].evidence == "+2.0 (+2.0 to +2.0; 2 seeds, 20 images); mean accuracy +2.3, pixel accuracy +2.3"
    losses = Finding((Row(SUMMED, LOSS_GAP, (0.02, 0.04), "", ""),))
    given = made(batched=(20, 24), single=(24, 25), averaged=(22, 22), summed=(22.06, 22.06))
    same, total = module._equivalent(losses, given)
    assert same.holds is None  # +2.5 of seeds whose differences are three apart
    assert total.holds
    assert total.evidence == "losses at most 0.0400 % apart, mean IU +0.1"
    given = made(batched=(20, 20), single=(18, 18), averaged=(20, 20), summed=(18, 18))
    assert [claim.holds for claim in module._equivalent(losses, given)] == [False, False]
    assert module._equivalent(losses, made(batched=(20, 24), single=(20.3, 24.1), averaged=(20,), summed=(20,)))[0].holds


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow net where the whole one is timed."""
    monkeypatch.setattr(sliding_module, "BACKBONE", "narrow-alexnet")
    monkeypatch.setattr(sliding_module, "GRIDS", {1: 1, 2: 1})


@pytest.mark.usefixtures("quick")
def test_end_to_end(small: Small) -> None:
    finding = run(small.named("claims", 0.005))
    assert_trained_as_planned(small, "claims", 0.04)
    assert finding.complete
    items = {row.item for row in finding.rows}
    assert {"plain", "class balancing", "mirroring", "jitter", BATCHED, SINGLE, SUMMED, "one window"} <= items
    assert all(row.mean > 0 for row in finding.rows if row.quantity == MEAN_IU)
    assert finding.row(SUMMED, LOSS_GAP).measured == (0,)
    mean, total = (RunResult(small.run_folder(run), [], 0) for run in ("claims-mean", "claims-sum"))
    assert len(module.losses(mean)) >= 2
    assert module.losses(mean) == [loss / 2**17 for loss in module.losses(total)]
    mean_weights, sum_weights = load_file(mean.model), load_file(total.model)
    assert all(torch.equal(sum_weights[name], tensor) for name, tensor in mean_weights.items())  # bit for bit
    assert "40 steps of 1" in finding.row(SINGLE, MEAN_IU).protocol
    assert "2 steps of 20" in finding.row(BATCHED, MEAN_IU).protocol
    assert len(finding.claims) == 3 + 2 + 4
    for picture in finding.pictures:
        with Image.open(small.out / "claims" / picture.file) as image:
            image.load()
            assert min(image.size) >= 350
    assert Finding.from_dict(finding.to_dict()) == finding


@pytest.mark.usefixtures("quick")
def test_on_real_data_only_the_cost_is_measured(tmp_path: Path) -> None:
    finding = run(context(tmp_path, data="voc2012", root=tmp_path / "none"))
    assert finding.complete
    assert "measured on Scenes" in finding.notes[-1]
    assert not (tmp_path / "runs").exists()
