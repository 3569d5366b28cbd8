"""Table 4 with a few steps: rows from the runs, where the late nets start, bad data."""

import json
from pathlib import Path

import pytest
from in_small import BUDGET, assert_trained_as_planned
from made_scores import net
from rich.console import Console

from fullconv.nn.checkpoint import load_checkpoint
from fullconv.paper.experiment import Context
from fullconv.paper.suite import run_experiment
from fullconv.paper.table4 import CONTROL, FINER, LATE, _claims


@pytest.fixture(scope="module")
def context(small: Context) -> Context:
    run_experiment("T4", small, BUDGET)
    return small


def test_the_runs_are_those_of_the_plan(context: Context) -> None:
    assert_trained_as_planned(context, "T4")


def test_rows_are_what_the_runs_stored(context: Context) -> None:
    content = json.loads((context.out / "T4/result.json").read_text())
    found = {row["item"]: row for row in content["rows"] if row["quantity"] == "mean IU"}
    assert list(found) == ["FCN-32s RGB", "FCN-32s RGBD", "FCN-32s HHA", CONTROL, LATE, FINER]
    assert found[LATE]["paper"] == 32.8
    runs = {
        "FCN-32s RGBD": ("scenes-fcn32s-minivgg-rgbd", 0),
        CONTROL: ("scenes-fcn32s-minivgg-rgb-on", 0),
        FINER: ("scenes-fcn16s-rgb-hha-minivgg", 1),
    }
    for item, (run, stage) in runs.items():
        stored = json.loads((context.out / f"runs/{run}-seed0/result.json").read_text())
        assert found[item]["measured"] == [pytest.approx(100 * stored["stages"][stage]["heads"]["semantic"]["mean_iu"])]
    assert (context.out / "T4/nets.png").stat().st_size > 5000


def test_nets_read_what_their_names_say(context: Context) -> None:
    runs = {"rgb": ("rgb",), "rgbd": ("rgb", "depth"), "hha": ("hha",), "rgb-on": ("rgb",)}
    for run, inputs in runs.items():
        model = load_checkpoint(context.out / f"runs/scenes-fcn32s-minivgg-{run}-seed0/model.safetensors").model
        assert model.inputs == inputs


def test_verdicts() -> None:
    scores = {"FCN-32s RGB": 30, "FCN-32s RGBD": 29, "FCN-32s HHA": 25, CONTROL: 31, LATE: 32, FINER: 32}
    made = {item: net(value - 0.5, value + 0.5) for item, value in scores.items()}
    assert [claim.holds for claim in _claims(made)] == [True, True, True, False, True, False]
    assert _claims(made)[2].evidence == "+1.0 (+1.0 to +1.0; 2 seeds, 20 images)"
    made[LATE] = net(29, 35)
    assert [claim.holds for claim in _claims(made)] == [None, True, None, False, True, None]


def test_data_without_depth(tmp_path: Path) -> None:
    context = Context(tmp_path, "", data="voc2012", root=tmp_path, console=Console(quiet=True))
    row = run_experiment("T4", context).rows[0]
    assert row.needs == "no recipe of this experiment is for 'voc2012'; accepted are scenes and nyudv2"
