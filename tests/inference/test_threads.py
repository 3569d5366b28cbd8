"""Eight threads with one predictor give the bytes that one thread gives, and leave the process as it was."""

import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.data.images import glance, read_image, read_image_as_stored
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.nn.checkpoint import load_checkpoint, save_checkpoint

THREADS = 8
ROUNDS = 4


@pytest.fixture(scope="module", params=[1.0, 0.5], ids=["own-size", "half-size"])
def predictor(request: pytest.FixtureRequest, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    found = load_checkpoint(checkpoint)
    path = tmp_path_factory.mktemp("threads") / "model.safetensors"
    save_checkpoint(path, found.model, found.labels, scale=request.param)
    return load(path, "cpu")


@pytest.fixture
def album(tmp_path: Path) -> list[Path]:
    """Eight files, of which Pillow warns: palettes with transparency, and EXIF data that are damaged."""
    random, folder = np.random.default_rng(0), tmp_path / "album"
    folder.mkdir()
    for number in range(4):
        image = Image.fromarray(random.integers(0, 8, (20 + number, 30), np.uint8))
        image.putpalette(random.integers(0, 256, 24, np.uint8).tolist())
        image.save(folder / f"palette-{number}.png", transparency=bytes(random.integers(0, 256, 8, np.uint8).tolist()))
    for number in range(4):
        exif = Image.Exif()
        exif[274] = 6
        path = folder / f"exif-{number}.jpg"
        Image.fromarray(random.integers(0, 256, (25, 20 + number, 3), np.uint8)).save(path, exif=exif)
        content = bytearray(path.read_bytes())
        start = content.find(b"Exif\0\0") + 6
        content[start : start + 18] = b"MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 8
        path.write_bytes(content)
    return sorted(folder.iterdir())


def state() -> tuple[object, ...]:
    """What of a process a library could change."""
    limits = Path("/proc/self/limits").read_text() if Path("/proc/self/limits").exists() else ""
    torch_state = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_rng_state().tolist()
    return list(warnings.filters), warnings.showwarning, limits, dict(os.environ), Path.cwd(), torch_state


def at_once(work: list) -> list:  # type: ignore[type-arg]  # of functions
    """Return what each function gives, all begun in the same moment, with switches as often as they can be."""
    barrier, interval = threading.Barrier(len(work)), sys.getswitchinterval()

    def begin(function):  # type: ignore[no-untyped-def]
        barrier.wait()
        return function()

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(work)) as pool:
            return list(pool.map(begin, work))
    finally:
        sys.setswitchinterval(interval)


def test_eight_threads_give_the_bytes_of_one(predictor: Predictor, album: list[Path]) -> None:
    expected = {path: predictor.predict(path, probabilities=True) for path in album}
    before = state()

    def worker(first: int):  # type: ignore[no-untyped-def]
        order = album[first:] + album[:first]
        return lambda: [(path, predictor.predict(path, probabilities=True)) for path in order for _ in range(ROUNDS // 2)]

    for found in at_once([worker(number) for number in range(THREADS)]):
        assert len(found) == len(album) * (ROUNDS // 2)
        for path, each in found:
            assert each.labels.tobytes() == expected[path].labels.tobytes()
            assert each.probabilities.tobytes() == expected[path].probabilities.tobytes()
    assert state() == before


def test_eight_threads_that_read_leave_the_filters_of_warnings(album: list[Path]) -> None:
    before = state()
    work = [
        lambda read=read: [read(path) for path in album for _ in range(10)]
        for read in (read_image, read_image_as_stored, glance) * 3
    ]
    at_once(work)
    assert state() == before


def test_eight_threads_that_write_files_write_those_of_one(predictor: Predictor, album: list[Path], tmp_path: Path) -> None:
    outputs = ["overlay", "probabilities", "labelme", "coco", "areas"]
    outs = [tmp_path / f"out-{number}" for number in range(THREADS + 1)]
    jobs = {out: find_jobs([str(album[0].parent)], out, outputs) for out in outs}
    predict_files(predictor, jobs[outs[0]], outputs)
    before = state()
    at_once([lambda out=out: predict_files(predictor, jobs[out], outputs) for out in outs[1:]])
    assert state() == before
    contents = [{path.name: path.read_bytes() for path in out.iterdir()} for out in outs]
    assert len(contents[0]) == len(album) * 4 + 2
    assert all(content == contents[0] for content in contents[1:])


def test_models_loaded_by_eight_threads_are_the_same(checkpoint: Path) -> None:
    """Tables of the geometry are made when a model is built."""
    image = np.random.default_rng(3).integers(0, 256, (37, 53, 3), np.uint8)
    expected = load(checkpoint, "cpu").predict(image, probabilities=True).probabilities
    assert expected is not None
    found = at_once([lambda: load(checkpoint, "cpu").predict(image, probabilities=True).probabilities] * THREADS)
    assert all(each.tobytes() == expected.tobytes() for each in found)


def test_models_are_loaded_and_traced_while_others_predict(checkpoint: Path) -> None:
    """torch.fx replaces what every module calls while it traces; who predicts meanwhile must not notice."""
    predictor = load(checkpoint, "cpu")
    image = np.random.default_rng(3).integers(0, 256, (37, 53, 3), np.uint8)
    expected = predictor.predict(image).labels.tobytes()

    def predict() -> bool:
        return all(predictor.predict(image).labels.tobytes() == expected for _ in range(40))

    def trace() -> bool:  # the very net that the others use
        return [layer.name for layer in predictor.model.geometry.layers] == names

    names = [layer.name for layer in predictor.model.geometry.layers]
    original = torch.nn.Module.__call__
    work = [predict] * 4 + [trace] * 2 + [lambda: load(checkpoint, "cpu").predict(image).labels.tobytes() == expected] * 2
    assert at_once(work) == [True] * THREADS
    assert torch.nn.Module.__call__ is original
    assert {type(part.training) for part in predictor.model.modules()} == {bool}
