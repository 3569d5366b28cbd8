"""How long a run is: steps, epochs or minutes."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fullconv.errors import SpecError, TrainingError
from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe
from fullconv.training.clock import StageClock
from fullconv.training.interrupt import Interrupted
from fullconv.training.length import shared_steps
from fullconv.training.log import MetricsFile
from fullconv.training.module import TrainingModule
from fullconv.training.run import train

Tiny = Callable[..., Recipe]


@given(st.integers(1, 10**6), st.lists(st.integers(1, 1000), min_size=1, max_size=4))
def test_shares_add_up_and_are_as_even_as_whole_steps_can_be(total: int, shares: list[int]) -> None:
    found = shared_steps(total, shares)
    assert sum(found) == max(total, len(shares))
    assert min(found) >= 1
    for steps, share in zip(found, shares, strict=True):
        assert abs(steps - total * share / sum(shares)) <= 1 + len(shares)


def test_epochs_are_written_as_steps_and_go_on_as_those(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    """Two epochs and a half of eight images, four a step, make five steps; the stages share them 3 to 2."""
    recipe = tiny(train={"epochs": 2.5, "batch_size": 4})
    result = train(recipe, tmp_path / "out", console=quiet)
    assert [stage["steps"] for stage in result.stages] == [3, 2]
    stored = load_recipe(tmp_path / "out" / "recipe.yaml").train
    assert (stored.epochs, [stage.steps for stage in stored.stages]) == (2.5, [3, 2])
    assert train(recipe, tmp_path / "out", resume=True, console=quiet).stages == result.stages
    assert train(load_recipe(tmp_path / "out"), tmp_path / "out", resume=True, console=quiet).stages == result.stages
    with pytest.raises(TrainingError, match=r"holds a run with train.epochs 2\.5, not 3\.0"):
        train(tiny(train={"epochs": 3, "batch_size": 4}), tmp_path / "out", resume=True, console=quiet)


def test_one_length_is_given(tiny: Tiny) -> None:
    with pytest.raises(SpecError, match="epochs 5 and minutes 2 both say how long the run trains; give one of them"):
        tiny(train={"epochs": 5, "minutes": 2})


def test_minutes_end_the_stages_and_the_schedule_fits_them(
    tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the first stage, whose time goes on where it was: two thirds of 1.8 s, measured every tenth of them."""
    start, stops = TrainingModule.on_train_batch_start, [True]

    def slow(self: TrainingModule, batch: object, batch_idx: int) -> None:
        time.sleep(0.05)
        if stops and not self.first_step and self.clock.used > 0.5:
            stops.pop()
            signal.raise_signal(signal.SIGTERM)
        start(self, batch, batch_idx)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", slow)
    stages = [{"stride": 32, "steps": 2000}, {"stride": 16, "steps": 1000, "learning_rate": 1e-2}]
    changes = {"minutes": 0.03, "keep": "best", "stages": stages, "optimizer": {"learning_rate": 1e-2, "schedule": "poly"}}
    recipe = tiny(data={"val_count": 1}, train=changes)
    with pytest.raises(Interrupted, match=r"stopped after step \d+, [01] of 1 s of stage 32s"):
        train(recipe, tmp_path / "out", console=quiet)
    begin = time.monotonic()
    result = train(recipe, tmp_path / "out", resume=True, console=quiet)
    assert [stage["ended"] for stage in result.stages] == ["minutes", "minutes"]
    assert all(1 < stage["steps"] < 60 for stage in result.stages)
    assert 0.6 < result.stages[0]["seconds"] < 3
    assert time.monotonic() - begin > 0.6 + 0.5  # what was left of the first stage, and the second
    rows = MetricsFile(tmp_path / "out" / "metrics.csv", ("semantic",)).rows()
    for stage in result.stages:
        own = [row for row in rows if row["stage"] == stage["stage"]]
        rates = [row["learning_rate"] for row in own if "loss" in row]
        assert rates[0] == pytest.approx(1e-2)
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] < 0.3 * rates[0]
        assert 2 <= sum("semantic_mean_iu" in row for row in own) <= 11
        assert own[-1]["step"] == stage["steps"]
    # the second stage drew on where the first had ended, not where the recipe's steps would have
    assert "0.02 minutes with steps of 2 images, drawn from 8" in quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_a_clock_goes_on_from_an_older_versions_state() -> None:
    clock = StageClock(None, 10.0)
    clock.load_state_dict({"seconds": 4.0, "losses": []})
    assert (clock.fraction(100), clock.waiting, clock.over(7)) == (0.4, 0.0, False)
    clock.load_state_dict({"seconds": 4.0, "used": 12.0, "waiting": 1.0})
    assert clock.fraction(100) == 1
    assert clock.over(1)
