"""The batch size that a GPU holds, by a search that needs none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe
from fullconv.training.batch import batch_that_fits, largest_batch
from fullconv.training.run import train


@given(st.integers(0, 200), st.integers(0, 7))
def test_the_largest_of_the_halves_that_fits(room: int, power: int) -> None:
    tried: list[int] = []

    def fits(images: int) -> bool:
        tried.append(images)
        return images <= room

    expected = max((2**n for n in range(power + 1) if 2**n <= room), default=0)
    assert largest_batch(fits, 2**power) == expected
    assert tried == sorted(tried, reverse=True)


def test_without_a_gpu_it_is_eight_and_stands_in_the_runs_recipe(
    tiny: Callable[..., Recipe], tmp_path: Path, quiet: Console
) -> None:
    recipe = tiny(train={"batch_size": "auto", "epochs": 2, "stages": [{"stride": 16}]})
    result = train(recipe, tmp_path / "out", console=quiet)
    assert "batch_size: 8, as no GPU's memory is to be filled (train.batch_size: auto)" in quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert load_recipe(tmp_path / "out").train.batch_size == 8
    assert [(stage["steps"], stage["images"]) for stage in result.stages] == [(2, 16)]
    assert train(recipe, tmp_path / "out", resume=True, console=quiet).stages == result.stages


@pytest.mark.parametrize(("given_size", "accumulate", "images"), [("auto", 1, 8), (2, 3, 6), ("auto", 2, 16)])
def test_images_of_a_step(tiny: Callable[..., Recipe], given_size: int | str, accumulate: int, images: int) -> None:
    assert tiny(train={"batch_size": given_size, "accumulate": accumulate}).train.images_per_step == images


@pytest.mark.parametrize(("images", "fewer"), [(8, 4), (9, 3), (7, 1), (15, 5), (2, 1)])
def test_parts_of_a_batch_that_is_too_large_make_the_same_step(images: int, fewer: int) -> None:
    assert batch_that_fits(images) == fewer
    assert images % fewer == 0
