"""The smallest image side: its promise against trying every side, and an end to the search whatever the net."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fullconv.errors import GeometryError
from fullconv.geometry.smallest import smallest
from fullconv.geometry.trace import trace


class Joined(nn.Module):
    """Two branches that agree in size at some sides only."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x)


def test_sides_between_which_one_does_not_fit() -> None:
    """Side 2 fits, 3 does not, all from 4 on do."""
    shortened = nn.Sequential(nn.Conv2d(1, 1, 2), nn.ConvTranspose2d(1, 1, 2))
    cut = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1))
    geometry = trace(Joined(shortened, cut))
    assert [geometry.fits(side) for side in (1, 2, 3, 4)] == [False, True, True, True]
    assert geometry.min_size == 2
    assert smallest(lambda side: side == 2 or side > 3, 4) == 4


def test_a_net_of_multiples_only_is_said_to_be_one() -> None:
    net = Joined(nn.Identity(), nn.Sequential(nn.MaxPool2d(4), nn.Upsample(scale_factor=4)))
    with pytest.raises(GeometryError, match=r"no side from which on every size fits: .* 1 of 4 do, 128 among them; pad images"):
        _ = trace(net).min_size


def test_a_net_that_nothing_fits_ends_too() -> None:
    with pytest.raises(GeometryError, match=r"add \(add\) does not take images of 512×448 px: .* 510"):
        _ = trace(Joined(nn.Identity(), nn.Conv2d(1, 1, 3))).min_size
    with pytest.raises(GeometryError, match="no image side up to 1048576 px"):
        smallest(lambda side: False, 32)


def test_each_axis_counts() -> None:
    geometry = trace(nn.Sequential(nn.Conv2d(1, 1, (3, 9), (2, 3)), nn.Conv2d(1, 1, (3, 2))))
    assert geometry.min_size == 12
    assert geometry.fits(12)
    assert not geometry.fits(11)
    assert geometry.place(-1, 0) != geometry.place(-1, 1)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.booleans()), min_size=1, max_size=5))
def test_it_is_what_trying_every_side_finds(numbers: list[tuple[int, int, int, bool]]) -> None:
    pools = [nn.MaxPool2d(k, s, padding=min(p, k // 2), ceil_mode=ceil) for k, s, p, ceil in numbers]
    geometry = trace(nn.Sequential(nn.Conv2d(1, 1, 1), *pools))
    found = geometry.min_size
    assert all(geometry.fits(side) for side in range(found, found + 400))
    assert found == 1 or not geometry.fits(found - 1)
