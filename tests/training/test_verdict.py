"""What is said to limit a run, on records that are made up."""

from dataclasses import replace
from typing import Any

import pytest

from fullconv.training.verdict import Facts, verdict


def stage(steps: int = 100, kept: int = 100, ended: str = "steps", keep: str = "best") -> dict[str, Any]:
    return {"steps": steps, "ended": ended, "kept": {"keep": keep, "metric": "mean_iu", "step": kept}}


FLAT = [(10 * n, 0.7) for n in range(1, 11)]
FINE = Facts(
    train=0.75, validation=0.7, bound=0.95, curve=FLAT, stage=stage(), iu={"a": 0.7, "b": 0.7}, pixels={"a": 60, "b": 40}
)


def told(**changes: Any) -> dict[str, tuple[str, str]]:
    return {limit.kind: (limit.what, limit.advice) for limit in verdict(replace(FINE, **changes))}


def test_a_run_that_nothing_limits() -> None:
    assert list(told()) == ["nothing"]


def test_over_fitting_is_a_gap() -> None:
    found = told(train=0.9, validation=0.5)
    assert list(found) == ["over-fitting"]
    assert found["over-fitting"][0] == "mean IU 90.0 % on training images and 50.0 % on validation images"
    assert "data.augment" in found["over-fitting"][1]


def test_under_fitting_is_both_low() -> None:
    found = told(train=0.3, validation=0.28)
    assert list(found) == ["under-fitting"]
    assert "train.optimizer.learning_rate" in found["under-fitting"][1]
    assert list(told(train=0.3, validation=0.28, bound=0.4)) == ["nothing"]  # more is out of the stride's reach


@pytest.mark.parametrize(
    ("ended", "advice"), [("steps", r"twice the steps (200 in this stage)"), ("minutes", "twice train.minutes")]
)
def test_a_curve_that_still_rises(ended: str, advice: str) -> None:
    rising = [(10 * n, 0.4 + 0.03 * n) for n in range(1, 11)]
    found = told(curve=rising, stage=stage(ended=ended))
    assert found == {"length": ("mean_iu still rose by 9.0 points at the end of 100 steps", advice)}


def test_a_best_model_of_long_ago() -> None:
    falls = [(10 * n, 0.7 - 0.01 * abs(n - 4)) for n in range(1, 11)]
    found = told(curve=falls, stage=stage(kept=40, ended="patience"))
    assert found["length"][0] == "the best model is that of step 40 of 100, none after it was better"
    assert list(told(curve=falls, stage=stage(kept=60))) == ["nothing"]
    assert list(told(curve=falls, stage=stage(kept=40, keep="last"))) == ["nothing"]


def test_a_tie_is_a_plateau() -> None:
    assert list(told(curve=[(step, 0.7) for step in range(1, 11)], stage=stage(steps=10, kept=1))) == ["nothing"]
    back = [(10, 0.4), (20, 0.7), (30, 0.6), (40, 0.7)]
    assert list(told(curve=back, stage=stage(steps=40, kept=20))) == ["nothing"]
    fell = [(10, 0.4), (20, 0.7), (30, 0.6), (40, 0.5)]
    assert list(told(curve=fell, stage=stage(steps=40, kept=20))) == ["length"]


def test_a_net_without_errors_needs_no_finer_net() -> None:
    assert list(told(train=1.0, validation=1.0, bound=1.0, stride=8, iu={"a": 1.0}, pixels={"a": 100})) == ["nothing"]
    assert list(told(train=0.99, validation=0.99, bound=1.0, stride=8)) == ["stride"]


def test_a_net_that_predicts_one_class_only() -> None:
    """It is told first, and neither the stride nor its other classes are blamed beside it."""
    found = told(
        train=0.49,
        validation=0.45,
        bound=0.5,
        stride=32,
        iu={"background": 0.9, "car": 0.0, "bike": None},
        pixels={"background": 900, "car": 100, "bike": 0},
    )
    assert list(found) == ["one class"]
    assert found["one class"][0] == "the net predicts nothing but background on validation images"
    assert found["one class"][1].startswith("train.class_weights: balanced")
    several = told(iu={"a": 0.8, "b": 0.0}, pixels={"a": 900, "b": 100})  # less than its share: others were predicted too
    assert list(several) == ["classes"]
    assert list(told(iu={"a": 1.0}, pixels={"a": 9})) == ["nothing"]


def test_classes_that_are_never_found() -> None:
    found = told(iu={"a": 0.9, "pole": 0.0, "absent": None}, pixels={"a": 9000, "pole": 1234, "absent": 0})
    assert found["classes"][0] == "never found: pole (1,234 of 10,234 pixels of ground truth)"
    assert found["classes"][1].startswith("train.class_weights: balanced")
    assert not told(iu={"pole": 0.0}, pixels={"pole": 7}, balanced=True)["classes"][1].startswith("train.class_weights")


def test_a_net_near_what_its_stride_allows() -> None:
    found = told(bound=0.8, stride=32)
    assert found["stride"][0] == "labels at stride 32 reach a mean IU of 80.0 %, and the net is at 70.0 %"
    assert "fcn16s" in found["stride"][1]
    assert list(told(bound=0.8, stride=4)) == ["nothing"]
    assert list(told(bound=0.9, stride=32)) == ["nothing"]


def test_steps_that_wait_for_images() -> None:
    assert told(waiting=0.5, workers=0, cores=8)["images"] == (
        "steps waited for images 50 % of their time",
        "data.workers: 7, which changes no result",
    )
    assert told(waiting=0.5, workers=0, cores=1)["images"][1].startswith("data.workers: 1")
    assert "stored at the size" in told(waiting=0.5, workers=7, cores=8)["images"][1]
    assert list(told(waiting=0.1)) == ["nothing"]


def test_what_was_not_measured_is_not_judged() -> None:
    assert list(told(train=None, validation=None, bound=None, curve=[])) == ["nothing"]


def test_a_net_that_has_not_learned_is_not_told_to_train_less() -> None:
    found = told(train=0.2, validation=0.18, stage=stage(kept=10))
    assert list(found) == ["under-fitting"]
    assert found["under-fitting"][1].startswith("a higher train.optimizer.learning_rate")


@pytest.mark.parametrize(
    ("steps", "curve", "had"),
    [(4, [(n, 0.4 - 0.05 * n) for n in range(1, 5)], "4 and 4 measurements"), (400, [(400, 0.2)], "400 and 1 measurement")],
)
def test_what_was_trained_for_a_moment_needs_more_steps(steps: int, curve: list[tuple[int, float]], had: str) -> None:
    short = stage(steps, kept=1)
    found = told(train=0.2, validation=0.18, curve=curve, stage=short)
    assert {kind: advice for kind, (_, advice) in found.items()} == {
        "under-fitting": f"more steps before anything else (this stage had {had})"
    }
    found = told(curve=curve, stage=short)
    assert [advice for _, advice in found.values()] == (
        [f"more steps (this stage had {had})"]
        if len(curve) > 1
        else ["more training images, or a larger backbone (`fullconv models`)"]
    )
