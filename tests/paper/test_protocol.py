"""The protocol of every experiment: what each net starts from, learns from, is measured on, and how it is trained.

Nothing is trained here. The table states every value of every recipe that is not the default of a recipe, so whatever an
experiment changes in what it trains, in a shipped recipe or on the way, fails here.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protocol import ROOT, TABLE, Row

from fullconv.data import open_dataset
from fullconv.data.scenes.scenes import Scenes
from fullconv.paper import bound, outlines, pretrained, table3
from fullconv.paper.experiment import Context, Training, read_by_many
from fullconv.paper.plots import spread_out
from fullconv.paper.suite import EXPERIMENTS
from fullconv.spec import Recipe


def context(name: str, data: str, backbone: str | None = None) -> Context:
    return Context(Path("out"), name, data, None if data == "scenes" else ROOT, backbone)


def flat(value: Any, place: str = "") -> Row:
    if not isinstance(value, dict):
        return {place: value}
    return {key: each for name, inner in value.items() for key, each in flat(inner, f"{place}.{name}" if place else name).items()}


DERIVED = ("name", "train.steps", "train.optimizer.learning_rate", "train.stages", "model.skip_scales", "data.labels")
"""Names; what the stages say already; mappings that are empty in all of these."""


def told(training: Training) -> Row:
    """Every value of a recipe by its dotted key, the stages short."""
    recipe = training.recipe
    assert not recipe.model.skip_scales
    found = {key: value for key, value in flat(recipe.model_dump()).items() if key not in DERIVED}
    if isinstance(recipe.model.weights, dict):
        found["model.weights"] = "runs"
    return found | {"stages": tuple((stage.stride, stage.steps, stage.learning_rate) for stage in recipe.train.stages)}


DEFAULTS = told(
    Training(
        "",
        Recipe.model_validate(
            {"model": {"name": "fcn32s-x"}, "data": {"name": "scenes"}, "train": {"stages": [32]}, "name": "x"}
        ),
    )
)


@pytest.mark.parametrize(("name", "data", "backbone"), TABLE)
def test_every_net_is_trained_as_the_table_says(name: str, data: str, backbone: str | None) -> None:
    planned, expected = EXPERIMENTS[name].plan(context(name, data, backbone), 0), TABLE[name, data, backbone]
    assert list(planned) == list(expected)
    for item, (run, row) in expected.items():
        found = told(planned[item])
        assert planned[item].run == run
        stages = row["stages"]
        assert [stage[:2] for stage in found["stages"]] == [stage[:2] for stage in stages], item
        assert [stage[2] for stage in found.pop("stages")] == pytest.approx([stage[2] for stage in stages]), item
        wanted = {key: value for key, value in {**DEFAULTS, **row}.items() if key != "stages"}
        wanted = {
            key: value
            for key, value in wanted.items()
            if key != "train.head_weights.semantic" or "semantic" in found["data.heads"]
        }
        assert found == wanted, item


def test_the_table_has_every_experiment() -> None:
    assert {name for name, *_ in TABLE} == set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_seeds_differ_in_their_seed_alone_and_budgets_in_their_steps(name: str) -> None:
    whole = EXPERIMENTS[name].plan(context(name, "scenes"), 0)
    for item, training in EXPERIMENTS[name].plan(context(name, "scenes"), 2).items():
        assert training.recipe.train.seed == 2
        same = training.recipe.train.model_copy(update={"seed": 0})
        assert training.recipe.model_copy(update={"train": same}) == whole[item].recipe
        assert training.run == whole[item].run
    for item, training in EXPERIMENTS[name].plan(context(name, "scenes").named(name, 0.1), 0).items():
        short, long = training.recipe.train.stages, whole[item].recipe.train.stages
        assert [stage.steps for stage in short] == [round(stage.steps / 10) for stage in long]
        assert [stage.learning_rate for stage in short] == [stage.learning_rate for stage in long]


@pytest.mark.parametrize(("data", "backbone"), [(data, backbone) for name, data, backbone in TABLE if name == "T2"])
def test_what_table_2_compares_has_equal_steps_and_learning_rates(data: str, backbone: str | None) -> None:
    """32s-fixed differs from the 32s stage in what is trained alone; at once from the stages in their division alone."""
    plan = {item: training.recipe for item, training in EXPERIMENTS["T2"].plan(context("T2", data, backbone), 0).items()}
    fixed, staged, once = (plan[item].train for item in ("FCN-32s-fixed", "staged", "FCN-8s at once"))
    to_8s = [stage for stage in staged.stages if stage.stride >= 8]
    assert [stage.stride for stage in to_8s] == [32, 16, 8]
    assert fixed.stages == staged.stages[:1]
    assert [stage.stride for stage in once.stages] == [8]
    assert once.stages[0].steps == sum(stage.steps or 0 for stage in to_8s)
    assert {stage.learning_rate for stage in (*staged.stages, *once.stages)} == {once.stages[0].learning_rate}
    for other in (fixed, once):
        same = {"stages": staged.stages, "trainable": "all", "steps": staged.steps}
        assert other.model_copy(update=same) == staged
    assert plan["FCN-32s-fixed"].data == plan["staged"].data == plan["FCN-8s at once"].data


@pytest.mark.parametrize("data", ["scenes", "voc2012"])
def test_the_nets_of_table_1_see_equal_images(data: str) -> None:
    plan = EXPERIMENTS["T1"].plan(context("T1", data), 0)
    seen = [
        [(stage.steps, recipe.train.images_per_step) for stage in recipe.train.stages]
        for recipe in (t.recipe for t in plan.values())
    ]
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(("data", "backbone"), [(data, backbone) for name, data, backbone in TABLE if name == "T4"])
def test_the_nets_of_table_4_at_stride_32_have_equal_steps_and_learning_rates(data: str, backbone: str | None) -> None:
    plan = EXPERIMENTS["T4"].plan(context("T4", data, backbone), 0)
    assert len({training.recipe.train.stages[0] for training in plan.values()}) == 1
    assert {training.recipe.model.padding for training in plan.values()} == {None}  # the backbones' own, 'same'


def test_a_step_of_figure_5_has_the_patches_of_four_images_whatever_the_share() -> None:
    for data in ("scenes", "voc2012"):
        recipes = [training.recipe.train for training in EXPERIMENTS["F5"].plan(context("F5", data), 0).values()]
        assert [recipe.images_per_step for recipe in recipes] == [4, 8, 16]
        assert [recipe.images_per_step * recipe.loss_sampling for recipe in recipes] == [4, 4, 4]


def test_no_two_trainings_of_a_name_differ() -> None:
    """Runs are shared between experiments by their names."""
    for data in ("scenes", "voc2012", "nyudv2", "siftflow"):
        known: dict[str, Recipe] = {}
        for name, backbone in ((name, backbone) for name, of, backbone in TABLE if of == data):
            for training in EXPERIMENTS[name].plan(context(name, data, backbone), 0).values():
                assert known.setdefault(training.run, training.recipe) == training.recipe


def test_a_larger_machine_reads_stored_images_by_more_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = (EXPERIMENTS["T2"].plan(context("T2", data), 0) for data in ("scenes", "voc2012"))
    scenes, stored = (plan["staged"].recipe.data for plan in plans)
    for cores, workers in ((1, 1), (2, 1), (8, 7), (64, 12)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert read_by_many(stored) == stored.model_copy(update={"workers": workers})
        assert read_by_many(scenes) == scenes


def test_what_goes_on_from_a_run_comes_after_it() -> None:
    for name, data, backbone in TABLE:
        before: list[str] = []
        for training in EXPERIMENTS[name].plan(context(name, data, backbone), 0).values():
            weights = training.recipe.model.weights
            if isinstance(weights, dict):
                assert set(weights.values()) <= set(before)
            before.append(training.run)


def test_region_methods_learn_from_training_images_and_are_measured_on_others() -> None:
    """The places are those of the paper's split, evenly spread; the images are those of the named split, pixel by pixel."""
    small = context("T3", "scenes").named("T3", 0.04)
    recipe = table3.plan(small, 0)["staged"].recipe
    chosen = table3.images(small, recipe.data)
    assert (len(chosen.training), len(chosen.measured)) == (40, 2)
    for part, split, count in ((chosen.training, "train", 1000), (chosen.measured, "val", 100)):
        whole = Scenes(split, count, (96, 128))
        for index, place in list(enumerate(part.places))[:2]:
            np.testing.assert_array_equal(part[index].picture, whole[place].picture)
    assert chosen.training.places == spread_out(chosen.training.dataset, 40)
    assert chosen.measured.places == [33, 66]
    whole = table3.images(context("T3", "scenes"), recipe.data)
    assert list(whole.training.places) == list(range(1000))  # all that FCN-8s learns from
    assert len(whole.measured) == 50


