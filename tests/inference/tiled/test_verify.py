"""What verifying finds, and that it takes no more than the parts did."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.plan import Cut, cut
from fullconv.inference.tiled.verify import Verifier
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model

SIZE = (500, 450)
LITTLE = 10_000_000
"""Bytes: not enough for a window whole."""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = build_model("fcn8s-minivgg", 3)
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    return Predictor(model, {"semantic": LabelSet(("sky", "sea", "sand"))})


def difference(predictor: Predictor, how: Cut, wrong: float = 0) -> tuple[float, list[tuple[int, int]]]:
    """Return what verifying a window finds, where logits are wrong by so much, and the sizes of what it read."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    sizes: list[tuple[int, int]] = []

    def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        assert 0 <= top < top + height <= SIZE[0]
        assert 0 <= left < left + width <= SIZE[1]
        sizes.append((height, width))
        return image[top : top + height, left : left + width]

    def look(top: int, left: int, logits: Tensor) -> None:
        verifier.look(top, left, logits + wrong)

    verifier = Verifier(SIZE, 1)
    for _ in how.parts(predictor, read, SIZE, look=look):
        pass
    sizes.clear()
    return verifier.largest_difference(predictor, read, "semantic", how), sizes


def test_a_window_is_computed_whole_where_memory_is_enough_and_else_in_parts(predictor: Predictor) -> None:
    little = cut(predictor, SIZE, LITTLE)
    enough = Cut(little.way, 1, 10 * LITTLE)
    found, sizes = difference(predictor, enough)
    assert found < 1e-4
    assert len(sizes) == 1
    found, parts = difference(predictor, little)
    assert found < 1e-4
    assert len(parts) > 10
    assert max(height * width for height, width in parts) < sizes[0][0] * sizes[0][1] / 10
    tiles = Cut(160, 1, LITTLE)
    found, parts = difference(predictor, tiles)
    assert found < 1e-4
    assert len(parts) > 1


def test_what_is_wrong_is_seen(predictor: Predictor) -> None:
    found, _ = difference(predictor, cut(predictor, SIZE, LITTLE), wrong=0.01)
    assert found == pytest.approx(0.01, abs=1e-4)
