"""Depth beside images: one planted fault each is found before training is, and repaired copies train."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planted import SIZE, Folder, photograph, says, turned

from fullconv.data import open_dataset
from fullconv.doctor import examine
from fullconv.doctor.examine import open_context
from fullconv.doctor.repair import repair
from fullconv.errors import DataError
from fullconv.spec import FolderSpec

CAMERA = "60,60,31.5,23.5,48,64"


@pytest.fixture
def deep(folder: Folder) -> Folder:
    """Every image has a slope from 1 to 3 m as its depth, in millimetres, a quarter of it holes."""
    for number in range(14):
        depth = np.linspace(3000, 1000, SIZE[0]).astype(np.uint16)[:, None].repeat(SIZE[1], 1)
        depth[:, :16] = 0
        depth_of(folder, number).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(depth).save(depth_of(folder, number))
    return folder


def depth_of(folder: Folder, number: int) -> Path:
    return Path(str(folder.image(number)).replace("images", "depth"))


def given(*streams: str, **folder: object) -> dict[str, Any]:
    settings = {"depth": "depth/{split}", "depth_unit": "millimetres", "camera": CAMERA} | folder
    return {"streams": streams, "folder": FolderSpec.model_validate(settings)}


def test_sound_depth_is_described(deep: Folder) -> None:
    found = deep.examine(**given("rgb", "hha"))
    assert found.of("error") + found.of("warning") == []
    (note,) = [finding for finding in found.of("note") if finding.kind == "depth"]
    says(note, "note", 14, r"^depth maps have medians of 2 to 2 m, half of them below 2 m; 25% are holes$")
    assert [finding for finding in deep.examine(**given("rgb")).findings if finding.kind == "depth"] == []


def test_missing_damaged_and_small_depth(deep: Folder) -> None:
    depth_of(deep, 3).unlink()
    says(deep.only(**given("rgb", "depth")), "error", 1, r"^1 image without depth: 3$")
    depth_of(deep, 11).write_bytes(b"nothing")
    Image.fromarray(np.zeros(SIZE, np.uint16)).save(depth_of(deep, 12))
    Image.fromarray(np.full((10, 12), 2000, np.uint16)).save(depth_of(deep, 0))
    missing, broken, small = deep.examine(**given("rgb", "depth")).of("error")
    says(missing, "error", 1, "without depth: 3$")
    says(broken, "error", 2, r"^2 depth maps that cannot be read: 11, 12; the first: .*11\.png: cannot be read")
    says(small, "error", 1, r"^1 depth map not of the mask's size: 0; the first is 10×12, its mask 48×64 \(H×W\)$")
    assert deep.examine(**given("rgb")).of("error") == []


def test_mistaken_units_and_cameras(deep: Folder) -> None:
    says(deep.only(**given("depth", depth_unit="metres")), "error", 14, "2000 m, .*it looks like millimetres taken for metres")
    says(
        deep.only(**given("hha", camera="60,60,23.5,31.5,64,48")),
        "error",
        14,
        r"^14 images that the camera is not for: .*of another",
    )
    with pytest.raises(DataError, match=r"HHA needs the camera: set data\.folder\.camera"):
        deep.examine(**given("hha", camera=None))
    with pytest.raises(DataError, match=r"data\.folder\.depth_unit is missing"):
        deep.examine(**given("depth", depth_unit=None))
    with pytest.raises(DataError, match=r"the streams rgb, depth of a folder need its depth: set data\.folder\.depth"):
        deep.examine(**given("rgb", "depth", depth=None))


def test_a_copy_holds_the_pairs_whose_depth_can_be_read(deep: Folder, tmp_path: Path) -> None:
    depth_of(deep, 3).unlink()
    depth_of(deep, 11).write_bytes(b"nothing")
    turned(deep.image(5), photograph(5), 6)  # the mask, and the depth, lie on the stored pixels
    stored = deep.image(5).read_bytes()
    spec = deep.spec(**given("rgb", "hha"))
    done = repair(open_context(spec), tmp_path / "copy")
    assert (done.kept, sorted(done.left_out), done.turned) == (12, ["11", "3"], [])
    copy = spec.model_copy(update={"root": tmp_path / "copy"})
    assert examine(copy).of("error") == []
    assert (tmp_path / "copy/images/train/5.png").read_bytes() == stored
    for split, count in (("train", 9), ("val", 3)):
        dataset = open_dataset(copy, split)
        assert len([dataset[index] for index in range(len(dataset))]) == count