def test_numbers_of_images_of_region_methods() -> None:
    assert table3.settings_of(context("T3", "scenes")) == table3.Settings(64, 200, 50)
    assert table3.settings_of(context("T3", "voc2012")) == table3.Settings(160, 200, 100)


def test_a_crf_is_tuned_on_other_images_of_the_validation_split() -> None:
    recipe = outlines.plan(context("outlines", "scenes"), 0)["staged"].recipe
    tuning, measured = outlines.divide(open_dataset(recipe.data, recipe.data.val))
    assert tuning.places == range(0, 100, 10)
    assert len(measured.places) == 80
    assert not set(tuning.places) & set(measured.places)
    for part in (tuning, measured):
        np.testing.assert_array_equal(part[1].picture, Scenes("val", 100, (96, 128))[part.places[1]].picture)


def test_the_bound_is_that_of_the_images_that_nets_are_measured_on() -> None:
    found = bound.measured(context("bound", "scenes"))
    np.testing.assert_array_equal(found[7].targets["semantic"], Scenes("val", 100, (96, 128))[7].targets["semantic"])
    assert len(found) == 100


def test_the_classifier_is_trained_on_training_crops_and_judged_on_others() -> None:
    assert pretrained.CROPS == {"train": 1400, "val": 210}
    assert (pretrained.STEPS, pretrained.BATCH) == (300, 32)
