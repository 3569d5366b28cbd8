"""Images of one size go through a GPU together, in whatever order they come."""

import threading
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fullconv.errors import DataError
from fullconv.inference.pipeline import group_by_size, in_background
from fullconv.inference.rgbd import Loaded


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(1, 5), st.integers(1, 400))
def test_every_image_is_in_one_group_of_its_size(sides: list[int], most: int, held: int) -> None:
    """Side 0 stands for one that cannot be read. What waits never exceeds what may be held by more than an image."""
    images = [Loaded(np.zeros((side, side, 3), np.uint8), {}) if side else DataError("broken") for side in sides]
    asked, given_out, waiting = [], [], 0

    def counted():
        nonlocal waiting
        for number, image in enumerate(images):
            asked.append(number)
            assert waiting <= held
            waiting += 3 * sides[number] ** 2
            yield number, image

    for group in group_by_size(counted(), most, held):
        numbers = [number for number, _ in group]
        given_out += numbers
        waiting -= sum(3 * sides[number] ** 2 for number in numbers)
        assert len({sides[number] for number in numbers}) == 1
        assert len(group) <= (most if sides[numbers[0]] else 1)
        assert all(image is images[number] for number, image in group)
    assert sorted(given_out) == asked == list(range(len(sides)))


def test_batches_are_full_where_sizes_alternate() -> None:
    images = [(number, Loaded(np.zeros((2 + number % 2, 3, 3), np.uint8), {})) for number in range(32)]
    assert Counter(len(group) for group in group_by_size(iter(images), 8)) == {8: 4}


def test_several_threads_keep_the_order_of_the_items() -> None:
    together = threading.Barrier(4, timeout=10)

    def squared(number: int) -> int:
        together.wait()  # passes only where four are at work at once
        return number * number

    assert list(in_background(squared, range(16), ahead=8, threads=4)) == [number * number for number in range(16)]
