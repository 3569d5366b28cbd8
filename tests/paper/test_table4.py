"""Table 4 with a few steps: rows from the runs, where the late nets start, bad data."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from fullconv.nn.checkpoint import load_checkpoint
from fullconv.paper.experiment import Bench
from fullconv.paper.findings import Row
from fullconv.paper.suite import run_experiment
from fullconv.paper.table4 import CONTROL, FINER, LATE, _claims
from fullconv.spec.recipe import load_recipe

BUDGET = 0.012
"""Minutes: a handful of steps a stage."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("paper"), "", console=Console(quiet=True))
    run_experiment("T4", bench, BUDGET)
    return bench


def test_rows_are_what_the_runs_stored(bench: Bench) -> None:
    content = json.loads((bench.out / "T4/result.json").read_text())
    found = {row["item"]: row for row in content["rows"] if row["quantity"] == "mean IU"}
    assert list(found) == ["FCN-32s RGB", "FCN-32s RGBD", "FCN-32s HHA", CONTROL, LATE, FINER]
    assert found[LATE]["paper"] == 32.8
    runs = {
        "FCN-32s RGBD": ("scenes-fcn32s-minivgg-rgbd", 0),
        CONTROL: ("scenes-fcn32s-minivgg-rgb-on", 0),
        FINER: ("scenes-fcn16s-rgb-hha-minivgg", 1),
    }
    for item, (run, stage) in runs.items():
        stored = json.loads((bench.out / f"runs/{run}-seed0/result.json").read_text())
        assert found[item]["measured"] == [pytest.approx(100 * stored["stages"][stage]["heads"]["semantic"]["mean_iu"])]
    assert (bench.out / "T4/nets.png").stat().st_size > 5000


def test_nets_read_what_their_names_say(bench: Bench) -> None:
    runs = {"rgb": ("rgb",), "rgbd": ("rgb", "depth"), "hha": ("hha",), "rgb-on": ("rgb",)}
    for run, inputs in runs.items():
        model = load_checkpoint(bench.out / f"runs/scenes-fcn32s-minivgg-{run}-seed0/model.safetensors").model
        assert model.inputs == inputs
    recipe = load_recipe(bench.out / "runs/scenes-fcn16s-rgb-hha-minivgg-seed0/recipe.yaml")
    assert recipe.model.streams == ("rgb", "hha")
    assert recipe.model.weights == {
        name: f"{bench.out}/runs/scenes-fcn32s-minivgg-{name}-seed0/model.safetensors" for name in ("rgb", "hha")
    }


def test_verdicts() -> None:
    scores = {"FCN-32s RGB": 30, "FCN-32s RGBD": 29, "FCN-32s HHA": 25, CONTROL: 31, LATE: 32, FINER: 32}
    rows = [Row(item, "mean IU", (value - 0.5, value + 0.5), "", "") for item, value in scores.items()]
    assert [claim.holds for claim in _claims(rows)] == [True, True, True, False, True, False]
    assert _claims(rows)[2].evidence == "+1.0; spread 0.7, 2 seeds"


def test_data_without_depth(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "", data="voc2012", root=tmp_path, console=Console(quiet=True))
    row = run_experiment("T4", bench).rows[0]
    assert row.needs == "no recipe of this experiment is for 'voc2012'; accepted are scenes and nyudv2"
