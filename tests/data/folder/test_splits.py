"""Drawn splits: what the module promises, for any names, shares and seeds."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.data.folder.splits import NEAR, draw_splits, drawn_split
from fullconv.errors import DataError, SpecError
from fullconv.spec import FolderSpec
from fullconv.spec.grouping import parse_group
from fullconv.spec.recipe import read_recipe

NAMES = st.lists(st.text("abcdefgh/0123456789", min_size=1, max_size=6), min_size=2, max_size=60, unique=True)
SHARES = st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.5, 0.8])
SEEDS = st.integers(0, 10**6)


def folder(**keys: object) -> FolderSpec:
    return FolderSpec(images="images", masks="masks", **keys)  # type: ignore[arg-type]


def alone(names: list[str]) -> dict[str, str]:
    return {name: name for name in names}


def allowed(count: int, share: float) -> float:
    """How far the number of images may lie from ``share`` of ``count``, written down anew."""
    exact = Fraction(share).limit_denominator(100)
    return float(max(Fraction(1, 2), Fraction(1, 5) * count * min(exact, 1 - exact)))


@given(NAMES, SHARES, SEEDS)
def test_the_share_is_near_and_each_side_has_one(names: list[str], share: float, seed: int) -> None:
    drawn = draw_splits(alone(names), folder(val_share=share, seed=seed))
    count = sum(split == "val" for split in drawn.values())
    assert 1 <= count <= len(names) - 1
    if 1 < share * len(names) < len(names) - 1:
        assert abs(count - share * len(names)) <= allowed(len(names), share) + 1e-9
    assert NEAR == 0.2


@given(NAMES, SHARES, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_names_does_not_matter(names: list[str], share: float, seed: int, random: object) -> None:
    given_folder = folder(val_share=share, seed=seed)
    shuffled = sorted(names, key=lambda name: random.random())  # type: ignore[attr-defined]
    assert draw_splits(alone(names), given_folder) == draw_splits(alone(shuffled), given_folder)


@given(NAMES, SHARES, SEEDS)
def test_an_image_that_is_added_moves_at_most_one(names: list[str], share: float, seed: int) -> None:
    given_folder = folder(val_share=share, seed=seed)
    before, after = (draw_splits(alone(some), given_folder) for some in (names[1:], names))
    assert sum(before[name] != after[name] for name in names[1:]) <= 1


@given(NAMES, SEEDS)
def test_an_image_that_is_added_moves_at_most_three_where_there_is_test_too(names: list[str], seed: int) -> None:
    given_folder = folder(val_share=0.2, test_share=0.1, seed=seed)
    before, after = (draw_splits(alone(some), given_folder) for some in (names[1:], names))
    assert sum(before[name] != after[name] for name in names[1:]) <= 3
    counts = Counter(after.values())
    assert counts["train"] >= 1
    assert counts["val"] >= 1
    assert counts["test"] >= 1 or len(names) < 3


@settings(max_examples=10)
@given(SEEDS)
def test_many_images_are_added_to_many_and_none_moves(seed: int) -> None:
    names = [f"{seed}-{number}" for number in range(3000)]  # a draw of 2000 is off by a fifth once in 100 000
    before, after = (draw_splits(alone(some), folder(seed=0)) for some in (names[:2000], names))
    assert all(before[name] == after[name] for name in before)


@given(NAMES, SEEDS, st.integers(1, 59))
def test_what_was_drawn_before_stays_where_it_is(names: list[str], seed: int, first: int) -> None:
    some, all_of = names[:first], alone(names)
    before = draw_splits(alone(some), folder(val_share=0.3, seed=seed))
    after = draw_splits(all_of, folder(val_share=0.3, seed=seed), before)
    assert all(after[name] == split for name, split in before.items())
    assert {"train", "val"} <= set(after.values())


@given(NAMES, SEEDS, st.integers(1, 4), SHARES)
def test_groups_are_never_cut(names: list[str], seed: int, length: int, share: float) -> None:
    groups = {name: parse_group(f"{{stem[:{length}]}}")(name) or name for name in names}
    drawn = draw_splits(groups, folder(val_share=share, seed=seed))
    sides: dict[str, set[str]] = {}
    for name, group in groups.items():
        sides.setdefault(group, set()).add(drawn[name])
    assert all(len(found) == 1 for found in sides.values())
    if len(sides) > 1:
        assert set(drawn.values()) == {"train", "val"}


@given(NAMES, SEEDS, st.integers(2, 7), st.sampled_from([0.0, 0.2]))
def test_every_image_is_validated_on_in_one_fold(names: list[str], seed: int, folds: int, test: float) -> None:
    draws = []
    for fold in range(folds):
        given_folder = folder(folds=folds, fold=fold, seed=seed, test_share=test)
        try:
            draws.append(draw_splits(alone(names), given_folder))
        except DataError as error:
            assert "cannot fall into data.folder.folds" in str(error)  # noqa: PT017  # both ways are to be seen
            assert len(names) - 1 < folds + (test > 0) * len(names)
            return
    tested = {name for name in names if draws[0][name] == "test"}
    assert all({name for name in names if draw[name] == "test"} == tested for draw in draws)
    rest = [name for name in names if name not in tested]
    assert all(Counter(draw[name] for draw in draws)["val"] == 1 for name in rest)
    sizes = [sum(split == "val" for split in draw.values()) for draw in draws]
    even = len(rest) / folds
    assert max(abs(size - even) for size in sizes) <= max(1, 0.2 * even + 1e-9)


@pytest.mark.parametrize(
    ("pattern", "name", "group"),
    [
        ("{stem[:4]}", "day1/0012", "0012"),
        ("{stem[:-3]}", "scene7_12", "scene7"),
        ("{parent}", "day1/0012", "day1"),
        ("{parent}", "0012", ""),
        ("{parent}/{stem[2:4]}", "a/b/0012", "a/b/12"),
        (r"(.+)_\d{2}$", "video_a_07", "video_a"),
        (r"^(\w)\w*-(\d)", "tile-3x", "t/3"),
        (r"(.+)_\d+$", "other", ""),
    ],
)
def test_patterns_of_groups(pattern: str, name: str, group: str) -> None:
    assert parse_group(pattern)(name) == group


def recipe(**keys: object) -> None:
    data = {"name": "folder", "folder": {"images": "images", "masks": "masks", **keys}}
    read_recipe({"name": "x", "model": {"name": "fcn8s-minivgg"}, "train": {"stages": [8]}, "data": data}, "x.yaml")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"group": "{stem[0]}"}, r"group '\{stem\[0\]\}' is no pattern of groups; give '\{stem\[:4\]\}'"),
        ({"group": "{stem.upper()}"}, "is no pattern of groups"),
        ({"group": "(a"}, "is no regular expression .*; give"),
        ({"group": "frame"}, "would put all images into one group"),
        ({"folds": 5, "fold": 5}, "fold 5 is not there: with folds 5 it is one of 0 to 4"),
        ({"fold": 1}, "it is one of 0, as there are no folds"),
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": 3, "images": "images/{split}", "masks": "masks/{split}"}, "has splits of its own; name folders without"),
        ({"folds": 3, "splits": "splits.csv"}, "leave one of them out"),
    ],
)
def test_mistakes_are_one_line(keys: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message) as found:
        recipe(**keys)
    assert "\n" not in str(found.value)


def test_what_cannot_be_drawn_says_why() -> None:
    with pytest.raises(DataError, match=r"no split 'val' can be drawn from 1 image: .* set data.val: train"):
        drawn_split(["a"], "val", folder())
    with pytest.raises(DataError, match=r"from 3 images in 1 group"):
        drawn_split({"a": "x", "b": "x", "c": "x"}, "val", folder())
    with pytest.raises(DataError, match=r"val_share 0.0"):
        drawn_split(["a", "b"], "val", folder(val_share=0))
