"""The reference of keys says of every key what recipes themselves say."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fullconv.errors import SpecError
from fullconv.spec.recipe import load_recipe
from fullconv.spec.reference import recipe_keys, values_of
from fullconv.spec.usual_names import USUAL_NAMES

KEYS = {key.name: key for key in recipe_keys()}


def leaves(place: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of a resolved recipe, entries of lists of mappings by N."""
    for name, value in place.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            for entry in value:
                yield from leaves(entry, f"{before}{name}.N.")
        elif isinstance(value, Mapping) and f"{before}{name}" in KEYS and KEYS[f"{before}{name}"].group:
            yield from leaves(value, f"{before}{name}.")
        else:
            yield before + name, value


def test_every_key_of_a_recipe_is_listed_with_a_meaning() -> None:
    resolved = load_recipe("scenes-fcn8s-minivgg").model_dump(mode="json")
    assert {name for name, _ in leaves(resolved)} <= set(KEYS)
    short = [name for name, key in KEYS.items() if len(key.meaning) < 10]
    assert short == []
    assert not [name for name, key in KEYS.items() if "``" in key.meaning or re.search(r":\w+:`", key.meaning)]


def test_defaults_are_those_of_a_recipe_that_says_nothing() -> None:
    given = {("model.name"), ("train.stages.N.stride"), "name"}
    resolved = load_recipe("scenes-fcn8s-minivgg").model_dump(mode="json")
    bare = type(load_recipe("scenes-fcn8s-minivgg")).model_validate(
        {"name": "bare", "model": {"name": "fcn8s-minivgg"}, "train": {"stages": [8]}}
    )
    found = dict(leaves(bare.model_dump(mode="json")))
    assert {name for name, _ in leaves(resolved)} >= set(found) - {"train.optimizer.warmup"}
    written_out = {"train.stages.N.steps", "train.stages.N.learning_rate", "train.head_weights"}  # resolved from other keys
    for name in set(found) - given - written_out:
        if not name.startswith("train.loss."):  # a loss says only the terms that it has
            assert KEYS[name].default == found[name], name


def test_values_are_those_of_the_recipe_with_its_changes() -> None:
    values = values_of(load_recipe("scenes-fcn8s-minivgg", {"train": {"seed": 7}}))
    assert (values["train.seed"], values["data.size"], values["train.stages.N.steps"]) == (7, [96, 128], [1500, 600, 600])


@pytest.mark.parametrize("usual", USUAL_NAMES)
def test_usual_names_lead_to_keys_that_there_are(usual: str) -> None:
    meant = re.findall(r"\b(?:train|data|model)(?:\.\w+)+", USUAL_NAMES[usual])
    assert meant or "--out" in USUAL_NAMES[usual]
    assert set(meant) <= set(KEYS)
    with pytest.raises(SpecError, match=rf"no key is called {usual}; did you mean {re.escape(USUAL_NAMES[usual])}\?"):
        load_recipe("scenes-fcn8s-minivgg", {usual: 1})
