"""Large images to files: what is written is what the whole image gives, and a run that was stopped goes on."""

import re
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision.ops import SqueezeExcitation

from fullconv.errors import DataError
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.bands import Bands, unpacked
from fullconv.inference.tiled.jobs import Tiling, too_large
from fullconv.inference.tiled.large import Order, predict_large
from fullconv.inference.tiled.memory import SHARE, advice_for, free_for, window_bytes
from fullconv.inference.tiled.plan import Cut, cut
from fullconv.inference.tiled.staged import StagePlan
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.nn.stages import stages_of

SIZE = (700, 90)


def squeezing() -> nn.Module:
    """Return a classifier with squeeze-and-excitation, which sees the whole image."""
    features = [nn.Conv2d(3, 6, 4, 4), nn.ReLU(), SqueezeExcitation(6, 2), nn.Conv2d(6, 6, 8, 8), nn.ReLU()]
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return load(checkpoint, "cpu")


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (*SIZE, 3), np.uint8)


class StoppedError(Exception):
    """Stands for a kill: nothing of ours catches it."""


def make(predictor: Predictor, image: NDArray[np.uint8], order: Order, how: Cut, stop: int | None = None) -> list[int]:
    """Predict an image, and return the first rows of all windows that were read; stop after so many rows."""
    asked: list[int] = []

    def read(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        asked.append(top)
        return image[top : top + height, left : left + width]

    def progress(done: int, of: int) -> None:
        assert of == SIZE[0]
        if done == stop:
            raise StoppedError

    predict_large(predictor, read, SIZE, lambda: how, order.__class__(**{**vars(order), "progress": progress}))
    return asked


@pytest.mark.parametrize("tile", [None, 64])
def test_stopped_and_begun_again_the_file_is_the_same(
    predictor: Predictor, image: NDArray[np.uint8], tmp_path: Path, tile: int | None
) -> None:
    (trunk,) = predictor.model.trunks.values()
    stages = stages_of(trunk)
    how = Cut(tile or StagePlan([8, 4, 2, 2, 1, 1, 1][-len(stages) :], [40] * len(stages)), 1, 0)
    whole = Order(tmp_path / "whole.png", "semantic", {"confidence": tmp_path / "c.png"}, way="head semantic")
    once = make(predictor, image, whole, how)
    order = Order(tmp_path / "again.png", "semantic", {"confidence": tmp_path / "d.png"}, way="head semantic")
    rows = 512 if tile is None else 320
    with pytest.raises(StoppedError):
        make(predictor, image, order, how, stop=rows)
    with order.bands.open("ab") as file:  # what a kill leaves of a record that was being written
        file.write(b'{"rows": 64, "layers": {"labels": [900, 1, 1, 1]}}\nhalf')
    assert not order.path.exists()
    again = make(predictor, image, order, how)
    assert 0 < len(again) < len(once)
    assert tile is None or len(once) - len(again) == 2 * rows // tile
    assert order.path.read_bytes() == whole.path.read_bytes()
    assert (tmp_path / "d.png").read_bytes() == (tmp_path / "c.png").read_bytes()
    assert not order.bands.exists()
    found = predictor.predict(image, probabilities=True)
    with Image.open(order.path) as labels, Image.open(tmp_path / "c.png") as confidence:
        assert labels.mode == "P"
        assert labels.info["fullconv"] == "head semantic"
        assert np.array_equal(np.asarray(labels), found.labels)
        assert np.abs(np.asarray(confidence) - found.confidence() * 255).max() <= 1


def test_bands_of_another_image_are_thrown_away(predictor: Predictor, image: NDArray[np.uint8], tmp_path: Path) -> None:
    how, path = cut(predictor, SIZE, 0, tile=128), tmp_path / "a.png"
    with pytest.raises(StoppedError):
        make(predictor, image, Order(path, "semantic", identity="one"), how, stop=128)
    make(predictor, 255 - image, Order(path, "semantic", identity="another"), how)
    with Image.open(path) as labels:
        assert np.array_equal(np.asarray(labels), predictor.predict(255 - image).labels)


@settings(max_examples=25)
@given(st.integers(0, 2000), st.integers(1, 3))
def test_of_a_file_that_was_cut_anywhere_the_whole_bands_stay(
    tmp_path_factory: pytest.TempPathFactory, cut_off: int, n: int
) -> None:
    path = tmp_path_factory.mktemp("bands") / "x"
    rows = np.random.default_rng(0).integers(0, 9, (n, 5, 40), np.uint8)
    bands, ends = Bands(path, {"a": 1}), []
    for band in rows:
        bands.add({"labels": band})
        ends.append(path.stat().st_size)
    bands.close()
    whole = max(path.stat().st_size - cut_off, 0)
    path.write_bytes(path.read_bytes()[:whole])
    again = Bands(path, {"a": 1})
    left = sum(end <= whole for end in ends)
    assert again.rows == again.resumed == 5 * left
    again.add({"labels": rows[0]})
    found = np.concatenate([unpacked(piece, 40) for piece in again.pieces("labels")])
    assert np.array_equal(found, np.concatenate([*rows[:left], rows[0]]))
    again.remove()


ALL = ("overlay", "confidence", "entropy", "geojson", "labelme", "areas", "coco")


@pytest.fixture(scope="module")
def both(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, list[str]]]:
    folder = tmp_path_factory.mktemp("both")
    draw = np.random.default_rng(5)
    (folder / "images").mkdir()
    Image.fromarray(draw.integers(0, 256, (150, 170, 3), np.uint8)).save(folder / "images" / "large.png")
    Image.fromarray(draw.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / "images" / "small.png")
    said: list[str] = []
    for name, tiling in (("whole", Tiling()), ("parts", Tiling(tile=64, verify=2, say=said.append))):
        found = predict_files(predictor, find_jobs([str(folder / "images")], folder / name, ALL), ALL, tiling=tiling)
        assert not found.failed
        assert len(found.predicted) == 2
    return folder / "whole", folder / "parts", said


