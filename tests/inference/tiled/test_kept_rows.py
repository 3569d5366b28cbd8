"""Whoever is stopped, wherever that is, computes one band of every map again at most, and gets the same file."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.modules.module import register_module_forward_hook

from fullconv.inference.engines.packed import can_pack
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled import kept_rows
from fullconv.inference.tiled.large import Order, predict_large
from fullconv.inference.tiled.plan import Cut
from fullconv.inference.tiled.staged import StagePlan
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.stages import stages_of
from small_disk import files_of_at_most

SIZE, BAND = (832, 32), 256


class StoppedError(Exception):
    """Stands for a kill: nothing of ours catches it."""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = build_model("fcn8s-minivgg", 3)
    for parameter in model.score_parameters():
        nn.init.normal_(parameter, std=0.1)
    return Predictor(model, {"semantic": LabelSet(("sky", "sea", "sand"))})


@pytest.fixture(scope="module")
def strides(predictor: Predictor) -> list[int]:
    """Return the stride of each stage's map on the image."""
    (trunk,) = predictor.model.trunks.values()
    own = [stage.geometry.place(-1) for stage in stages_of(trunk)]
    return [int(each) for each in np.cumprod([int(place.stride) for place in own if place is not None])]


class Run(NamedTuple):
    """What a run did."""

    file: bytes
    computed: Counter[int]  # entries of each stage's map
    read: set[int]  # rows of the image
    said: list[str]
    calls: int


def run(predictor: Predictor, strides: list[int], path: Path, stop: int | None = None) -> Run:
    """Predict an image to a file; when so many tiles are computed, stop."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    chunks = [max(1, (32, 256, 64)[number % 3] // stride) for number, stride in enumerate(strides)]
    how = Cut(StagePlan(chunks, [16] * len(strides), BAND), 1, 0)
    computed: Counter[int] = Counter()
    nets: list[int] = []
    read_rows: set[int] = set()
    said: list[str] = []
    calls = 0

    def count(module: nn.Module, inputs: object, found: object) -> None:
        nonlocal calls
        if isinstance(module, fx.GraphModule) and isinstance(found, Tensor) and not found.is_meta:  # a stage's numbers
            if id(module) not in nets:
                nets.append(id(module))
                if can_pack(predictor.device):  # a tile of zeros
                    return
            calls += 1
            if calls == stop:
                raise StoppedError
            computed[nets.index(id(module))] += found.shape[2] * found.shape[3]

    def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        read_rows.update(range(top, top + height))
        return image[top : top + height, left : left + width]

    counting = register_module_forward_hook(count)
    try:
        predict_large(predictor, read, SIZE, lambda: how, Order(path, "semantic", say=said.append))
    except StoppedError:
        return Run(b"", computed, read_rows, said, calls)
    finally:
        counting.remove()
    assert len(nets) == len(strides)
    return Run(path.read_bytes(), computed, read_rows, said, calls)


@pytest.fixture(scope="module")
def whole(predictor: Predictor, strides: list[int], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("whole")
    found = run(predictor, strides, folder / "whole.png")
    assert [path.name for path in folder.iterdir()] == ["whole.png"]
    return found


@settings(max_examples=2)
@given(st.integers(1, 999))
@example(30)
@example(999)
def test_stopped_anywhere_it_computes_a_band_of_each_map_twice_at_most(
    predictor: Predictor, strides: list[int], whole: Run, tmp_path_factory: pytest.TempPathFactory, thousandths: int
) -> None:
    path = tmp_path_factory.mktemp("stopped") / "a.png"
    begun = run(predictor, strides, path, max(1, whole.calls * thousandths // 1000))
    assert begun.file == b""
    path.with_name("..a.01234567.tmp.rows").write_bytes(b"what a kill leaves of a file that was being written")
    again = run(predictor, strides, path)
    assert again.file == whole.file
    assert [found.name for found in path.parent.iterdir()] == ["a.png"]
    for number in range(len(strides)):
        twice = begun.computed[number] + again.computed[number] - whole.computed[number]
        assert twice <= whole.computed[number] * BAND / SIZE[0]
    assert len(begun.read & again.read) <= BAND + 2  # the first convolution reads a row on both sides


@pytest.mark.parametrize("harm", ["damaged", "of another model", "of another version"])
def test_what_cannot_be_gone_on_with_is_said_and_computed_again(
    predictor: Predictor, strides: list[int], whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    path, kept = tmp_path / "a.png", tmp_path / ".a.rows"
    run(predictor, strides, path, whole.calls * 2 // 3)
    content = kept.read_bytes()
    if harm == "damaged":
        kept.write_bytes(content[:-100] + b"?" * 50 + content[-50:])
    elif harm == "of another model":
        kept.write_bytes(content.replace(b'"identity": null', b'"identity": "it"', 1))
    else:
        monkeypatch.setattr(kept_rows, "VERSION", 2)
    again = run(predictor, strides, path)
    assert " rows were there already" in again.said[0]
    assert f"{kept} is left aside, and what it holds is computed again: it is " in again.said[1]
    assert again.file == whole.file
    assert again.calls < whole.calls


def test_rows_further_down_than_what_is_finished_are_left_aside(
    predictor: Predictor, strides: list[int], whole: Run, tmp_path: Path
) -> None:
    run(predictor, strides, tmp_path / "a.png", whole.calls * 2 // 3)
    (tmp_path / ".a.bands").unlink()
    again = run(predictor, strides, tmp_path / "a.png")
    assert "it is further than the finished rows" in again.said[1]
    assert again.file == whole.file


def test_without_room_on_the_disk_it_goes_on_and_says_so(
    predictor: Predictor, strides: list[int], whole: Run, tmp_path: Path
) -> None:
    with files_of_at_most(5_000):
        found = run(predictor, strides, tmp_path / "a.png")
    assert found.file == whole.file
    assert len(found.said) == 2
    assert "what is computed for later rows is not kept (cannot write" in found.said[1]


def test_rows_of_another_image_are_begun_again_and_that_is_said(
    predictor: Predictor, strides: list[int], whole: Run, tmp_path: Path
) -> None:
    (tmp_path / ".a.bands").write_text("of another image")
    found = run(predictor, strides, tmp_path / "a.png")
    assert found.said[0] == f"{tmp_path / '.a.bands'} is of another image, model or setting, and is begun again"
    assert found.file == whole.file
