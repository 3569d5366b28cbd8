"""Sweeps: what may be tried, one real sweep of three trials of two steps, and what a break leaves."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from fullconv.errors import SpecError, TrainingError
from fullconv.spec.recipe import load_recipe
from fullconv.training import sweep as sweep_module
from fullconv.training.interrupt import Interrupted
from fullconv.training.run import RunResult
from fullconv.training.runs import find_runs
from fullconv.training.sweep import sweep
from fullconv.training.sweep_report import write_sweep
from fullconv.training.sweep_space import Choice, Range, check_space, numbers_of, parse_tries, recipe_with
from fullconv.training.sweep_trials import SweepSpec, Trial, best_of
from made_runs import RECIPE

SMALL: dict[str, Any] = {
    "data": {"count": 2, "val_count": 2, "size": [32, 48], "augment": {}},
    "train": {"stages": [{"stride": 32, "steps": 2}], "batch_size": 2, "accelerator": "cpu", "loggers": []},
}
TRIES = ["train.optimizer.learning_rate=1e-4:1e-1", "model.dropout=null,0.5"]
QUIET = Console(quiet=True)


def spec(tries: list[str] | None = None, **changes: Any) -> SweepSpec:
    return SweepSpec(**{"recipe": RECIPE, "tries": parse_tries(tries or TRIES), "overrides": SMALL, "trials": 3} | changes)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("train.optimizer.learning_rate=1e-4:1e-2", Range("train.optimizer.learning_rate", 1e-4, 1e-2, True, False)),
        ("train.optimizer.momentum=0.5:0.9", Range("train.optimizer.momentum", 0.5, 0.9, False, False)),
        ("train.optimizer.momentum=0:0.9", Range("train.optimizer.momentum", 0, 0.9, False, False)),
        ("train.optimizer.learning_rate=1e-4:1e-2:linear", Range("train.optimizer.learning_rate", 1e-4, 1e-2, False, False)),
        ("model.dropout=0.1:0.5:log", Range("model.dropout", 0.1, 0.5, True, False)),
        ("train.batch_size=2:8", Range("train.batch_size", 2, 8, False, True)),
        ("train.stages.0.steps=10:100", Range("train.stages.0.steps", 10, 100, True, True)),
        ("train.head_weights.semantic=0.5:2", Range("train.head_weights.semantic", 0.5, 2, False, False)),
        ("--model.dropout=0.2,0.5", Choice("model.dropout", (0.2, 0.5))),
        ("train.optimizer.learning_rate=1e-3,0.01", Choice("train.optimizer.learning_rate", (1e-3, 0.01))),
        ("data.augment.crop=[16, 16],null", Choice("data.augment.crop", ([16, 16], None))),
        ("train.optimizer.name=sgd,adamw", Choice("train.optimizer.name", ("sgd", "adamw"))),
        ("train.optimizer.rate=1e-4:1e-2", Range("train.optimizer.learning_rate", 1e-4, 1e-2, True, False)),
    ],
)
def test_what_may_be_tried(text: str, found: object) -> None:
    assert parse_tries([text], say=lambda line: None) == [found]


def test_which_numbers_a_key_takes() -> None:
    kinds = {key: numbers_of(key) for key in ("train.seed", "data.scale", "data.augment.flip", "data.augment.scale.0", "x.y")}
    assert kinds == {
        "train.seed": {int},
        "data.scale": {float},
        "data.augment.flip": set(),
        "data.augment.scale.0": {float},
        "x.y": {int, float},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.dropout", "write KEY=LOW:HIGH or KEY=A,B,C"),
        ("model.dropout=", "write KEY=LOW:HIGH or KEY=A,B,C"),
        ("model.dropout=0.5:0.2", "a range goes from a lower number to a higher one"),
        ("model.dropout=0.1:0.2:0.3", "a range is LOW:HIGH, LOW:HIGH:log or LOW:HIGH:linear"),
        ("model.dropout=0:0.5:log", "a logarithmic range begins above 0; take model.dropout=0:0.5:linear"),
        ("train.batch_size=1.5:8", "train.batch_size takes whole numbers"),
        ("train.optimizer.name=1:2", "train.optimizer.name takes no range of numbers; give a list"),
        ("model.dropout=0.5", "give at least two values, each once, or a range"),
        ("model.dropout=0.5,0.5", "give at least two values, each once, or a range"),
        ("model.dropout=[0.5,0.2", "the values are not YAML"),
    ],
)
def test_what_may_not_be_tried(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=rf"--try .*{message}"):
        parse_tries([text])


def test_a_key_is_tried_once() -> None:
    with pytest.raises(SpecError, match=r"--try gives model.dropout twice"):
        parse_tries(["model.dropout=0.1:0.2", "model.dropout=0.1,0.3"])


@pytest.mark.parametrize(
    ("tries", "changes", "message"),
    [
        (["model.dropuot=0.1:0.5"], {}, r"no key is called model.dropuot; did you mean model.dropout\?"),
        (["model.dropout=0.1:1.5"], {}, "model.dropout: input should be less than 1; got 1.5"),
        (["train.optimizer.name=sgd,lion"], {}, "train.optimizer.name: input should be 'sgd' or 'adamw'; got 'lion'"),
        (
            ["train.optimizer.learning_rate=1e-4:1e-2"],
            {"overrides": {"train": {"stages": [{"stride": 32, "steps": 2, "learning_rate": 0.1}]}}},
            "changes nothing, as every stage has a learning rate of its own here; give train.stages.0.learning_rate",
        ),
        (TRIES, {"trials": None}, "a sweep has no end by itself; give --minutes, --trials or both"),
        (TRIES, {"prune": True}, "--prune compares trials .*; give --train.validate_every STEPS"),
        (TRIES, {"overrides": {**SMALL, "train": {**SMALL["train"], "devices": 2}}}, "every trial in one process; leave"),
    ],
)
def test_mistakes_are_told_before_anything_starts(tries: list[str], changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=message):
        sweep(spec(tries, **changes), tmp_path / "sweep", QUIET)
    assert not (tmp_path / "sweep").exists()


def test_nothing_to_try(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing to try; give --try KEY=LOW:HIGH"):
        sweep(SweepSpec(RECIPE, (), trials=1), tmp_path / "sweep", QUIET)


def test_both_ends_of_a_range_are_checked() -> None:
    check_space(RECIPE, SMALL, parse_tries(TRIES))


def test_a_key_within_a_list_changes_the_list_that_is_given() -> None:
    given = {"train": {"stages": [{"stride": 32, "steps": 7, "learning_rate": 0.1}, 16]}}
    stages = recipe_with(
        RECIPE, {**given, "model": {"name": "fcn16s-minivgg"}}, {"train.stages.1.learning_rate": 0.5}
    ).train.stages
    assert [stage.stride for stage in stages] == [32, 16]
    assert (stages[0].steps, stages[0].learning_rate, stages[1].learning_rate) == (7, 0.1, 0.5)
    with pytest.raises(SpecError, match=r"train.stages.2: train.stages has the entries 0 to 1"):
        recipe_with(RECIPE, given, {"train.stages.2.learning_rate": 0.5})


def test_a_sweep_of_three_trials(tmp_path: Path) -> None:
    out, asked = tmp_path / "sweep", spec()
    trials = sweep(asked, out, QUIET)
    assert [(trial.number, trial.status) for trial in trials] == [(0, "finished"), (1, "finished"), (2, "finished")]
    own = load_recipe(RECIPE, SMALL)
    assert trials[0].params == {
        "train.optimizer.learning_rate": own.train.optimizer.learning_rate,
        "model.dropout": own.model.dropout,
    }
    best = write_sweep(asked, trials, out)
    assert best is not None
    assert best.value == max(trial.value or 0 for trial in trials)
    runs = find_runs([out])
    assert [run.path.name for run in runs] == ["trial-000", "trial-001", "trial-002"]
    for run, trial in zip(runs, trials, strict=True):
        assert (run.status, run.score()) == ("finished", trial.value)
        assert run.recipe["train"]["stages"][0]["learning_rate"] == trial.params["train.optimizer.learning_rate"]
        assert run.recipe["model"]["dropout"] == trial.params["model.dropout"]
    ready = load_recipe(out / "best.yaml")
    assert ready.train.optimizer.learning_rate == best.params["train.optimizer.learning_rate"]
    assert ready.name == f"{own.name}-best"
    rows = list(csv.DictReader((out / "trials.csv").read_text(encoding="utf-8").splitlines()))
    assert [float(row["mean_iu"]) for row in rows] == [trial.value for trial in trials]
    with Image.open(out / "sweep.png") as picture:
        assert picture.width > picture.height
    again = sweep(asked, out, QUIET)  # nothing is left to do
    assert again == trials


def made_up(value: Any, seconds: float = 0.0, calls: list[dict[str, Any]] | None = None) -> Any:
    """A training that takes no time: its metric follows from the recipe."""

    def train(recipe: Any, out: Path, **rest: Any) -> RunResult:
        if calls is not None:
            calls.append({"out": out.name, "resume": rest["resume"], "rate": recipe.train.stages[0].learning_rate})
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.yaml").touch()
        (out / "metrics.csv").touch()
        time.sleep(seconds)
        found = value(recipe) if callable(value) else value
        if isinstance(found, BaseException):
            raise found
        return RunResult(out, [{"stage": "32s", "heads": {"semantic": {"mean_iu": found}}}], 0.0)

    return train


def score(recipe: Any) -> float:
    """Highest at a learning rate of 0.01."""
    return 1 / (1 + abs(recipe.train.stages[0].learning_rate - 0.01))


def params(trials: list[Trial]) -> list[dict[str, Any]]:
    return [trial.params for trial in trials]


def test_the_seed_says_which_trials_also_after_a_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "train", made_up(score))
    whole = sweep(spec(trials=12, seed=3), tmp_path / "whole", QUIET)  # ten are drawn at random, the others follow from them
    parts = sweep(spec(trials=4, seed=3), tmp_path / "parts", QUIET)
    assert params(parts) == params(whole)[:4]
    stop = Interrupted("stopped")
    monkeypatch.setattr(sweep_module, "train", made_up(stop))
    with pytest.raises(Interrupted, match="stopped in trial 4; the same command goes on with it"):
        sweep(spec(trials=12, seed=3), tmp_path / "parts", QUIET)
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(sweep_module, "train", made_up(score, calls=calls))
    parts = sweep(spec(trials=12, seed=3), tmp_path / "parts", QUIET)
    assert params(parts) == params(whole)
    assert [(call["out"], call["resume"]) for call in calls[:2]] == [("trial-004", True), ("trial-005", False)]
    other = sweep(spec(trials=4, seed=4), tmp_path / "other", QUIET)
    assert params(other)[0] == params(whole)[0]  # the recipe as it is
    assert params(other)[1:] != params(whole)[1:4]
    with pytest.raises(SpecError, match=r"holds a sweep with seed 3, not 4; choose another --out"):
        sweep(spec(seed=4), tmp_path / "whole", QUIET)
    with pytest.raises(SpecError, match=r"holds a sweep with data.count 2, not 3; choose another --out"):
        sweep(spec(seed=3, overrides={**SMALL, "data": {**SMALL["data"], "count": 3}}), tmp_path / "whole", QUIET)


def test_lists_alone_are_tried_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "train", made_up(0.5))
    lists = ["model.dropout=0.1,0.2,null", "train.optimizer.name=sgd,adamw"]
    trials = sweep(spec(lists, trials=50), tmp_path / "sweep", QUIET)
    assert len(trials) == 6
    assert len({json.dumps(each) for each in params(trials)}) == 6
    assert best_of(trials) is trials[0]


def test_half_a_line_of_a_killed_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "train", made_up(score))
    first = sweep(spec(trials=2), tmp_path / "sweep", QUIET)
    with (tmp_path / "sweep" / "journal.log").open("a") as journal:
        journal.write('{"op_code": 4, "wor')
    (tmp_path / "sweep" / "journal.log.lock").symlink_to("journal.log")
    assert params(sweep(spec(trials=3), tmp_path / "sweep", QUIET))[:2] == params(first)


def test_a_trial_that_fails_does_not_end_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def value(recipe: Any) -> Any:
        rate = recipe.train.stages[0].learning_rate
        return TrainingError("the loss is nan at step 1\nmore") if rate > 0.01 else rate

    monkeypatch.setattr(sweep_module, "train", made_up(value))
    trials = sweep(spec(trials=8), tmp_path / "sweep", QUIET)
    failed = [trial for trial in trials if trial.status == "failed"]
    assert {trial.reason for trial in failed} == {"the loss is nan at step 1"}
    assert {trial.params["train.optimizer.learning_rate"] > 0.01 for trial in failed} == {True}
    assert {trial.status for trial in trials if trial not in failed} == {"finished"}


def test_the_minutes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "train", made_up(score, seconds=0.2))
    begun = time.monotonic()
    trials = sweep(spec(trials=None, minutes=1 / 60), tmp_path / "sweep", QUIET)
    assert 1 <= len(trials) <= 5
    assert time.monotonic() - begun < 10
    assert sweep(spec(trials=None, minutes=1 / 60), tmp_path / "sweep", QUIET) == trials  # they are used up


def test_a_trial_that_runs_when_the_minutes_end_is_stopped_and_goes_on(tmp_path: Path) -> None:
    long = {**SMALL, "train": {**SMALL["train"], "stages": [{"stride": 32, "steps": 100_000}]}}
    trials = sweep(spec(overrides=long, trials=None, minutes=0.02), tmp_path / "sweep", QUIET)
    assert [(trial.status, trial.value) for trial in trials] == [("stopped", None)]
    assert (tmp_path / "sweep" / "trial-000" / "stage-32s" / "resume.ckpt").exists()
    assert write_sweep(spec(), trials, tmp_path / "sweep") is None


def test_hopeless_trials_are_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(recipe: Any, out: Path, **rest: Any) -> RunResult:
        found = score(recipe)
        for step in (1, 2):
            rest["loggers"][0].log_metrics({"semantic_mean_iu": found}, step)
        return RunResult(out, [{"stage": "32s", "heads": {"semantic": {"mean_iu": found}}}], 0.0)

    monkeypatch.setattr(sweep_module, "train", train)
    changes = {**SMALL, "train": {**SMALL["train"], "validate_every": 1}}
    trials = sweep(spec(overrides=changes, trials=12, prune=True), tmp_path / "sweep", QUIET)
    kept = [trial.value for trial in trials if trial.value is not None]
    assert {trial.status for trial in trials} == {"finished", "pruned"}
    assert len(kept) >= 4
