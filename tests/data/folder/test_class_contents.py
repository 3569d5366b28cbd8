"""One mask a class whose files are no plain 0 and 255: all classes are read, or ``init`` stops; overlaps are told."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.data import open_dataset
from fullconv.data.folder.layout import Wanted, guess_layout
from fullconv.doctor import examine
from fullconv.errors import DataError
from fullconv.spec.recipe import load_recipe

ROAD, CAR = np.zeros((2, 24, 32), bool)
ROAD[4:12, 3:20] = True
CAR[9:20, 12:30] = True

Write = Callable[[np.ndarray, Path], None]


def plain(inside: np.ndarray, path: Path) -> None:
    Image.fromarray(inside * np.uint8(255)).save(path)


def instances(inside: np.ndarray, path: Path) -> None:
    numbers = inside * np.uint8(3)
    numbers[:, :16] = inside[:, :16]
    numbers[:, 24:] = inside[:, 24:] * 2
    Image.fromarray(numbers).save(path)


def many(inside: np.ndarray, path: Path) -> None:
    Image.fromarray((inside * (np.arange(32) // 4 * 100 + 5)).astype(np.uint16)).save(path)


def cut_out(inside: np.ndarray, path: Path) -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (*inside.shape, 3))
    Image.fromarray(np.dstack([photograph, inside * 255]).astype(np.uint8)).save(path)


def red(inside: np.ndarray, path: Path) -> None:
    Image.fromarray(np.dstack([inside * 0 + 255, inside * 0, inside * 0, inside * 255]).astype(np.uint8)).save(path)


def strange(inside: np.ndarray, path: Path) -> None:
    Image.fromarray((inside * np.linspace(101, 200, 32)).astype(np.uint8)).save(path)


def inverted(inside: np.ndarray, path: Path) -> None:
    plain(~inside, path)


def made(root: Path, road: Write, car: Write) -> Path:
    for folder in ("images", "masks/road", "masks/car"):
        (root / folder).mkdir(parents=True)
    for number in range(10):
        image = np.random.default_rng(number).integers(0, 256, (*ROAD.shape, 3)).astype(np.uint8)
        Image.fromarray(image).save(root / f"images/{number}.png")
        road(ROAD, root / f"masks/road/{number}.png")
        car(CAR, root / f"masks/car/{number}.png")
    return root


@pytest.mark.parametrize(
    ("road", "car"), [(plain, instances), (instances, plain), (plain, many), (cut_out, instances), (red, cut_out)]
)
def test_objects_may_be_numbered_or_cut_out(road: Write, car: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "own", road, car)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "own"]) == 0
    data = load_recipe(tmp_path / "own.yaml").data
    dataset = open_dataset(data, "val")
    names = np.array(dataset.labels["semantic"].names)
    found = names[dataset[0].targets["semantic"].numpy()]
    assert (found == np.where(ROAD, "road", np.where(CAR, "car", "background"))).all()  # road is the later one


@pytest.mark.parametrize(("road", "car"), [(plain, strange), (strange, plain)])
def test_a_file_that_is_no_mask_of_its_class_stops_init(road: Write, car: Write, tmp_path: Path) -> None:
    wrong = "car" if car is strange else "road"
    with pytest.raises(DataError, match=rf"masks/{wrong}/\d.png: the values .* by their names .* each of car, road: mend it"):
        guess_layout(made(tmp_path, road, car))
    assert guess_layout(tmp_path, Wanted(masks="masks/car")).folder.masks == "masks/car"


def test_numbers_in_the_masks_of_every_class_are_asked_about(tmp_path: Path) -> None:
    made(tmp_path, instances, instances)
    with pytest.raises(
        DataError, match=r"several numbers, of classes or of objects; .*--masks 'masks/\{class\}' where it numbers"
    ):
        guess_layout(tmp_path)
    assert guess_layout(tmp_path, Wanted(masks="masks/{class}")).folder.classes == ("car", "road")
    assert guess_layout(tmp_path, Wanted(masks="masks/road")).folder.classes == ()


@pytest.mark.parametrize(
    ("road", "car", "message"),
    [
        (inverted, inverted, r"60% of the pixels in 10 images are in two classes or more"),
        (inverted, plain, r"road covers more than half of every image, the other classes too"),
        (plain, plain, None),
    ],
)
def test_overlaps_of_inverted_masks_are_told(
    road: Write,
    car: Write,
    message: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made(tmp_path / "own", road, car)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "own"]) == 0
    said = capsys.readouterr().err
    found = [finding.what for finding in examine(load_recipe(tmp_path / "own.yaml").data).findings if "overlap" in finding.kind]
    if message is None:
        assert "warning" not in said
        assert not found
    else:
        assert [bool(re.search(message, text)) for text in (said, *found)] == [True, True]
        assert "invert those masks" in said
