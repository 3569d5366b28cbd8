"""What a folder's masks hold, against a count by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fullconv.data import open_dataset
from fullconv.data.folder import folder_behind
from fullconv.data.scenes import Scenes
from fullconv.data.survey import survey
from fullconv.errors import DataError
from fullconv.spec import DataSpec

LABELS = {"road": "1, 2", "sky": 3, "sea": 4, "void": "ignore"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, mask in (("a", [[1, 2, 3], [3, 255, 1]]), ("b", [[1, 1, 1], [1, 1, 1]])):
        for folder, pixels in (("images", np.zeros((2, 3, 3), np.uint8)), ("masks", np.array(mask, np.uint8))):
            (tmp_path / folder / "train").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / "train" / f"{name}.png")
    return tmp_path


def test_counts_by_class(root: Path) -> None:
    dataset = open_dataset(DataSpec(name="folder", root=root, labels=LABELS, scale=2.0, count=1), "train")
    folder = folder_behind(dataset)
    assert folder is not None
    found = survey(folder)
    assert found.pixels == {1: 8, 2: 1, 3: 2, 255: 1}
    assert found.images == {1: 2, 2: 1, 3: 1, 255: 1}
    assert found.missing == ["sea"]
    console = Console(width=100)
    with console.capture() as capture:
        console.print(found.table())
    rows = [line.replace("│", " ").split() for line in capture.get().splitlines()]
    assert ["road", "1,", "2", "9", "75.00", "2"] in rows
    assert ["ignore", "255", "1", "8.33", "1"] in rows
    assert folder_behind(Scenes("val", 1)) is None


def test_unknown_values_are_counted_over_all_masks(root: Path) -> None:
    folder = folder_behind(open_dataset(DataSpec(name="folder", root=root, labels={"sky": 3, "void": "ignore"}), "train"))
    assert folder is not None
    with pytest.raises(DataError, match=r"value 1 \(8 px, 66.7 %\), value 2 \(1 px.*first is in .*a.png, 2 of 2 masks have it"):
        survey(folder)
