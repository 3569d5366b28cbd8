"""PASCAL-Context in files of its own format, written here; its classes against those of the reference."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from official_files import fill
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.sets.pascal_context import CONTEXT, NAMED_OTHERWISE, open_pascal_context
from fullconv.errors import DataError
from fullconv.spec import DataSpec

OFFICIAL = {"aeroplane": 2, "tvmonitor": 427, "bag": 9, "table": 397, "cloth": 80, "bedclothes": 19, "wood": 458, "window": 454}
"""Numbers of the official labels.txt; the other classes get numbers from 100 on here."""
NO_CLASS = {"air conditioner": 3, "unknown": 431, "wool": 459}
RENAMED = {"diningtable": "table", "clothes": "cloth", "bedcloth": "bedclothes"}
OTHERS = [name for name in (RENAMED.get(name, name) for name in CONTEXT.names[1:]) if name not in OFFICIAL]
NUMBERS = OFFICIAL | {name: 100 + place for place, name in enumerate(OTHERS)}
LABEL_MAP = np.array([0] + [NUMBERS[RENAMED.get(name, name)] for name in CONTEXT.names[1:]], np.uint16).reshape(5, 12)
"""A pixel of every class in their order, background first."""
IDS = {"train": [f"2008_{n:06d}" for n in range(4998)], "val": [f"2009_{n:06d}" for n in range(5105)]}
FIRST = IDS["val"][0]


def write_names(path: Path) -> None:
    path.write_text("".join(f"{number}: {name}\n" for name, number in sorted((NUMBERS | NO_CLASS).items())))


def write_annotation(root: Path, split: str) -> None:
    (root / "trainval").mkdir(parents=True, exist_ok=True)
    first = IDS[split][0]
    scipy.io.savemat(root / "trainval" / f"{first}.mat", {"LabelMap": LABEL_MAP}, do_compression=True)
    fill(root / "trainval", first, IDS[split], ".mat")
    write_names(root / "labels.txt")


def write_voc(root: Path, split: str) -> None:
    for folder in ("JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    first = IDS[split][0]
    Image.fromarray(np.full((*LABEL_MAP.shape, 3), 90, np.uint8)).save(root / "JPEGImages" / f"{first}.jpg")
    fill(root / "JPEGImages", first, IDS[split], ".jpg")
    (root / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(IDS[split]) + "\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests, as it has 10 210 files; they leave it as it is."""
    root = tmp_path_factory.mktemp("context")
    write_voc(root / "VOCdevkit" / "VOC2010", "val")
    write_annotation(root / "pascal-context", "val")
    return root


@pytest.fixture
def replaced(whole: Path) -> Iterator[Callable[[dict[str, object] | bytes], None]]:
    """Write other content to the label map of the first of val, for one test."""
    path = whole / "pascal-context" / "trainval" / f"{FIRST}.mat"

    def write(content: dict[str, object] | bytes) -> None:
        path.unlink()
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            scipy.io.savemat(path, content)

    yield write
    path.unlink()
    path.hardlink_to(path.with_name(f"{IDS['val'][1]}.mat"))


def spec(root: Path) -> DataSpec:
    return DataSpec(name="pascal-context", root=root)


def test_every_class_is_found_by_its_number(whole: Path) -> None:
    data = open_dataset(spec(whole), "val")
    sample = data[0]
    assert (data.name, sample.name, len(data)) == ("pascal-context val", FIRST, 5105)
    assert sample.inputs["rgb"].shape == (3, 5, 12)
    assert sample.targets["semantic"].flatten().tolist() == list(range(60))
    names = data.labels["semantic"].names
    assert [names[label] for label in (0, 1, 20, 21, 59)] == ["background", "aeroplane", "tvmonitor", "bag", "wood"]


def test_all_else_is_background(whole: Path, replaced: Callable[[dict[str, object]], None]) -> None:
    stored = np.full((5, 12), 427, np.uint16)
    stored[0, :6] = [0, 3, 431, 459, 460, 65535]
    replaced({"LabelMap": stored})
    mask = open_dataset(spec(whole), "val")[0].targets["semantic"].numpy()
    assert (mask == 0).sum() == 6
    assert (mask[0, :6] == 0).all()
    assert CONTEXT.names[mask[4, 11]] == "tvmonitor"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"LabelMap": np.ones((4, 3))},
            r"2009_000000: images and masks must have one height and width; got rgb 5x12, semantic 4x3",
        ),
        ({"LabelMap": -np.ones((3, 4))}, r"LabelMap must hold whole numbers 0 to 65535; 12 px have others, such as -1$"),
        ({"S": np.ones((3, 4))}, r"2009_000000.mat: no LabelMap in it; it has S"),
        (b" " * 512 + b"\x89HDF\r\n\x1a\n", r"2009_000000.mat: a MATLAB 7.3 file, and this data set has version 5"),
        (b"not a matrix", r"2009_000000.mat: cannot be read as a MATLAB file"),
    ],
)
def test_a_damaged_label_map_is_one_clear_line(
    whole: Path, replaced: Callable[[dict[str, object] | bytes], None], content: dict[str, object] | bytes, message: str
) -> None:
    replaced(content)
    with pytest.raises(DataError, match=message):
        open_dataset(spec(whole), "val")[0]


