"""``splits.csv`` names files as they would be if each were resolved by itself."""

import csv
from pathlib import Path

from fullconv.data.folder.folder import FolderSegmentation
from fullconv.data.pairs import Pair
from fullconv.labelmap import parse_label_map
from fullconv.spec import DataSpec
from fullconv.training.splits_file import write_splits


def test_links_are_written_as_what_they_point_to(tmp_path: Path) -> None:
    root, other = tmp_path / "own", tmp_path / "elsewhere"
    files = [root / "images/a.jpg", root / "images/deep/b.jpg", root / "top.jpg", other / "c.jpg", other / "d.jpg"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root / "images/linked.jpg").symlink_to(other / "d.jpg")
    (root / "images/inside.jpg").symlink_to(root / "top.jpg")
    (root / "site").symlink_to(other)
    (tmp_path / "alias").symlink_to(root)
    given = [*files, root / "images/linked.jpg", root / "images/inside.jpg", root / "site/c.jpg", tmp_path / "alias/images/a.jpg"]
    given += [root / "images/../top.jpg", root / "images/gone.jpg"]
    pairs = [Pair(f"{place}", file, file) for place, file in enumerate(given)]
    data = FolderSegmentation("own", pairs, parse_label_map({"background": 0, "thing": 1}))
    spec = DataSpec(name="folder", root=root, train="train", val="train", labels={"background": 0, "thing": 1})
    write_splits(tmp_path / "splits.csv", spec, data, data)
    with (tmp_path / "splits.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    whole = [file.resolve() for file in given]
    expected = [(file.relative_to(root.resolve()) if file.is_relative_to(root.resolve()) else file).as_posix() for file in whole]
    assert [row["image"] for row in rows] == [row["mask"] for row in rows] == expected
    assert {"images/a.jpg", "images/deep/b.jpg", "top.jpg", (other / "c.jpg").as_posix()} <= set(expected)
