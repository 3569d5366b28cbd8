"""The command ``predict``: lists on standard input, what is skipped, every kind of result, Ctrl-C in the middle."""

import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    (folder / "sea").mkdir(parents=True)
    for number, name in enumerate(("a.png", "sea/b c.png", "sea/\udcff.png")):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def sigint() -> Iterator[None]:
    """A shell starts programs in the background deaf to Ctrl-C; here it is heard."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def say(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    """Put a text on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_a_list_on_standard_input(
    checkpoint: Path, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [str(album / "sea" / "b c.png"), str(album / "sea" / "\udcff.png")]
    say(monkeypatch, b"\r\n".join(map(os.fsencode, listed)) + b"\n\n")
    assert main(["predict", str(checkpoint), str(album / "a.png"), "-", "--out", f"{tmp_path}/out", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["predicted"]) == [str(album / "a.png"), *listed]


def test_an_empty_list(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, b"\n")
    assert main(["predict", str(checkpoint), "-", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "error: nothing to predict; give images, folders or patterns after the checkpoint, or - and a list of them\n"
    )


def test_every_result_and_what_is_skipped(
    checkpoint: Path, album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["predict", str(checkpoint), str(album), "--out", str(out)]
    assert main([*command, "--overlay"]) == 0
    assert capsys.readouterr().err == f"3 of 3 images predicted into {out}\n"
    kinds = ("overlay", "probabilities", "confidence", "entropy", "labelme", "geojson", "coco", "areas")
    (out / "a-overlay.png").unlink()
    assert main([*command, "--overlay"]) == 0
    assert capsys.readouterr().err == (
        f"1 of 3 images predicted into {out}, 2 skipped as their results exist (--overwrite predicts them again)\n"
    )
    assert main([*command, *(f"--{kind}" for kind in kinds), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["skipped"] == []
    assert found["summaries"] == [f"{out}/coco.json", f"{out}/areas.csv"]
    ends = (".png", "-overlay.png", "-probabilities.npy", "-confidence.png", "-entropy.png", ".json", ".geojson")
    assert {path.name for path in out.iterdir()} == {"sea", "coco.json", "areas.csv", *(f"a{end}" for end in ends)}
    assert main([*command, "--overwrite"]) == 0
    assert capsys.readouterr().err == f"3 of 3 images predicted into {out}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_files_and_the_same_command_goes_on(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sigint: None, number: signal.Signals
) -> None:
    album, out, before = tmp_path / "album", tmp_path / "out", signal.getsignal(signal.SIGTERM)
    album.mkdir()
    for grey in range(100):
        Image.fromarray(np.full((40, 60, 3), grey, np.uint8)).save(album / f"{grey}.bmp")

    def interrupt() -> None:
        while not (out / "1.png").exists():
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    command = ["predict", str(checkpoint), str(album), "--out", str(out), "--areas", "--engine", "eager"]
    assert main(command) == 130
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err == f"stopped; every file in {out} is whole, the same command goes on\n"
    left = {path.name for path in out.iterdir()}
    assert 0 < len(left) < 100
    for name in left:
        with Image.open(out / name) as labels:
            assert labels.size == (60, 40)
    assert main(command) == 0
    assert f", {len(left)} skipped" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {*(f"{grey}.png" for grey in range(100)), "areas.csv"}


def test_the_old_name_of_an_option_names_the_new_one(checkpoint: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(checkpoint), str(album), "--out", f"{album}/out", "--scores"]) == 1
    assert capsys.readouterr().err == "error: --scores is now called --probabilities, and writes NAME-probabilities.npy\n"
    assert not (album / "out").exists()
