"""Old keys of recipes: they go on working, a line says the new name, and a contradiction is refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fullconv.errors import SpecError
from fullconv.spec.recipe import load_recipe, parse_overrides, read_recipe
from fullconv.spec.renamed import RENAMED, with_new_keys

OLD = """
model: {name: fcn16s-minivgg}
train:
  stages: [32, {stride: 16, steps: 5, rate: 0.25}]
  loss: sum
  optimizer: {rate: 0.5, bias_rate_factor: 3, score_rate_factor: 4}
"""
NEW = {
    "name": "old",
    "model": {"name": "fcn16s-minivgg"},
    "train": {
        "stages": [32, {"stride": 16, "steps": 5, "learning_rate": 0.25}],
        "reduction": "sum",
        "optimizer": {"learning_rate": 0.5, "bias_learning_rate_factor": 3, "score_learning_rate_factor": 4},
    },
}
LINES = {
    "train.loss is now called train.reduction",
    "train.stages.1.rate is now called train.stages.1.learning_rate",
    "train.optimizer.rate is now called train.optimizer.learning_rate",
    "train.optimizer.bias_rate_factor is now called train.optimizer.bias_learning_rate_factor",
    "train.optimizer.score_rate_factor is now called train.optimizer.score_learning_rate_factor",
}


def test_an_old_recipe_is_the_new_one_and_a_line_a_key_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(OLD)
    assert load_recipe(path) == read_recipe(NEW, "new")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sorted(printed.err.splitlines()) == sorted(f"{path}: {line}" for line in LINES)
    assert len(LINES) <= len(RENAMED)


def test_old_overrides_win_over_a_new_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = ["--train.loss", "sum", "--train.stages.1.rate", "0.125", "--train.optimizer.rate=0.75"]
    recipe = load_recipe("scenes-fcn8s-minivgg", parse_overrides(tokens))
    assert (recipe.train.reduction, recipe.train.optimizer.learning_rate) == ("sum", 0.75)
    assert recipe.train.stages[1].learning_rate == 0.125
    said = capsys.readouterr().err
    assert "changes to scenes-fcn8s-minivgg: train.stages.1.rate is now called train.stages.1.learning_rate" in said


def test_new_overrides_win_over_an_old_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    changed = load_recipe(tmp_path / "old.yaml", parse_overrides(["--train.reduction", "mean"]))
    assert changed.train.reduction == "mean"
    assert len(capsys.readouterr().err.splitlines()) == len(LINES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"train": {"loss": "sum", "reduction": "sum"}},
            r"^r: train.loss is now called reduction, and both are given; leave loss",
        ),
        (
            {"train": {"stages": {"0": {"rate": 1, "learning_rate": 2}}}},
            r"^r: train.stages.0.rate is now called learning_rate, and",
        ),
    ],
)
def test_both_names_at_once_are_refused(content: Mapping[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        with_new_keys(content, "r")


def test_what_was_handed_in_stays_and_new_keys_are_silent() -> None:
    said: list[str] = []
    content = {"train": {"stages": [8, {"stride": 4, "rate": 1}], "seed": 3}, "model": 5}
    found = with_new_keys(content, "r", said.append)
    assert content == {"train": {"stages": [8, {"stride": 4, "rate": 1}], "seed": 3}, "model": 5}
    assert found == {"train": {"stages": [8, {"stride": 4, "learning_rate": 1}], "seed": 3}, "model": 5}
    assert said == ["r: train.stages.1.rate is now called train.stages.1.learning_rate"]
    assert with_new_keys(found, "r", said.append) == found
    assert len(said) == 1


def test_what_is_no_mapping_is_left_to_the_specs() -> None:
    with pytest.raises(SpecError, match=r"train: input should be a valid dictionary"):
        read_recipe({"name": "a", "model": {"name": "fcn8s-minivgg"}, "train": "loss"}, "r")