def test_every_output_of_an_image_in_parts_is_that_of_the_whole(both: tuple[Path, Path, list[str]]) -> None:
    whole, parts, said = both
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in parts.iterdir())
    for name in names:
        if name.endswith(".png"):
            with Image.open(whole / name) as one, Image.open(parts / name) as other:
                assert one.mode == other.mode
                difference = np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max()
                assert difference <= (1 if "confidence" in name or "entropy" in name else 0), name
        else:
            assert (whole / name).read_text() == (parts / name).read_text(), name
    assert len(said) == 2
    assert "large.png: 150×170 px, in tiles of 64×64 px, " in said[0]
    assert "logits of 2 windows, computed once more by themselves, differ by" in said[1]
    assert float(said[1].split()[-3]) < 1e-4


def test_what_parts_cannot_give_is_said_for_that_image(predictor: Predictor, tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")

    def failure(model: Predictor, tiling: Tiling, *outputs: str) -> str:
        found = predict_files(model, find_jobs([str(tmp_path / "a.png")], tmp_path / "out", outputs), outputs, tiling=tiling)
        return next(iter(found.failed.values()), "")

    assert "a.png: an image in parts keeps no probabilities" in failure(predictor, Tiling(tile=64), "probabilities")
    assert "its smallest part takes" in failure(predictor, Tiling(memory=1000))
    sees_all = Predictor(build_model("fcn32s-mine", 2, backbone=squeezing), {"semantic": LabelSet(("a", "b"))})
    assert "in parts: the net sees the whole image at once (by " in failure(sees_all, Tiling(tile=64))
    assert failure(sees_all, Tiling(tile=64, approximate=True)) == ""


def test_blended_windows_cover_the_image_and_agree_where_they_can(predictor: Predictor) -> None:
    from fullconv.inference.tiled.blended import predict_blended

    image = np.full((70, 200, 3), 90, np.uint8)
    image[:, 100:] = 200
    read = lambda top, left, height, width: image[top : top + height, left : left + width]  # noqa: E731  # one line says it
    parts = list(predict_blended(predictor, read, (70, 200), tile=80))
    assert [(part.top, part.left, part.labels.shape) for part in parts] == [(0, 0, (70, 200))]
    tall = image.transpose(1, 0, 2)
    read = lambda top, left, height, width: tall[top : top + height, left : left + width]  # noqa: E731
    parts = list(predict_blended(predictor, read, (200, 70), tile=80))
    assert [part.top for part in parts] == [0, 60, 120]
    assert sum(len(part.labels) for part in parts) == 200
    below = list(predict_blended(predictor, read, (200, 70), tile=80, first_row=60))
    assert [np.array_equal(*(part.labels for part in pair)) for pair in zip(parts[1:], below, strict=True)] == [True, True]


def test_memory_without_a_tile_decides_by_itself(predictor: Predictor, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1400, 700, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    whole = predictor.predict(pixels)  # what libraries keep from a first run is taken from here on
    jobs, taken = find_jobs([str(tmp_path / "a.png")], tmp_path / "out"), int(-free_for(predictor.device, 0) / SHARE)
    needed = window_bytes(predictor.model, "semantic", (1400, 700))
    said: list[str] = []
    assert too_large(predictor, "semantic", jobs, Tiling(memory=taken + 8 * needed)) == set()
    found = predict_files(predictor, jobs, tiling=Tiling(memory=taken + needed * 3 // 4, say=said.append))
    assert not found.failed
    assert "1400×700 px, stage by stage, 1." in said[0]
    with Image.open(tmp_path / "out" / "a.png") as labels:
        assert np.array_equal(np.asarray(labels), whole.labels)


def test_the_least_limit_that_is_named_is_enough(predictor: Predictor, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (1400, 700, 3), np.uint8)).save(tmp_path / "a.png")
    jobs, said = find_jobs([str(tmp_path / "a.png")], tmp_path / "out"), []
    (refused,) = predict_files(predictor, jobs, tiling=Tiling(memory=1000)).failed.values()
    named = re.search(r"; allow at least (\d+)MB by --max-memory, or take a smaller model$", refused)
    assert named is not None
    limit = int(named[1]) * 10**6
    assert limit < -free_for(predictor.device, 0) / SHARE + 100_000_000
    assert not predict_files(predictor, jobs, tiling=Tiling(memory=limit, say=said.append)).failed
    assert "1400×700 px, stage by stage" in said[0]
    advice = advice_for(predictor.device, None, 2**50)
    assert re.fullmatch(r"1250999\d+MB have to be free here, and \d+ MB are", advice)
    assert advice_for(predictor.device, 1000, 2**50) == advice


def test_a_small_image_does_not_fit_beside_large_weights(tmp_path: Path) -> None:
    """Of a net whose weights take hundreds of megabytes, which an engine copies, the size of the image says little."""
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    heavy = Predictor(build_model("fcn32s-alexnet", {"semantic": 2}), {"semantic": LabelSet(("no", "yes"))})
    jobs, taken = find_jobs([str(tmp_path / "a.png")], tmp_path / "out"), int(-free_for(heavy.device, 0) / SHARE)
    assert too_large(heavy, "semantic", jobs, Tiling(memory=taken + 300_000_000)) == set(jobs)
    assert too_large(heavy, "semantic", jobs, Tiling(memory=taken + 600_000_000)) == set()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak since a moment")
def test_no_more_memory_is_taken_than_was_allowed(predictor: Predictor, tmp_path: Path) -> None:
    size = (1600, 1700)
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=1)
    predictor.predict(pixels[:64, :64])  # what libraries keep from a first run
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    taken = status("VmRSS")
    assert window_bytes(predictor.model, "semantic", size) > 300_000_000
    found = predict_files(
        predictor, find_jobs([str(tmp_path / "a.png")], tmp_path / "out"), tiling=Tiling(memory=taken + 150_000_000)
    )
    assert not found.failed
    assert status("VmHWM") <= taken + 150_000_000


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024


def test_a_crf_wants_the_whole_image(predictor: Predictor, tmp_path: Path) -> None:
    from fullconv.crf.mean_field import CRFSpec

    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    found = predict_files(
        predictor, find_jobs([str(tmp_path / "a.png")], tmp_path / "out"), crf=CRFSpec(), tiling=Tiling(tile=64)
    )
    assert "a CRF refines whole images, and 100×100 px do not fit" in next(iter(found.failed.values()))


def test_too_long_a_side_for_a_png_is_said(tmp_path: Path) -> None:
    import io

    from fullconv.formats.png_rows import write_png

    with pytest.raises(DataError, match="larger than a PNG can be"):
        write_png(io.BytesIO(), (1, 2**31), [])