def test_lists_of_another_length_are_not_the_split(tmp_path: Path) -> None:
    voc = tmp_path / "VOC2010"
    for folder in (voc / "JPEGImages", voc / "ImageSets/Main", tmp_path / "trainval"):
        folder.mkdir(parents=True)
    with pytest.raises(DataError, match=r"no list of PASCAL-Context's train: looked for .*train.txt and .*Main/train.txt"):
        open_pascal_context(spec(tmp_path), "train")
    (voc / "ImageSets/Main/train.txt").write_text("\n".join(f"2012_{n:06d}" for n in range(5717)))
    with pytest.raises(DataError, match=r"Main/train.txt: lists 5717 images, and train of .* has 4998; take VOC2010's"):
        open_pascal_context(spec(tmp_path), "train")
    # the copy's own list goes first
    (tmp_path / "train.txt").write_text("2008_000001\n2008_000001\n")
    with pytest.raises(DataError, match=r"/train.txt: lists 1 images, and train of PASCAL-Context has 4998"):
        open_pascal_context(spec(tmp_path), "train")
    with pytest.raises(DataError, match=r"no split 'test' of PASCAL-Context; there are train, val"):
        open_pascal_context(spec(tmp_path), "test")


def test_what_the_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pascal-context needs its folder .*; got None"):
        open_dataset(DataSpec(name="pascal-context"), "val")
    with pytest.raises(DataError, match=r"no VOC2010 in .*: looked for JPEGImages in VOCdevkit/VOC2010, VOC2010 and"):
        open_pascal_context(spec(tmp_path), "val")
    voc = tmp_path / "VOC2010"
    for folder in ("JPEGImages", "ImageSets/Main"):
        (voc / folder).mkdir(parents=True)
    with pytest.raises(DataError, match=r"no PASCAL-Context in .*: looked for trainval in pascal-context.* trainval.tar.gz"):
        open_pascal_context(spec(tmp_path), "val")
    (voc / "trainval").mkdir()
    (voc / "val.txt").write_text("\n".join(IDS["val"]))
    with pytest.raises(DataError, match=r"labels.txt: no such file; PASCAL-Context's list of names"):
        open_pascal_context(spec(tmp_path), "val")
    (voc / "labels.txt").write_text("".join(f"{place}: {name}\n" for place, name in enumerate(CONTEXT.names) if place))
    with pytest.raises(DataError, match=r"labels.txt: 3 of the 59 classes have no line .*: table, cloth, bedclothes; take the"):
        open_pascal_context(spec(tmp_path), "val")
    write_names(voc / "labels.txt")
    named = (voc / "labels.txt").read_text()
    (voc / "labels.txt").write_text(named.replace(f"{NUMBERS['dog']}: dog", f"{NUMBERS['cat']}: dog"))
    with pytest.raises(DataError, match=r"labels.txt: .*cat.* share a number with another name; copy it again"):
        open_pascal_context(spec(tmp_path), "val")
    (voc / "labels.txt").write_text(named + f"{'9' * 5000}: nothing\n")
    with pytest.raises(DataError, match=r"val: files are missing"):
        open_pascal_context(spec(tmp_path), "val")
    write_names(voc / "labels.txt")
    with pytest.raises(DataError, match=r"val: files are missing in .*VOC2010: 5105 of 5105 JPEGImages/ID.jpg \(2009_000000, "):
        open_pascal_context(spec(tmp_path), "val")


@pytest.mark.realdata
def test_classes_and_numbers_are_the_official_ones(shared_data: Path) -> None:
    lists = shared_data / "lists" / "pascal-context"
    classes, numbers = (
        {name: int(number) for number, name in (line.split(": ") for line in (lists / file).read_text().splitlines())}
        for file in ("classes-59.txt", "classes-400.txt")
    )
    assert classes == {name: label for label, name in enumerate(CONTEXT.names)}
    assert {name for name in CONTEXT.names[1:] if name not in numbers} == NAMED_OTHERWISE.keys()
    assert {name: numbers[name] for name in OFFICIAL | NO_CLASS} == OFFICIAL | NO_CLASS
