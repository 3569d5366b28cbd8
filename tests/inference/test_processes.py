"""Many images in several processes: the same files as one, whatever fails or ends on the way."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.cli import main
from fullconv.errors import FullconvError, SpecError
from fullconv.inference.engines.eager import EagerEngine
from fullconv.inference.files import predict_files
from fullconv.inference.jobs import find_jobs
from fullconv.inference.load import load
from fullconv.inference.mapped import written
from fullconv.inference.predictor import Predictor
from fullconv.inference.processes import Processes


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven images of three sizes, one of them cut short."""
    folder = tmp_path_factory.mktemp("album")
    random = np.random.default_rng(0)
    for number in range(11):
        size = [(20, 30), (17, 5), (40, 24)][number % 3]
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{number}.png")
    (folder / "7.png").write_bytes((folder / "7.png").read_bytes()[:100])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_processes_write_the_files_of_one(
    checkpoint: Path, album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the outside, with all that travels to them."""
    told = {}
    command = ["predict", str(checkpoint), str(album), "--confidence", "--areas", "--tta", "flip", "--json", "--device", "cpu"]
    for name, options in (("one", ()), ("two", ("--workers", "2"))):
        assert main([*command, "--out", f"{tmp_path}/{name}", *options]) == 1
        told[name] = json.loads(capsys.readouterr().out)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert len(contents(tmp_path / "two")) == 2 * 10 + 1
    assert told["two"]["predicted"] == told["one"]["predicted"]
    assert told["two"]["failed"] == told["one"]["failed"]
    assert list(told["two"]["failed"]) == [str(album / "7.png")]


class Fatal(EagerEngine):
    """A net whose process the system ends over images that are 5 px wide, each time that it sees one."""

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if batch["rgb"].shape[-1] == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)

    def strips(self, batch: dict[str, torch.Tensor], head: str) -> Iterator[torch.Tensor]:
        yield self(batch)[head]


def test_a_process_that_ends_takes_no_other_image_with_it(checkpoint: Path, album: Path, tmp_path: Path) -> None:
    plain = load(checkpoint, "cpu")
    predict_files(plain, find_jobs([str(album)], tmp_path / "one"))
    fatal = load(checkpoint, "cpu")
    fatal.engine = Fatal(fatal.model)
    jobs = find_jobs([str(album)], tmp_path / "two")
    told: list[tuple[int, int]] = []
    found = predict_files(fatal, jobs, compute=Processes(fatal, 2), progress=lambda done, of, _: told.append((done, of)))
    deadly = {str(album / f"{number}.png") for number in (1, 4, 10)}
    assert set(found.failed) == deadly | {str(album / "7.png")}
    assert all("the process that predicted it ended without a word" in found.failed[name] for name in deadly)
    assert told == [(done, 11) for done in range(1, 12)]  # each image once
    expected = contents(tmp_path / "one")
    assert contents(tmp_path / "two") == {name: expected[name] for name in expected if f"{album}/{name}" not in deadly}


class Stillborn(EagerEngine):
    """A net that ends each process that opens it."""

    def __setstate__(self, state: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_never_begin_are_no_endless_loop(
    checkpoint: Path, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fullconv.inference.processes.BATCH", 1)
    predictor = load(checkpoint, "cpu")
    predictor.engine = Stillborn(predictor.model)
    with pytest.raises(
        FullconvError, match=r"processes ended 3 times before one image was done.* go on with fewer than 2 workers"
    ):
        predict_files(predictor, find_jobs([str(album)], tmp_path / "out"), compute=Processes(predictor, 2))


def test_an_engine_of_ones_own_computes_in_one_process(checkpoint: Path, album: Path, tmp_path: Path) -> None:
    class Own:
        inputs, heads, device = ("rgb",), {"semantic": 7}, torch.device("cpu")

        def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            raise AssertionError("it is refused before")

    predictor = Predictor(Own(), load(checkpoint, "cpu").labels)
    with pytest.raises(SpecError, match=r"other processes know the engines eager, compiled, .* and not Own; predict in one"):
        predict_files(predictor, find_jobs([str(album)], tmp_path / "out"), compute=Processes(predictor, 2))


def test_what_cannot_be_written_stops_everything(checkpoint: Path, album: Path, tmp_path: Path) -> None:
    predictor = load(checkpoint, "cpu")
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(FullconvError, match=r"cannot write .*png: "):
        predict_files(predictor, find_jobs([str(album)], tmp_path / "out"), compute=Processes(predictor, 1))


def test_weights_are_pages_of_the_file(checkpoint: Path, tmp_path: Path) -> None:
    """Mapped, and none of them copied, also after the net has computed; the kernel's own books say so."""
    if not Path("/proc/self/smaps").is_file():
        pytest.skip("only Linux tells which pages are whose")
    predictor, file = load(checkpoint, "cpu"), tmp_path / "model"
    opened = written(predictor, file)(file)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    np.testing.assert_array_equal(opened.predict(image).labels, predictor.predict(image).labels)
    size = sum(weight.numel() * weight.element_size() for weight in opened.model.parameters())
    inside = False
    pages = {"Rss": 0, "Anonymous": 0}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, _, value = line.partition(":")
        if "-" in line.split(" ")[0]:
            inside = line.endswith(str(file))
        elif inside and key in pages:
            pages[key] += 1024 * int(value.split()[0])
    assert pages["Rss"] > 0.9 * size
    assert pages["Anonymous"] == 0


def test_no_workers(checkpoint: Path) -> None:
    predictor: Predictor = load(checkpoint, "cpu")
    with pytest.raises(SpecError, match="0 workers predict nothing; give 1 or more"):
        Processes(predictor, 0)
