"""CamVid in SegNet's layout, written here."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import open_dataset
from fullconv.errors import DataError
from fullconv.spec import DataSpec


@pytest.fixture
def root(tmp_path: Path) -> Path:
    mask = np.array([[0, 10, 11]], np.uint8)
    for split in ("train", "val", "test"):
        for folder, pixels in ((split, np.zeros((1, 3, 3), np.uint8)), (f"{split}annot", mask)):
            (tmp_path / "CamVid" / folder).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / "CamVid" / folder / "0016E5_00390.png")
    return tmp_path


def test_eleven_classes_and_void(root: Path) -> None:
    for given in (root, root / "CamVid"):
        data = open_dataset(DataSpec(name="camvid", root=given), "test")
        assert (len(data), data.name) == (1, "camvid test")
        assert data[0].targets["semantic"].tolist() == [[0, 10, 255]]
        assert data.labels["semantic"].names[0] == "sky"
        assert len(data.labels["semantic"]) == 11


def test_missing_folder_and_split(root: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'dev' of CamVid in .*there are test, train, val"):
        open_dataset(DataSpec(name="camvid", root=root), "dev")
    with pytest.raises(DataError, match=r"camvid needs its folder"):
        open_dataset(DataSpec(name="camvid"), "train")
