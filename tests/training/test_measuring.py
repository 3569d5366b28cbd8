"""When a stage is measured, by what, and which of its models is kept."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.errors import SpecError
from fullconv.evaluation import METRICS, Report
from fullconv.labels import LabelSet
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.spec import Recipe
from fullconv.training import run as run_module
from fullconv.training.interrupt import Interrupted
from fullconv.training.log import MetricsFile
from fullconv.training.measuring import BestModel, chosen_metric, interval
from fullconv.training.module import TrainingModule
from fullconv.training.run import RunResult, train

LABELS = {"semantic": LabelSet(("sky", "road", "a.b"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))}
ONE = torch.nn.Linear(1, 1)
Tiny = Callable[..., Recipe]


def reports(matrix: list[list[int]]) -> dict[str, Report]:
    counted = ConfusionMatrix(3)
    counted.matrix = np.array(matrix, dtype=np.int64)
    return {"semantic": Report("made up", LABELS["semantic"], counted, 1)}


@pytest.mark.parametrize(
    ("step_pixels", "validation_pixels", "every"),
    [(100, 1, 100), (100, 5_000, 100), (100, 10_000, 200), (100, 49_000, 1000), (100, 10**9, 1000), (10**9, 1, 100)],
)
def test_measurements_stay_below_half_of_the_training_and_at_ten(step_pixels: int, validation_pixels: int, every: int) -> None:
    assert interval(1000, step_pixels, validation_pixels) == every


@pytest.mark.parametrize(
    ("text", "value"),  # by hand, of rows of truth (3, 0, 1), (1, 4, 1) and none of the third class, which is guessed twice
    [
        ("mean_iu", (3 / 5 + 4 / 6) / 2),
        ("iu.road", 4 / 6),
        ("semantic.iu.sky", 3 / 5),
        ("iu.a.b", math.nan),
        ("pixel_accuracy", 7 / 10),
        ("semantic.mean_accuracy", (3 / 4 + 4 / 6) / 2),
    ],
)
def test_metrics_by_their_names(text: str, value: float) -> None:
    found = chosen_metric(text, ("semantic",), LABELS).value(reports([[3, 0, 1], [1, 4, 1], [0, 0, 0]]))
    assert found == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean_iou", r"no metric is called 'mean_iou'; accepted are pixel_accuracy, .* and iu.CLASS, such as iu.a.b"),
        ("iu.raod", r"semantic has no class 'raod'; nearest: road"),
        ("other.mean_iu", "no metric is called 'other.mean_iu'"),
    ],
)
def test_a_metric_that_there_is_not(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        chosen_metric(text, ("semantic",), LABELS)


def test_the_first_of_equals_is_best_and_patience_counts_what_is_no_better() -> None:
    said: list[str] = []
    best = BestModel(chosen_metric("iu.road", ("semantic",), LABELS), keep=True, patience=2, say=said.append)
    unmeasured = reports([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    half, better = reports([[1, 0, 0], [1, 1, 0], [0, 0, 0]]), reports([[1, 0, 0], [1, 2, 0], [0, 0, 0]])
    seen = []
    for step, found in enumerate([unmeasured, unmeasured, half, half, better, unmeasured, half, half], 1):
        best.take(step, ONE, found)
        seen.append((best.step, best.without, best.exhausted))
    assert [step for step, *_ in seen] == [1, 2, 3, 3, 5, 5, 5, 5]  # the last, as long as nothing can be measured
    assert [without for _, without, _ in seen] == [0, 0, 0, 1, 0, 0, 1, 2]
    assert [exhausted for *_, exhausted in seen] == [False] * 7 + [True]
    assert len(said) == 1
    assert "train.metric iu.road has no number, as the validation split has no pixels" in said[0]
    assert best.reports(half)["semantic"].matrix.matrix.tolist() == better["semantic"].matrix.matrix.tolist()


@pytest.fixture(scope="module")
def best(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunResult, dict[int, dict[str, torch.Tensor]]]:
    """A run whose learning rate ruins what it learned, and its weights after every step of the last stage."""
    weights: dict[int, dict[str, torch.Tensor]] = {}
    start = TrainingModule.on_train_batch_start

    def spying(self: TrainingModule, batch: object, batch_idx: int) -> None:
        if self.first_step:
            weights[self.trainer.global_step] = {name: value.clone() for name, value in self.model.state_dict().items()}
        start(self, batch, batch_idx)  # type: ignore[arg-type]

    recipe = tiny(
        data={"augment": {}},
        train={
            "keep": "best",
            "metric": "pixel_accuracy",
            "validate_every": 2,
            "stages": [{"stride": 32, "steps": 2}, {"stride": 16, "steps": 8, "learning_rate": 0.3}],
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_start", spying)
        result = train(recipe, tmp_path_factory.mktemp("best") / "out", console=Console(quiet=True))
    return recipe, result, weights


def measured(out: Path, stage: str, metric: str = "semantic_pixel_accuracy") -> dict[int, float]:
    rows = MetricsFile(out / "metrics.csv", ("semantic",)).rows()
    return {row["step"]: row[metric] for row in rows if row["stage"] == stage and metric in row}


def test_the_best_model_is_kept_beside_the_last(best: tuple[Recipe, RunResult, dict[int, dict[str, torch.Tensor]]]) -> None:
    _, result, weights = best
    found = measured(result.out, "16s")
    assert list(found) == [2, 4, 6, 8]
    step = max(found, key=lambda each: found[each])
    assert step < 8  # else this run shows nothing
    assert result.kept == {
        "keep": "best",
        "metric": "pixel_accuracy",
        "step": step,
        "value": pytest.approx(found[step]),
        "last": pytest.approx(found[8]),
    }
    assert result.score("pixel_accuracy") == pytest.approx(found[step])
    assert json.loads((result.out / "result.json").read_text())["stages"][1]["kept"] == result.kept
    for folder in (result.out, result.out / "stage-16s"):
        kept = load_checkpoint(folder / "model.safetensors")
        state = kept.model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in weights[step].items())
        assert kept.history[1]["kept"]["step"] == step
        last = load_checkpoint(folder / "last.safetensors")
        assert not all(torch.equal(last.model.state_dict()[name], value) for name, value in weights[step].items())
        assert last.history[1]["heads"]["semantic"]["pixel_accuracy"] == pytest.approx(found[8])


def test_a_resumed_run_keeps_the_same_model(
    best: tuple[Recipe, RunResult, object], tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, result, _ = best
    start = TrainingModule.on_train_batch_start

    def stopping(self: TrainingModule, batch: object, batch_idx: int) -> None:
        if self.first_step + self.trainer.global_step == 7:  # after the best
            signal.raise_signal(signal.SIGINT)
        start(self, batch, batch_idx)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_start", stopping)
        with pytest.raises(Interrupted):
            train(recipe, tmp_path / "out", console=quiet)
    again = train(recipe, tmp_path / "out", resume=True, console=quiet)
    assert again.kept == result.kept
    for name in ("model", "last"):
        ours, theirs = (load_file(out / f"{name}.safetensors") for out in (result.out, again.out))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_without_patience_a_stage_ends_and_the_next_begins(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    """A learning rate of almost nothing: no measurement is better than the first."""
    train_keys = {"keep": "best", "patience": 2, "validate_every": 1, "optimizer": {"learning_rate": 1e-30}}
    stages = [{"stride": 32, "steps": 6}, {"stride": 16, "steps": 5, "learning_rate": 1e-30}]
    frozen = {"freeze_batch_norm": True}
    result = train(tiny(train={**train_keys, **frozen, "stages": stages}), tmp_path / "out", console=quiet)
    assert [(stage["steps"], stage["ended"], stage["kept"]["step"]) for stage in result.stages] == [(3, "patience", 1)] * 2
    assert list(measured(tmp_path / "out", "16s")) == [1, 2, 3]  # the last was measured once


def test_a_stage_that_ended_early_and_was_stopped_then_trains_no_further(
    tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(
        train={
            "stages": [{"stride": 16, "steps": 6}],
            "patience": 1,
            "validate_every": 1,
            "optimizer": {"learning_rate": 1e-30},
            "freeze_batch_norm": True,
        }
    )

    def killed(*_: object) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_save_stage", killed)
        with pytest.raises(SystemExit):
            train(recipe, tmp_path / "out", console=quiet)
    result = train(recipe, tmp_path / "out", resume=True, console=quiet)
    assert [(stage["steps"], stage["ended"], stage["kept"]["keep"]) for stage in result.stages] == [(2, "patience", "last")]


def test_a_metric_that_there_is_not_stops_before_anything_is_written(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    with pytest.raises(SpecError, match=r"train\.metric: no metric is called 'miou'"):
        train(tiny(train={"metric": "miou"}), tmp_path / "out", console=quiet)
    assert not (tmp_path / "out").exists()
    assert set(METRICS) > {"mean_iu"}


def test_the_iou_of_a_class_that_chooses_stands_in_the_log(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    keys = {"keep": "best", "metric": "iu.wall", "validate_every": 1, "stages": [{"stride": 16, "steps": 2}]}
    result = train(tiny(train=keys), tmp_path / "out", console=quiet)
    found = measured(tmp_path / "out", "16s", "semantic_iu.wall")
    assert list(found) == [1, 2]
    assert found[result.kept["step"]] == pytest.approx(result.kept["value"])
    assert max(found.values()) == pytest.approx(result.kept["value"])
