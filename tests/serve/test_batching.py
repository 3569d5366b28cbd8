"""Images that wait together: each gets its own labels, only equal sizes meet, nothing waits longer than it must."""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, wait

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fullconv.errors import DataError
from fullconv.inference.predictor import Predictor
from fullconv.labels import LabelSet
from fullconv.serve.batching import Batcher, How, Work

CLASSES = 5
HOW = How("semantic")


class Remainders:
    """An engine by which a pixel's class is the remainder of its red; it notes what came together and on how many cores.

    It waits where it is told.
    """

    inputs = ("rgb",)
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.heads = {"semantic": CLASSES}
        self.shapes: list[tuple[int, ...]] = []
        self.cores: list[int] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.most = 100

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.cores.append(torch.get_num_threads())
        self.shapes.append(tuple(batch["rgb"].shape))
        assert self.may_go.wait(60)
        if len(batch["rgb"]) > self.most:
            raise MemoryError
        classes = batch["rgb"][:, 0].long() % CLASSES
        return {"semantic": torch.nn.functional.one_hot(classes, CLASSES).permute(0, 3, 1, 2).float()}


def work(predictor: Predictor, height: int, width: int, seed: int) -> Work:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Work("net", predictor, {"rgb": image}, HOW)


@pytest.fixture
def engine() -> Remainders:
    return Remainders()


@pytest.fixture
def predictor(engine: Remainders) -> Predictor:
    return Predictor(engine, {"semantic": LabelSet(tuple("abcde"))})


@given(st.lists(st.tuples(st.sampled_from([(3, 4), (4, 3), (5, 5)]), st.booleans()), min_size=1, max_size=12), st.integers(1, 4))
def test_every_image_gets_its_own_labels(asked: list[tuple[tuple[int, int], bool]], most: int) -> None:
    engine = Remainders()
    predictor = Predictor(engine, {"semantic": LabelSet(tuple("abcde"))})
    batcher = Batcher(threads=2, most=most, wait=0.001)
    works = [work(predictor, *size, seed) for seed, (size, _) in enumerate(asked)]
    futures = [batcher.submit(each) for each in works]
    batcher.close()
    for each, future in zip(works, futures, strict=True):
        assert np.array_equal(future.result().labels, each.inputs["rgb"][..., 0] % CLASSES)
    assert sum(shape[0] for shape in engine.shapes) == len(asked)
    assert max(shape[0] for shape in engine.shapes) <= most


def test_what_waits_goes_together_by_size_and_in_order(engine: Remainders, predictor: Predictor) -> None:
    counted: list[tuple[str, int]] = []
    batcher = Batcher(threads=1, most=3, wait=0, on_batch=lambda model, images: counted.append((model, images)))
    engine.may_go.clear()
    first = batcher.submit(work(predictor, 9, 9, 0))
    while not engine.shapes:  # it is being computed, and the others wait
        time.sleep(0.001)
    sizes = [(2, 2), (3, 3), (2, 2), (2, 2), (3, 3), (2, 2)]
    futures = [batcher.submit(work(predictor, *size, 1)) for size in sizes]
    engine.may_go.set()
    wait([first, *futures])
    batcher.close()
    assert [shape[0] for shape in engine.shapes] == [1, 3, 2, 1]
    assert [shape[2:] for shape in engine.shapes[1:]] == [(2, 2), (3, 3), (2, 2)]
    assert counted == [("net", 1), ("net", 3), ("net", 2), ("net", 1)]


def test_a_place_in_a_batch_is_waited_for_only_so_long(engine: Remainders, predictor: Predictor) -> None:
    batcher = Batcher(threads=1, most=8, wait=0.2)
    begun = time.monotonic()
    assert batcher.submit(work(predictor, 4, 4, 0)).result(60) is not None
    assert time.monotonic() - begun >= 0.2  # it hoped for company
    batcher.close()
    alone = Batcher(threads=1, most=None, wait=3600)  # on a CPU images go alone, so there is nothing to wait for
    assert alone.submit(work(predictor, 4, 4, 0)).result(60) is not None
    full = Batcher(threads=1, most=2, wait=3600)
    both = [full.submit(work(predictor, 4, 4, seed)) for seed in (0, 1)]
    assert len(wait(both, timeout=60).done) == 2
    alone.close()
    full.close()


def test_what_is_cancelled_before_its_turn_is_not_computed(engine: Remainders, predictor: Predictor) -> None:
    batcher = Batcher(threads=1, most=1)
    engine.may_go.clear()
    first = batcher.submit(work(predictor, 4, 4, 0))
    while not engine.shapes:
        time.sleep(0.001)
    gone = batcher.submit(work(predictor, 5, 5, 0))
    assert gone.cancel()
    engine.may_go.set()
    first.result(60)
    batcher.close()
    assert len(engine.shapes) == 1
    with pytest.raises(CancelledError):
        gone.result()


def test_where_a_batch_does_not_fit_into_memory_its_images_go_alone(engine: Remainders, predictor: Predictor) -> None:
    engine.most = 1
    batcher = Batcher(threads=1, most=4, wait=3600)
    futures = [batcher.submit(work(predictor, 4, 4, seed)) for seed in range(4)]
    assert all(future.result(60).labels.shape == (4, 4) for future in futures)
    engine.most = 0
    futures = [batcher.submit(work(predictor, 4, 4, seed)) for seed in range(4)]
    for future in futures:
        with pytest.raises(DataError, match="no memory for an image of 4×4 pixels"):
            future.result(60)
    batcher.close()


@pytest.fixture
def cores() -> Iterator[int]:
    """As many as there might be; what PyTorch gives to threads from then on is as it was afterwards."""
    before = torch.get_num_threads()
    yield 6
    torch.set_num_threads(before)


def test_cores_are_shared_by_what_is_computed_at_the_same_time(engine: Remainders, predictor: Predictor, cores: int) -> None:
    batcher = Batcher(threads=3, cores=cores)
    for seed in (0, 1):
        batcher.submit(work(predictor, 4, 4, seed)).result(60)
    engine.may_go.clear()
    futures = []
    for at_work in (1, 2, 3, 4, 5):  # of which three are computed at a time
        futures.append(batcher.submit(work(predictor, 4, 4, at_work)))
        while len(engine.shapes) < 2 + min(at_work, 3):
            time.sleep(0.001)
    engine.may_go.set()
    wait(futures)
    batcher.close()
    assert engine.cores[:5] == [6, 6, 6, 3, 2]


@pytest.mark.parametrize(("sides", "at_once"), [((4, 4, 4), 2), ((5, 4, 4), 1), ((6, 3, 3), 1), ((3, 3, 3), 3)])
def test_what_is_computed_at_the_same_time_is_bounded_in_pixels(
    engine: Remainders, predictor: Predictor, sides: tuple[int, ...], at_once: int
) -> None:
    """Three images of these sides where 32 pixels may be computed at once: so many begin, the others wait for room."""
    batcher = Batcher(threads=3, pixels=32)
    engine.may_go.clear()
    futures = [batcher.submit(work(predictor, side, side, side)) for side in sides]
    while len(engine.shapes) < at_once:
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(engine.shapes) == at_once
    engine.may_go.set()
    assert len(wait(futures, timeout=60).done) == 3
    batcher.close()


def test_a_batch_is_bounded_in_pixels_too(engine: Remainders, predictor: Predictor) -> None:
    batcher = Batcher(threads=1, most=8, wait=0.05, pixels=50)
    wait([batcher.submit(work(predictor, 4, 4, seed)) for seed in range(5)])
    batcher.close()
    assert [shape[0] for shape in engine.shapes] == [3, 2]
