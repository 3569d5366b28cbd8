"""The guide's commands, as they stand there, on a small folder made here."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from fullconv.cli import main
from fullconv.data.scenes.scenes import Scenes

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    for line in block.splitlines()
]
SHORT = ["--train.stages", "[{stride: 32, steps: 2}, {stride: 16, steps: 1}, {stride: 8, steps: 1}]", "--train.batch_size", "2"]
"""Put to the guide's training, which takes minutes otherwise."""


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``photos`` as the guide describes it, and weights that stand for ImageNet's."""
    scenes = Scenes("train", 12, (64, 96))
    palette = scenes.labels["semantic"]
    for index in range(12):
        sample = scenes[index]
        for folder, suffix, picture in (
            ("images", "jpg", Image.fromarray(sample.inputs["rgb"].numpy().transpose(1, 2, 0))),
            ("masks", "png", palette.to_image(sample.targets["semantic"].numpy())),
        ):
            path = tmp_path / "photos" / folder / f"{index}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    (tmp_path / "photos" / "classes.txt").write_text("\n".join(palette.names))
    torch.manual_seed(0)
    save_file(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "squeezenet1_1.safetensors")
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_guide_runs_as_it_stands_there(photos: Path) -> None:
    assert [command[1] for command in COMMANDS] == ["init", "data", "data", "train", "evaluate", "predict"]
    for command in COMMANDS:
        assert command[0] == "fullconv"
        short = SHORT if command[1] == "train" else []
        assert main([*command[1:], *short]) == 0, command
    for made in ("samples.png", "run/predictions.png", "report/report.html"):
        assert (photos / made).stat().st_size > 1000
    assert list((photos / "check").glob("*.png"))
    for index in range(12):
        with Image.open(photos / "labels" / f"{index}.png") as labels:
            assert (labels.mode, labels.size) == ("P", (96, 64))
            assert np.asarray(labels).max() < 7
        assert (photos / "labels" / f"{index}-overlay.png").is_file()
