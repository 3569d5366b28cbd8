"""The command ``video``: its options, its words, its exit code."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main


def test_an_image_sequence_becomes_a_labelled_video(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames, out = tmp_path / "walk", tmp_path / "out"
    frames.mkdir()
    for number in range(9, 12):
        Image.fromarray(np.full((24, 32, 3), number * 20, np.uint8)).save(frames / f"{number}.png")
    command = ["video", str(checkpoint), str(frames), "--out", str(out)]
    assert main(command) == 1
    assert "give --fps, such as 25" in capsys.readouterr().err
    assert main([*command, "--fps", "10", "--pngs", "--areas", "--json"]) == 0
    shown = capsys.readouterr()
    assert f"{frames}: 3 frames, 0.30 s; walk.csv, walk.mp4, walk, walk.json written into {out}" in shown.err
    assert json.loads(shown.out)["frames"] == 3
    assert sorted(path.name for path in (out / "walk").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    assert main([*command, "--fps", "10"]) == 0
    assert "the results of 3 frames, 0.30 s are in" in capsys.readouterr().err
    assert main(["video", str(checkpoint), str(frames / "9.png"), "--fps", "10"]) == 1
    assert "--fps 10 is of folders of images" in capsys.readouterr().err
    assert main([*command[:3], "--out", str(frames), "--fps", "10"]) == 1
    assert "is the images' own folder" in capsys.readouterr().err
