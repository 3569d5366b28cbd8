"""The training claims: the recipes that are compared, arithmetic by hand, and all of it end to end at a tiny scale."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from fullconv.evaluation import METRICS
from fullconv.paper import claims as module
from fullconv.paper import sliding as sliding_module
from fullconv.paper.bench import Bench
from fullconv.paper.claims import BATCHED, LOSS_GAP, MEAN_IU, SINGLE, START_GAP, SUMMED, loss_gap, run, same_reach
from fullconv.paper.finding import Finding, Row


def bench(out: Path, **more: Any) -> Bench:
    return Bench(out, "claims", console=Console(file=io.StringIO(), width=200), **more)


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
    first, second = [1.0] * 20, [1.0, 1.01, 1.02] + [1.0] * 17
    assert module._gaps(first, second) == pytest.approx((1, 2))  # the third of twenty is past the first tenth


def test_what_is_compared_differs_in_one_thing(tmp_path: Path) -> None:
    recipes = {v.name: v.recipe(bench(tmp_path), 3) for v in (*module._adamw(), *module._sgd())}
    plain = recipes["plain"]
    assert (plain.data.augment.flip, plain.data.augment.shift, plain.train.class_weights) == (False, 0, None)
    assert plain.model.weights is None
    assert plain.train.seed == 3
    assert recipes["mirroring"].data.augment == plain.data.augment.model_copy(update={"flip": True})
    assert recipes["jitter"].data.augment == plain.data.augment.model_copy(update={"shift": 8})
    assert recipes["mirroring"].train == recipes["jitter"].train == plain.train
    assert recipes["class balancing"].train == plain.train.model_copy(update={"class_weights": "balanced"})
    images = {name: recipe.train.batch_size * int(recipe.train.stages[0].steps or 0) for name, recipe in recipes.items()}
    assert images["plain"] == images["class balancing"] == 4800
    assert images[BATCHED] == images[SINGLE] == images[SUMMED] == 8000
    batched, single, summed = (recipes[name].train for name in (BATCHED, SINGLE, SUMMED))
    assert single.optimizer.warmup * single.batch_size == batched.optimizer.warmup * batched.batch_size
    pixels = 20 * 96 * 128
    assert summed.stages[0].rate == pytest.approx(0.03 / pixels)
    # what decay does in a step: rate * decay
    assert summed.optimizer.rate * summed.optimizer.weight_decay == pytest.approx(0.03 * 5e-4)
    assert (summed.loss, batched.loss) == ("sum", "mean")


def test_sum_and_mean_are_the_same_bit_for_bit_for_a_power_of_two_of_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 16 pictures of 32x64: then the two differ by a factor that does not round
    for name, value in {"SIZE": (32, 64), "GROUP": 16, "IMAGES": 16 * 8, "PIXELS": 2**15}.items():
        monkeypatch.setattr(module, name, value)
    batched, _, summed = module._sgd()
    results = []
    for variant in (batched, summed):
        recipe = variant.recipe(bench(tmp_path), 0)
        small = recipe.data.model_copy(update={"count": 32, "val_count": 2})
        results.append(bench(tmp_path).train(recipe.model_copy(update={"data": small})))
    mean, total = map(module.losses, results)
    assert len(mean) == 8
    assert mean == [loss / 2**15 for loss in total]
    mean_weights, sum_weights = (load_file(result.model) for result in results)
    assert all(torch.equal(sum_weights[name], tensor) for name, tensor in mean_weights.items())


def rows(**mean_iu: tuple[float, ...]) -> Finding:
    names = {"batched": BATCHED, "single": SINGLE, "summed": SUMMED, "balancing": "class balancing"}
    found = [Row(names.get(key, key), title, values, "", "") for key, values in mean_iu.items() for title in METRICS.values()]
    gaps = Row(SUMMED, START_GAP, (0.02, 0.04), "", ""), Row(SUMMED, LOSS_GAP, (3, 2), "", "")
    return Finding((*found, *gaps))


def test_claims_are_judged_by_a_point_or_the_spread() -> None:
    finding = rows(plain=(30, 30), balancing=(32, 32), mirroring=(31, 35), jitter=(28, 28))
    found = module._no_gain(finding, 2)
    assert [claim.holds for claim in found] == [False, False, True]  # +2 of 0; +3 of a spread of 2.8; -2
    assert found[0].evidence == "+2.0, spread 0.0 over 2 seeds; mean accuracy +2.0, pixel accuracy +2.0"
    assert "one seed, so no spread" in module._no_gain(finding, 1)[0].evidence
    finding = rows(batched=(20, 24), single=(24, 25), summed=(22.1, 22.1))
    same, total = module._equivalent(finding, 2)
    assert same.holds  # +2.5 of a spread of 2.8
    assert total.holds
    assert total.evidence == "losses 0.0400 % apart in the first tenth, 3.00 % in all, mean IU +0.1; spread 2.8 over 2 seeds"
    apart = module._equivalent(rows(batched=(20, 20), single=(18, 18), summed=(18, 18)), 2)
    assert [claim.holds for claim in apart] == [False, False]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few small scenes, a narrow net where the whole one is timed."""
    monkeypatch.setattr(sliding_module, "BACKBONE", "narrow-alexnet")
    monkeypatch.setattr(sliding_module, "GRIDS", {1: 1, 2: 1})
    plain = module.Variant.recipe

    def small(self: module.Variant, bench: Bench, seed: int) -> Any:
        recipe = plain(self, bench, seed)
        return recipe.model_copy(update={"data": recipe.data.model_copy(update={"count": 24, "val_count": 4})})

    monkeypatch.setattr(module.Variant, "recipe", small)


@pytest.mark.usefixtures("quick")
def test_end_to_end(tmp_path: Path) -> None:
    finding = run(bench(tmp_path, scale=0.005))
    assert finding.complete
    items = {row.item for row in finding.rows}
    assert {"plain", "class balancing", "mirroring", "jitter", BATCHED, SINGLE, SUMMED, "one window"} <= items
    assert all(row.mean > 0 for row in finding.rows if row.quantity == MEAN_IU)
    # the same two steps but for rounding
    assert max(finding.row(SUMMED, LOSS_GAP).measured) < 0.01
    assert finding.row(SUMMED, LOSS_GAP).measured != (0,)
    assert "40 steps of 1" in finding.row(SINGLE, MEAN_IU).protocol
    assert "2 steps of 20" in finding.row(BATCHED, MEAN_IU).protocol
    assert len(finding.claims) == 3 + 2 + 4
    for picture in finding.pictures:
        with Image.open(tmp_path / "claims" / picture.file) as image:
            image.load()
            assert min(image.size) >= 350
    assert (tmp_path / "runs" / "claims-balanced-seed0" / "model.safetensors").exists()
    assert Finding.from_dict(finding.to_dict()) == finding


@pytest.mark.usefixtures("quick")
def test_on_real_data_only_the_cost_is_measured(tmp_path: Path) -> None:
    finding = run(bench(tmp_path, data="voc2012", root=tmp_path / "none"))
    assert finding.complete
    assert "measured on Scenes" in finding.notes[-1]
    assert not (tmp_path / "runs").exists()
