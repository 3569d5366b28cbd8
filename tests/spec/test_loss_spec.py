"""``train.loss``: names, weights, parameters; the old key of that name; what does not fit together."""

from typing import Any

import pytest
import yaml

from fullconv.errors import SpecError
from fullconv.spec import LossSpec
from fullconv.spec.recipe import load_recipe, parse_overrides, read_recipe, to_yaml
from fullconv.spec.train import TrainSpec


def with_loss(loss: Any, **train: Any) -> TrainSpec:
    content = {"name": "r", "model": {"name": "fcn8s-minivgg"}, "train": {"stages": [8], "loss": loss, **train}}
    return read_recipe(content, "r").train


def test_a_name_a_sum_and_parameters() -> None:
    assert with_loss("dice").loss.model_dump() == {"dice": {"weight": 1.0}}
    mixed = with_loss({"cross_entropy": {"label_smoothing": 0.1}, "dice": 0.5, "focal": {"weight": 2, "gamma": 1}}).loss
    assert mixed.model_dump() == {
        "cross_entropy": {"weight": 1.0, "label_smoothing": 0.1},
        "focal": {"weight": 2.0, "gamma": 1.0},
        "dice": {"weight": 0.5},
    }
    assert str(mixed) == "cross_entropy + 2 × focal + 0.5 × dice"


def test_a_written_recipe_is_read_as_it_was() -> None:
    recipe = load_recipe("scenes-fcn8s-minivgg", parse_overrides(["--train.loss", "{cross_entropy: 1, lovasz: 0.5}"]))
    assert read_recipe(yaml.safe_load(to_yaml(recipe)), "again") == recipe
    assert recipe.train.loss == LossSpec.model_validate({"cross_entropy": 1, "lovasz": 0.5})


def test_a_recipe_that_says_nothing_has_cross_entropy() -> None:
    assert load_recipe("scenes-fcn8s-minivgg").train.loss.model_dump() == {
        "cross_entropy": {"weight": 1.0, "label_smoothing": 0.0}
    }


def test_the_old_key_of_that_name_is_told_by_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    old = with_loss("sum")
    assert (old.reduction, old.loss.plain) == ("sum", True)
    assert capsys.readouterr().err == "r: train.loss is now called train.reduction\n"
    assert with_loss("dice").reduction == "mean"
    assert with_loss({"ohem": {"keep": 0.5}}, reduction="sum").reduction == "sum"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("loss", "more", "message"),
    [
        ("dise", {}, r"^r: no key is called train.loss.dise; did you mean train.loss.dice\?$"),
        ({"focal": {"gama": 2}}, {}, r"^r: no key is called train.loss.focal.gama; did you mean train.loss.focal.gamma\?$"),
        ({"dice": 0}, {}, r"^r: train.loss.dice.weight: input should be greater than 0; got 0$"),
        ({"ohem": {"keep": 1.5}}, {}, r"^r: train.loss.ohem.keep: input should be less than or equal to 1; got 1.5$"),
        (
            {},
            {},
            r"^r: train.loss names no loss; give one or several of cross_entropy, focal, ohem, dice, jaccard, tversky, lovasz",
        ),
        (
            {"tversky": {"alpha": 0, "beta": 0}},
            {},
            r"tversky with alpha 0 and beta 0 counts no mistake; give one of them above 0$",
        ),
        (
            {"cross_entropy": 1, "dice": 1},
            {"reduction": "sum"},
            r"train.loss names dice, an overlap of regions .* take reduction mean",
        ),
        (
            "focal",
            {"loss_sampling": 0.5},
            r"train.loss_sampling 0.5 drops patches of cross entropy alone; got the loss focal: leave",
        ),
    ],
)
def test_what_does_not_fit(loss: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        with_loss(loss, **more)
    assert "\n" not in str(caught.value)
