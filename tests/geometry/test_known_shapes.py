"""Shapes that are said without asking torch: those that torch computes, and its errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fullconv.geometry.known_shapes import KnownShapes

SMALL = st.integers(1, 4)
NUMPYS: Any = np.int64(2)


def both(function: Callable[..., Tensor], *values: Any) -> tuple[Any, Any]:
    """Return shape and type, or the kind of error, as torch computes it on the CPU, and as it is on the meta device."""
    found: list[Any] = []
    for device in ("cpu", "meta"):
        moved = [value.to(device) if isinstance(value, Tensor) else value for value in values]
        try:
            with KnownShapes():
                answer = function(*moved)
            assert answer.device.type == device
            found.append((tuple(answer.shape), answer.stride(), answer.dtype))
        except RuntimeError:
            found.append(RuntimeError)
    return found[0], found[1]


@given(st.tuples(st.integers(1, 12), st.integers(1, 12)), st.tuples(SMALL, SMALL), SMALL, st.integers(0, 3), SMALL, SMALL, SMALL)
def test_convolutions(
    size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int, dilation: int, groups: int, given_groups: int
) -> None:
    maps, weight = torch.zeros(2, 2 * given_groups, *size), torch.zeros(3 * groups, 2, *kernel)
    expected, found = both(F.conv2d, maps, weight, torch.zeros(3 * groups), stride, (padding, 1), dilation, groups)
    assert found == expected


@given(st.tuples(st.integers(1, 12), st.integers(1, 12)), st.tuples(SMALL, SMALL), st.integers(0, 3), SMALL, SMALL, st.booleans())
def test_poolings(size: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int, dilation: int, ceil: bool) -> None:
    pool = nn.MaxPool2d(kernel, stride or None, (padding // 2, 0), dilation, ceil_mode=ceil)
    expected, found = both(pool, torch.zeros(2, 3, *size))
    assert found == expected


@pytest.mark.parametrize(
    ("function", "values"),
    [
        (F.linear, (torch.zeros(2, 5, 3), torch.zeros(4, 3), torch.zeros(4))),
        (F.linear, (torch.zeros(2, 3), torch.zeros(4, 3))),
        (F.linear, (torch.zeros(2, 3), torch.zeros(4, 5))),
        (F.adaptive_avg_pool2d, (torch.zeros(2, 3, 5, 4), 1)),
        (F.adaptive_avg_pool2d, (torch.zeros(3, 5, 4), 1)),
        (F.adaptive_avg_pool2d, (torch.zeros(2, 3, 5, 4), (2, 3))),
        (torch.add, (torch.zeros(2, 3), torch.zeros(2, 3))),
        (torch.add, (torch.zeros(2, 3), torch.zeros(3))),
        (torch.add, (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.float64))),
        (lambda a, b: a * b, (torch.zeros(2, 3), torch.zeros(2, 3))),
        (lambda a, b: a + b, (torch.zeros(2, 3), torch.zeros(2, 4))),
        (torch.empty_like, (torch.zeros(2, 3, 4, 5).permute(0, 2, 3, 1),)),
        (F.conv2d, (torch.zeros(1, 3, 5, 5), torch.zeros(2, 3, 3, 3), None, 1, "same")),
        (F.conv2d, (torch.zeros(1, 3, 5, 5), torch.zeros(2, 3, 3, 3), torch.zeros(2, dtype=torch.float64))),
        (F.conv2d, (torch.zeros(1, 3, 5, 5), torch.zeros(2, 3, 3, 3), None, NUMPYS)),
        (nn.MaxPool2d(NUMPYS), (torch.zeros(1, 3, 5, 5),)),
        (nn.MaxPool2d(2, NUMPYS), (torch.zeros(1, 3, 5, 5),)),
        (nn.MaxPool2d(2, ()), (torch.zeros(1, 3, 5, 5),)),
        (nn.MaxPool2d((2, 2, 2)), (torch.zeros(1, 3, 5, 5),)),
        (F.adaptive_avg_pool2d, (torch.zeros(2, 3, 5, 4), (1,))),
    ],
)
def test_other_operations(function: Callable[..., Tensor], values: tuple[Any, ...]) -> None:
    expected, found = both(function, *values)
    assert found == expected


def test_what_is_named_or_unusual_is_left_to_torch() -> None:
    maps = torch.zeros(1, 3, 8, 8, device="meta")
    with KnownShapes():
        assert torch.empty_like(maps, device="cpu").device.type == "cpu"
        assert torch.add(maps, maps, alpha=2).shape == maps.shape
        with pytest.warns(UserWarning, match="deprecated"):
            assert torch.add(maps, 2, maps).shape == maps.shape
        assert nn.functional.conv2d(input=maps, weight=torch.zeros(2, 3, 3, 3, device="meta")).shape == (1, 2, 6, 6)
