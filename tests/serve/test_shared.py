"""Weights that worker processes map: the same labels, pages that nobody has for himself, and no file that is left over."""

import logging
import re
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from served import photograph

from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.nn.trunk import Trunk
from fullconv.serve.shared import shared
from small_disk import files_of_at_most


def mapped(file: Path) -> dict[str, int]:
    """What this process has of a file in memory, in kB, as Linux says it."""
    found: dict[str, int] = {}
    of_it = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            of_it = line.endswith(file.name)
        elif of_it and line.endswith("kB"):
            name, kilobytes, _ = line.split()
            found[name.rstrip(":")] = found.get(name.rstrip(":"), 0) + int(kilobytes)
    return found


Reading = tuple[Callable[[], Predictor], "list[weakref.ref[Trunk]]"]


@pytest.fixture
def read(checkpoint: Path) -> Reading:
    """What loads the model, and what it has loaded."""
    loaded: list[weakref.ref[Trunk]] = []

    def loading() -> Predictor:
        predictor = load(checkpoint.read_bytes(), "cpu")
        loaded.append(weakref.ref(predictor.model.trunks["rgb"]))
        return predictor

    return loading, loaded


def test_weights_are_read_once_and_mapped(read: Reading, tmp_path: Path) -> None:
    loading, loaded = read
    expected = loading().predict(photograph()).labels
    both = [shared(loading, tmp_path, "scenes", "1") for _ in (1, 2)]
    assert all(np.array_equal(predictor.predict(photograph()).labels, expected) for predictor in both)
    assert len(loaded) == 2  # one of them here; the second predictor came from the file alone
    assert loaded[1]() is None  # whose weights are in memory no more
    (file,) = tmp_path.glob("scenes@*")
    has = mapped(file)
    assert has["Rss"] > 0
    assert has["Anonymous"] == 0  # no page was written to, so none is this process's own
    assert both[0].model.stored is not None  # what /v1/models says of it
    assert sum(part.numel() * 4 for part in both[0].model.parameters()) <= 2 * 1024 * has["Size"]


def test_a_new_version_takes_the_place_of_the_old(read: Reading, tmp_path: Path) -> None:
    first = shared(read[0], tmp_path, "scenes", "1")
    shared(read[0], tmp_path, "scenes-2", "1")
    shared(read[0], tmp_path, "scenes", "2")
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["scenes-2@1.pt", "scenes@2.pt"]
    assert first.predict(photograph()).labels.shape == (40, 56)  # its file is gone, and it goes on


def test_without_room_each_keeps_its_own(read: Reading, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), files_of_at_most(5000):
        predictor = shared(read[0], tmp_path, "scenes", "1")
    assert predictor.predict(photograph()).labels.shape == (40, 56)
    assert [record.message.startswith("no room in ") for record in caplog.records] == [True]
    assert not list(tmp_path.glob("*.pt"))
