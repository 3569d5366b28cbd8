"""``fullconv data``: the table, JSON, repaired copies, contact sheets, samples as a net sees them, and Ctrl-C."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.data.scenes.scenes import Scenes

SHORT = ("--data.workers", "0", "--data.augment.crop", "[32, 40]", "--train.batch_size", "4")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of ten scenes with its recipe."""
    monkeypatch.chdir(tmp_path)
    scenes = Scenes("train", 10, (48, 64))
    for i in range(10):
        labels = scenes[i].targets["semantic"].numpy().copy()
        labels[:4] = 255
        for folder, picture in (
            ("images", Image.fromarray(scenes[i].inputs["rgb"].numpy().transpose(1, 2, 0))),
            ("masks", scenes.labels["semantic"].to_image(labels)),
        ):
            path = tmp_path / "photos" / folder / ("val" if i > 6 else "train") / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    (tmp_path / "photos" / "classes.txt").write_text("\n".join(scenes.labels["semantic"].names))
    assert main(["init", "photos"]) == 0
    return tmp_path / "photos"


def test_a_sound_folder_by_recipe_and_by_itself(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["data", "check", "photos.yaml", "--json"]) == 0
    by_recipe = json.loads(capsys.readouterr().out)
    assert main(["data", "check", "photos", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == by_recipe
    assert by_recipe["pairs"] == {"train": 7, "val": 3}
    assert {finding["level"] for finding in by_recipe["findings"]} == {"note"}
    assert by_recipe["classes"]["train"]["ignore"] == {"pixels": 7 * 4 * 64, "masks": 7}


def test_faults_are_told_drawn_and_repaired(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "images" / "train" / "0.png").write_bytes(b"x")
    (photos / "masks" / "val" / "9.png").unlink()
    assert main(["data", "check", "photos.yaml", "--out", "sheets", "--fix", "fixed"]) == 0
    printed, told = capsys.readouterr()
    assert "1 image that cannot be read: 0" in printed
    assert "what the masks mean" in printed
    assert "2 errors, 0 warnings" in told
    assert "look at sheets/train.png, sheets/val.png" in told
    assert "fixed: 8 pairs copied, 2 left out; train on it with --data.root fixed" in told
    assert main(["data", "check", "photos.yaml"]) == 1
    assert main(["data", "check", "photos.yaml", "--root", "fixed"]) == 0
    with Image.open("sheets/train.png") as sheet:
        assert sheet.width > 1000


def test_what_a_net_sees(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fullconv.data import open_dataset
    from fullconv.data.loading import train_loader
    from fullconv.spec.recipe import load_recipe, parse_overrides

    given = [*SHORT, "--train.sampling", "uniform"]
    assert main(["data", "show", "photos.yaml", *given]) == 0
    assert "photos-samples.png: the first 12 samples that training sees" in capsys.readouterr().err
    recipe = load_recipe("photos.yaml", parse_overrides(given))
    loader = train_loader(open_dataset(recipe.data, "train"), recipe.data, 4, recipe.train.seed, steps=1)
    first = next(iter(loader))["inputs"]["rgb"][0].numpy().transpose(1, 2, 0)
    with Image.open("photos-samples.png") as sheet:
        drawn = sheet.crop((8, 0, 208, sheet.height)).convert("RGB")
    small = np.array(Image.fromarray(np.ascontiguousarray(first)).resize((200, 160), Image.Resampling.LANCZOS)).astype(int)
    apart = [np.abs(np.array(drawn)[top : top + 160] - small).mean() for top in range(8, 60)]
    assert min(apart) < 1e-9


def test_a_folder_with_a_fault_does_not_train(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "images" / "val" / "8.png").write_bytes(b"x")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(photos / "masks" / "train" / "2.png")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(photos / "masks" / "train" / "extra.png")
    capsys.readouterr()
    assert main(["train", "photos.yaml", "--model.name", "fcn8s-minivgg", "--model.weights", "null", "--out", "run"]) == 1
    told = capsys.readouterr().err
    assert "warning: 1 mask without image: extra" in told
    assert "error: photos: 1 image that cannot be read: 8;" in told
    assert "; 1 more: `fullconv data check RECIPE` tells all" in told
    assert not Path("run").exists()


def test_mistakes_are_one_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for arguments, code, line in (
        (["check", "nowhere"], 1, "error: nowhere is no data set (scenes, voc2011, voc2012, "),
        (["check", "voc2012"], 1, "error: voc2012 needs its folder"),
        (["check", "photos.yaml", "--fix", "photos/x"], 1, "error: --fix photos/x must be a new or empty folder outside"),
        (["check"], 2, 'error: Command "data check" parameter TARGET requires an argument; see `fullconv data check --help`'),
        (["chek"], 2, "error: Unknown command"),
        (["show", "photos.yaml", "--data.root", "none"], 1, "error: none is no folder"),
    ):
        assert main(["data", *arguments]) == code
        told = capsys.readouterr().err.splitlines()
        assert told[-1].startswith(line), told
        assert len(told) <= 2


@pytest.fixture
def ctrl_c_soon() -> Iterator[None]:
    """What a person presses after a while."""
    handlers = {
        signal.SIGINT: signal.default_int_handler,  # where tests run in the background it is ignored
        signal.SIGALRM: lambda *_: os.kill(os.getpid(), signal.SIGINT),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_stops_at_once(ctrl_c_soon: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "scenes"]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert multiprocessing.active_children() == []


def test_swapped_folders_are_seen(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted(photos.rglob("masks/*/*.png")):  # photographs of many colours, where scenes' few might be labels
        noise = np.random.default_rng(int(path.stem)).integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(noise).save(photos / "images" / path.parent.name / path.name)
    (photos / "images").rename(photos / "aside")
    (photos / "masks").rename(photos / "images")
    (photos / "aside").rename(photos / "masks")
    capsys.readouterr()
    for command in (["init", "photos", "--out", "again.yaml"], ["data", "check", "photos"]):
        assert main(command) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert "masks/{split} holds photographs and images/{split} what looks like masks; are the two swapped?" in said
