"""Where output goes: full disks, closed pipes, terminals with few signs, names with strange ones; never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main

FULL = Path("/dev/full")


def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fullconv", *map(str, arguments)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **options)  # type: ignore[call-overload]


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["recipes", "--json"]])
def test_a_full_disk_behind_the_output(arguments: list[str], buffered: str) -> None:
    with FULL.open("w") as full:
        found = run(*arguments, stdout=full, env={**os.environ, "PYTHONUNBUFFERED": buffered})
    assert (found.returncode, found.stderr) == (1, "error: cannot print the result: No space left on device\n")


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_who_left(buffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    found = run("recipes", "--json", stdout=writer, env={**os.environ, "PYTHONUNBUFFERED": buffered})
    os.close(writer)
    assert (found.returncode, found.stderr) == (1, "")


def test_a_terminal_without_our_signs() -> None:
    found = run("config", "scenes-fcn8s-minivgg", stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert found.returncode == 0
    assert "the stride ? stride pixels" in " ".join(found.stdout.split())  # lines are as wide as the terminal
    assert "Traceback" not in found.stderr


def test_names_with_strange_signs_stay_on_their_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine, broken = tmp_path / os.fsdecode(b"fine\xff [1].png"), tmp_path / "two\nlines.jpg"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(fine)
    broken.write_bytes(b"x")
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(tmp_path), "--out", str(out), "--json"]) == 1
    printed, told = capsys.readouterr()
    assert printed.count("\n") == 1
    assert list(json.loads(printed)["predicted"]) == [str(fine)]
    assert told.splitlines() == [
        f"error: {tmp_path}/two lines.jpg: cannot be read: not an image, or of a format that PIL does not read",
        f"1 of 2 images predicted into {out}, 1 failed",
    ]
    assert (out / fine.name).is_file()


def test_names_that_are_no_text_in_a_real_process() -> None:
    found = run("config", os.fsdecode(b"lost\xff.yaml"), stdout=subprocess.PIPE)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("error: no recipe is called 'lost\\udcff.yaml' and no such file exists")
    assert "Traceback" not in found.stderr


def test_usage_points_to_the_commands_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict"]) == 2
    assert capsys.readouterr().err == (
        'error: Command "predict" parameter CHECKPOINT requires an argument; see `fullconv predict --help`\n'
    )


@pytest.mark.parametrize("count", ["0", "-1"])
def test_no_pictures_cannot_be_measured(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "model.safetensors", "--data", "scenes", f"--count={count}"]) == 2
    assert capsys.readouterr().err == (
        f'error: Invalid value "{count}" for --count. Must be >= 1; see `fullconv evaluate --help`\n'
    )


@pytest.mark.parametrize("name", ["photo.png", "heat.jpg", "heat"])
def test_a_heat_map_never_replaces_its_picture(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    before = (tmp_path / "photo.png").read_bytes()
    assert main(["heatmap", "squeezenet1_1", f"{tmp_path}/photo.png", "--out", f"{tmp_path}/{name}"]) == 1
    assert capsys.readouterr().err == (
        f"error: --out {tmp_path}/{name}: the heat map is written as an image of its own; give a new name that ends in .png\n"
    )
    assert (tmp_path / "photo.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_folder_without_pictures_and_one_as_an_image(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(checkpoint), str(tmp_path), "--out", f"{tmp_path}/out"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: no images in this folder; looked for .apng, ")
    assert main(["heatmap", "squeezenet1_1", str(tmp_path), "--out", f"{tmp_path}/h.png"]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: a folder, not an image\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("x")
    assert main(["predict", str(checkpoint), f"{tmp_path}/a.png", "--out", f"{tmp_path}/file"]) == 1
    assert capsys.readouterr().err.startswith(f"error: cannot write {tmp_path}/file/a.png: File exists. What was there before")
    assert (tmp_path / "file").read_text() == "x"
