"""SBD beside VOC, in files of the official formats written here."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fullconv.data import open_dataset
from fullconv.errors import DataError
from fullconv.spec import DataSpec

VOC_TRAIN, VOC_VAL = ["2007_000032", "2007_000039"], ["2007_000033", "2007_000042"]
SBD_TRAIN, SBD_VAL = ["2007_000032", "2007_000033", "2008_000002"], ["2008_000008", "2007_000042"]
SIZE = 3, 4


def write_sbd(root: Path) -> None:
    (root / "img").mkdir(parents=True)
    (root / "cls").mkdir()
    for name in SBD_TRAIN + SBD_VAL:
        Image.fromarray(np.full((*SIZE, 3), 9, np.uint8)).save(root / "img" / f"{name}.jpg")
        # as the release stores it: a structure with boundaries, segmentation and categories
        content = {"Boundaries": np.zeros((20, 1), object), "Segmentation": np.full(SIZE, 7, np.uint8), "CategoriesPresent": [7]}
        scipy.io.savemat(root / "cls" / f"{name}.mat", {"GTcls": content})
    (root / "train.txt").write_text("\n".join(SBD_TRAIN))
    (root / "val.txt").write_text("\n".join(SBD_VAL) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True)
    for name in VOC_TRAIN + VOC_VAL:
        Image.fromarray(np.full((*SIZE, 3), 50, np.uint8)).save(voc / "JPEGImages" / f"{name}.jpg")
        Image.fromarray(np.full(SIZE, 255, np.uint8)).save(voc / "SegmentationClass" / f"{name}.png")
    (voc / "ImageSets/Segmentation/train.txt").write_text("\n".join(VOC_TRAIN))
    (voc / "ImageSets/Segmentation/val.txt").write_text("\n".join(VOC_VAL))
    write_sbd(tmp_path / "benchmark_RELEASE" / "dataset")
    return tmp_path


def spec(root: Path, **changes: object) -> DataSpec:
    return DataSpec(name="sbd-voc2012", root=root, **changes)  # type: ignore[arg-type]


def test_train_is_sbd_without_what_is_measured(root: Path) -> None:
    data = open_dataset(spec(root), "train")
    assert [data[index].name for index in range(len(data))] == ["2007_000032", "2008_000002"]
    assert (data[0].targets["semantic"].numpy() == 7).all()
    assert data[0].inputs["rgb"].shape == (3, *SIZE)


def test_trainaug_is_both_with_vocs_masks_where_there_are_two(root: Path) -> None:
    data = open_dataset(spec(root, train="trainaug"), "trainaug")
    values = {data[index].name: int(data[index].targets["semantic"][0, 0]) for index in range(len(data))}
    assert values == {"2007_000032": 255, "2007_000039": 255, "2008_000002": 7, "2008_000008": 7}


def test_measuring_is_vocs(root: Path) -> None:
    data = open_dataset(spec(root), "val")
    assert (data.name, len(data)) == ("voc2012 val", 2)
    with pytest.raises(DataError, match=r"sbd has no split 'trainaug' to measure on; take one of VOC2012's"):
        open_dataset(spec(root, val="trainaug"), "train")


def test_other_places(root: Path) -> None:
    (root / "benchmark_RELEASE" / "dataset").rename(root / "SBD")
    assert len(open_dataset(spec(root), "train")) == 2


def test_faults_are_named(root: Path) -> None:
    sbd = root / "benchmark_RELEASE" / "dataset"
    (sbd / "cls" / "2007_000032.mat").write_bytes(b"not a matrix")
    with pytest.raises(DataError, match=r"2007_000032.mat: cannot be read as a MATLAB file"):
        open_dataset(spec(root), "train")[0]
    scipy.io.savemat(sbd / "cls" / "2007_000032.mat", {"GTinst": 1})
    with pytest.raises(DataError, match=r"2007_000032.mat: no GTcls.Segmentation in it; it has GTinst"):
        open_dataset(spec(root), "train")[0]
    (sbd / "cls" / "2007_000032.mat").write_bytes(b" " * 512 + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError, match=r"2007_000032.mat: a MATLAB 7.3 file, and this data set has version 5"):
        open_dataset(spec(root), "train")[0]
    (sbd / "cls" / "2008_000002.mat").unlink()
    with pytest.raises(
        DataError, match=r"sbd train: files are missing in .*: 1 of 2 cls/ID.mat \(2008_000002\); complete the copy"
    ):
        open_dataset(spec(root), "train")
    (sbd / "train.txt").unlink()
    with pytest.raises(DataError, match=r"train.txt: no such file; SBD's list of image ids belongs there"):
        open_dataset(spec(root), "train")
    (sbd / "img").rename(sbd / "image")
    with pytest.raises(DataError, match=r"no SBD at .*looked for img/ and cls/ in SBD, benchmark_RELEASE/dataset"):
        open_dataset(spec(root), "train")
