"""The bytes of a computation, against sums by hand."""

import pytest
import torch
from torch import Tensor, nn

from fullconv.inference.engines.packed import can_pack
from fullconv.inference.engines.winograd import FILTERINGS, Moved, kept_bytes
from fullconv.inference.tiled.memory import largest_fitting, peak_of, window_bytes, work_of
from fullconv.nn.build import build_model


class Branches(nn.Module):
    """Two convolutions whose results are alive at the same time, and a view that costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        first = self.one(images)
        second = self.other(first[:, :, :5])
        del first
        return second + 1


def test_the_peak_is_the_sum_of_what_lives_at_once() -> None:
    net = Branches()
    pixels = 10 * 12
    # images, the first map and the second: the second's sum comes when the first is gone
    assert peak_of(net, torch.empty(1, 3, 10, 12, device="meta")) == 4 * (3 * pixels + 8 * pixels + 2 * 5 * 12)
    assert work_of(net, torch.empty(1, 3, 10, 12, device="meta")) == 27 * 8 * pixels + 8 * 2 * 5 * 12
    assert next(net.parameters()).device.type == "cpu"


def test_a_window_takes_memory_by_its_area() -> None:
    model = build_model("fcn8s-minivgg", 5)
    copied = kept_bytes(model) if can_pack(torch.device("cpu")) else 0
    small, large = (window_bytes(model, "semantic", (side, side)) - copied for side in (256, 1024))
    assert 10 < large / small < 16.5  # strips of logits are of one height


@pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="convolutions are packed on x86 processors alone")
def test_the_weights_that_an_engine_copies_are_counted() -> None:
    net = nn.Sequential(nn.Conv2d(128, 130, 3), nn.Conv2d(130, 128, 7), nn.Conv2d(128, 5, 3), nn.Conv2d(5, 8, 7))
    moved = [Moved(FILTERINGS[part.kernel_size[0]], part.weight, None, False).weights for part in (net[0], net[1])]
    assert kept_bytes(net) == 4 * sum(each.numel() for each in (*moved, net[2].weight, net[3].weight))
    model = build_model("fcn32s-narrow-alexnet", 2)
    assert window_bytes(model, "semantic", (64, 64)) > kept_bytes(model) > 4 * sum(p.numel() for p in model.score_parameters())


def test_the_largest_that_fits_is_found() -> None:
    assert [largest_fitting(lambda side, most=most: side <= most, 32, 1000) for most in (31, 32, 700, 5000)] == [0, 32, 672, 1024]
