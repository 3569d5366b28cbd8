"""Filtered stages give what the whole image gives, in the memory that is said, and are chosen only where it is enough."""

import json

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fullconv.inference.engines.packed import can_pack
from fullconv.inference.engines.winograd import FILTERINGS, Moved
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled import filtered
from fullconv.inference.tiled.ahead import STRIP
from fullconv.inference.tiled.filtered import FilteredConv2d, Room
from fullconv.inference.tiled.memory import TooLittleMemoryError, _Peak
from fullconv.inference.tiled.plan import Cut, cut_of
from fullconv.inference.tiled.stage_costs import costs_of
from fullconv.inference.tiled.stage_plan import plan_stages
from fullconv.inference.tiled.staged import StagePlan, predict_staged
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.stages import InSlices, stages_of

pytestmark = pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="convolutions are filtered on x86 processors alone")
SIZE = (STRIP + 200, 150)
LARGE = (4000, 4000)
SLICED = 400_000
"""Weights from which on the net's 7×7 layer is computed in slices, and no other."""


def wide() -> nn.Module:
    """Return a classifier with 3×3 and 7×7 convolutions that gain by filtering, and with branches."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = (nn.Conv2d(128, 128, 3, padding=1) for _ in range(2))

        def forward(self, maps: Tensor) -> Tensor:
            return maps + self.other(torch.relu(self.one(maps)))

    features = [nn.Conv2d(3, 128, 8, 8), nn.ReLU(), Branches(), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    features += [nn.Conv2d(128, 140, 7, padding=3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(140, 10))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = build_model("fcn32s-mine", 3, backbone=wide)
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    return Predictor(model, {"semantic": LabelSet(("sky", "sea", "sand"))})


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def logits_of(predictor: Predictor, image: NDArray[np.uint8], plan: StagePlan, first_row: int = 0) -> Tensor:
    """Return the logits stage by stage, NaN above the first row."""
    found = torch.full((3, *SIZE), torch.nan)

    def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        return image[top : top + height, left : left + width]

    def look(top: int, left: int, logits: Tensor) -> None:
        found[:, top : top + logits.shape[1], left : left + logits.shape[2]] = logits

    for _ in predict_staged(predictor, read, SIZE, plan, first_row=first_row, look=look):
        pass
    return found


def plan_of(predictor: Predictor, room: int) -> StagePlan:
    (trunk,) = predictor.model.trunks.values()
    gaining = [len(each.ways) > 1 for each in costs_of(predictor.model, "semantic", SIZE)]
    assert gaining == [False, True, True, True]
    return StagePlan([6] * len(stages_of(trunk)), [11] * len(gaining), STRIP, gaining, room)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many output channels' weights are moved each time."""
    found: list[int] = []

    class Counted(Moved):
        def __init__(self, filtering: object, weight: Tensor, *others: object) -> None:
            super().__init__(filtering, weight, *others)  # type: ignore[arg-type]  # as given
            found.append(len(weight))

    monkeypatch.setattr(filtered, "Moved", Counted)
    return found


@pytest.mark.parametrize("slices", [False, True])
def test_filtered_stages_give_what_the_whole_image_gives(
    predictor: Predictor, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, made: list[int], slices: bool
) -> None:
    if slices:
        monkeypatch.setattr("fullconv.nn.stages.SLICE", SLICED)
    with torch.inference_mode():
        whole = predictor.model(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])["semantic"][0]
    plan = plan_of(predictor, max(each.ways[-1].room for each in costs_of(predictor.model, "semantic", SIZE)) // 4)
    found = logits_of(predictor, image, plan)
    assert set(made) == ({128, 70} if slices else {128, 140})
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-4)
    below = logits_of(predictor, image, plan, STRIP)
    assert torch.equal(below[:, STRIP:], found[:, STRIP:])
    assert below[:, :STRIP].isnan().all()


def test_weights_stay_in_a_room_for_as_long_as_there_is_place(made: list[int]) -> None:
    layers = [nn.Conv2d(128, 128, 3, padding=1) for _ in range(3)]
    one = int(128 * 128 * 9 * FILTERINGS[3].growth)
    maps = torch.randn(1, 128, 9, 9)
    order = (0, 1, 0, 1, 2, 2)
    for places, moves in ((3, 3), (2, 3), (1, 5)):
        room = Room(places * one)
        parts = [FilteredConv2d(layer, None, None, torch.float32, room) for layer in layers]
        made.clear()
        with torch.inference_mode():
            for number in order:
                torch.testing.assert_close(parts[number](maps), layers[number](maps), rtol=0, atol=1e-5)
        assert len(made) == moves


@pytest.mark.parametrize("sliced", [None, SLICED, 250_000])
def test_a_tile_takes_no_more_than_is_said(predictor: Predictor, monkeypatch: pytest.MonkeyPatch, sliced: int | None) -> None:
    """Slices of 47 of 140 output channels are a share that no floating-point number is."""
    if sliced is not None:
        monkeypatch.setattr("fullconv.nn.stages.SLICE", sliced)
    (trunk,) = predictor.model.trunks.values()
    for cost, stage in list(zip(costs_of(predictor.model, "semantic", LARGE), stages_of(trunk), strict=True))[1:]:
        way = cost.ways[-1]
        room = Room(way.room // 4)
        net = filtered.filtered(stage.net, room)
        assert not any(isinstance(part, InSlices) for part in net.modules())
        for rows, columns in ((2, 150), (8, 40), (20, 70)):
            sides = rows * cost.own + cost.halo[0], columns * cost.own + cost.halo[1]
            with torch.inference_mode(), _Peak([*net.parameters(), room._memory]) as counted:
                net(torch.zeros(1, 128, *sides).contiguous(memory_format=torch.channels_last))
            said = cost.at_work(way, rows, columns)
            assert said / 2 < counted.peak <= said


def test_with_little_memory_convolutions_stay_direct(predictor: Predictor) -> None:
    model = predictor.model
    with pytest.raises(
        TooLittleMemoryError, match="0 MB of memory are left for an image, and its smallest part takes"
    ) as refused:
        plan_stages(model, "semantic", LARGE, 1000)
    least = refused.value.needed
    with pytest.raises(TooLittleMemoryError):
        plan_stages(model, "semantic", LARGE, least * 24 // 25)
    plan, work, taken = plan_stages(model, "semantic", LARGE, least)
    assert not any(plan.filtered)
    assert taken <= least
    plan, more_work, taken = plan_stages(model, "semantic", LARGE, 12 * least)
    assert list(plan.filtered) == [False, True, True, True]
    assert taken <= 12 * least
    assert 1 <= more_work <= work
    found = cut_of(json.loads(json.dumps(Cut(plan, more_work, taken).key)))
    assert found == Cut(plan, more_work, taken)
