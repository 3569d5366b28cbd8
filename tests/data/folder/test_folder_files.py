"""Which files of a folder are seen, and by which names they meet: links, leftovers, accents, splits, lists, patterns."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data.folder.class_masks import PLACE, composed_masks, parts_by_key
from fullconv.data.folder.files import files_below, files_by_key, split_folder
from fullconv.data.folder.layout import guess_layout
from fullconv.data.folder.lists import listed_keys
from fullconv.data.folder.pairing import find_pairs, match_files
from fullconv.data.pairs import of_split, read_list
from fullconv.errors import DataError, SpecError
from fullconv.spec import FolderSpec
from fullconv.spec.recipe import read_recipe

PNG = (".png", ".jpg")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "own/images/a.jpg", "elsewhere/b.jpg", "elsewhere/deep/c.jpg")
    (tmp_path / "own/images/site").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/deep/back").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "own/images/up").symlink_to(tmp_path / "own")
    found = files_by_key(tmp_path / "own", "images", "train", PNG)
    assert sorted(found) == ["a", "site/b", "site/deep/c"]
    (tmp_path / "own/images/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")  # to be told of, not left out
    assert "gone" in files_by_key(tmp_path / "own", "images", "train", PNG)


@pytest.mark.parametrize("above", ["..", "../..", "."])
def test_a_link_to_a_folder_above_the_images_is_not_followed(above: str, tmp_path: Path) -> None:
    for number in range(4):
        for folder in ("images", "masks"):
            save(tmp_path / f"own/{folder}/{number}.png", np.full((4, 4), number % 2, np.uint8))
    (tmp_path / "own/images/loop").symlink_to(above)
    assert sorted(files_by_key(tmp_path / "own", "images", "train", {".png"})) == ["0", "1", "2", "3"]
    layout = guess_layout(tmp_path / "own")
    assert (layout.folder.images, layout.folder.masks) == ("images", "masks")
    assert not match_files(tmp_path / "own", layout.folder, "train").images


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    left = ["._a.jpg", ".hidden.jpg", "Thumbs.db", "__MACOSX/a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "@eaDir/a.jpg/s.jpg"]
    touch(tmp_path, "a.jpg", "B.JPG", "mit Leer zeichen.png", *left)
    assert sorted(files_by_key(tmp_path, ".", "train", PNG)) == ["B", "a", "mit Leer zeichen"]


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    touch(tmp_path, "images")
    with pytest.raises(DataError, match=r"images: cannot be looked into \(Not a directory\); change its rights"):
        list(files_below(tmp_path / "images"))


def test_accents_stored_in_two_ways_are_one_name(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Bäume") for form in ("NFC", "NFD"))
    assert composed != decomposed
    touch(tmp_path, f"images/{decomposed}.jpg", f"masks/{composed}.png")
    (pair,) = find_pairs(tmp_path, FolderSpec(images="images", masks="masks", lists=None, val_share=0), "train")
    assert (pair.name, pair.image.name) == (composed, f"{decomposed}.jpg")
    (tmp_path / "pairs.csv").write_text(f"image,mask,split\nimages\\{composed}.jpg,masks\\{decomposed}.png,train\n")
    (pair,) = of_split(tmp_path / "pairs.csv", read_list(tmp_path / "pairs.csv"), "train")
    assert pair.image.is_file()
    assert pair.mask.is_file()
    assert pair.name == f"images/{composed}"


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/a.png")
    with pytest.raises(
        DataError, match=r"a.jpg and .*a.png would both be 'a'; keep one of them, or name a suffix in data.folder.p"
    ):
        files_by_key(tmp_path, "images", "train", PNG)
    assert files_by_key(tmp_path, "images", "train", PNG, "{stem}.PNG")["a"].name == "a.png"


@pytest.mark.parametrize("there", ["train", "Train", "TRAIN", "train "])
def test_a_split_is_found_however_it_is_written(there: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{there}/images/a.jpg", f"images/{there}/b.jpg")
    assert sorted(files_by_key(tmp_path, "{split}/images", "train", PNG)) == ["a"]
    assert sorted(files_by_key(tmp_path, "images/{split}", "train", PNG)) == ["b"]
    (tmp_path / "pairs.csv").write_text(f"image,mask,split\na.jpg,a.png,train\nb.jpg,b.png,{there}\nc.jpg,c.png,val\n")
    assert [pair.name for pair in of_split(tmp_path / "pairs.csv", read_list(tmp_path / "pairs.csv"), "train")] == ["a", "b"]


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "Train/a.jpg", "TRAIN/b.jpg")
    with pytest.raises(DataError, match=r"'TRAIN' and 'Train' could both be 'train'; rename one of them"):
        split_folder(tmp_path, "{split}", "train")
    assert split_folder(tmp_path, "{split}", "Train").name == "Train"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("site/a b", "site/a b"),
        ("a b.jpg", "a b"),
        ("images\\site\\a b.jpg", "site/a b"),
        ("/JPEGImages/c.jpg /SegmentationClass/c.png", "c"),
        ("c 1 2 1", "c"),
        ("./c", "c"),
    ],
)
def test_lines_of_lists(line: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(f"# names\r\n{line}\r\n\r\n".encode())
    assert listed_keys(tmp_path, "{split}.txt", "Train", ["site/a b", "a b", "c"]) == [key]


def test_lists_that_do_not_fit_are_told(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\nb\nd\n")
    (tmp_path / "val.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train.txt: 2 of 3 images that it lists are not there: b, d"):
        listed_keys(tmp_path, "{split}.txt", "train", ["a"])
    with pytest.raises(DataError, match=r"val.txt: is empty; it must name one image a line"):
        listed_keys(tmp_path, "{split}.txt", "val", ["a"])
    with pytest.raises(DataError, match=r"no split 'test' in .*: there are lists of train, val"):
        listed_keys(tmp_path, "{split}.txt", "test", ["a"])


def test_masks_of_one_class_each_are_put_together_and_kept(tmp_path: Path) -> None:
    road, car = (np.zeros((3, 4), np.uint8) for _ in range(2))
    road[1:], car[2, 1:] = 255, 1
    save(tmp_path / "masks/a_road.png", road)
    save(tmp_path / "masks/a_car.png", car)
    folder = FolderSpec(images="images", masks="masks", pattern="{stem}_{class}", classes=("road", "car"))
    parts = parts_by_key(tmp_path, folder, "train")
    path = composed_masks(tmp_path, folder, parts)["a"]
    assert path.is_relative_to(tmp_path / PLACE)
    assert np.array(Image.open(path)).tolist() == [
        [0, 0, 0, 0],
        [1, 1, 1, 1],
        [1, 2, 2, 2],
    ]  # the later class lies over the other
    before = path.stat().st_mtime_ns
    assert composed_masks(tmp_path, folder, parts)["a"].stat().st_mtime_ns == before
    save(tmp_path / "masks/a_car.png", np.zeros((3, 4), np.uint8))
    os.utime(tmp_path / "masks/a_car.png", ns=(1, 1))
    assert np.array(Image.open(composed_masks(tmp_path, folder, parts)["a"])).max() == 1
    save(tmp_path / "masks/a_car.png", np.zeros((3, 5), np.uint8))
    with pytest.raises(DataError, match=r"a_car.png: 3×5, but .*a_road.png is 3×4"):
        composed_masks(tmp_path, folder, parts)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ({"pattern": "mask.png"}, r"pattern 'mask.png' must have \{stem\} or \{name\} once"),
        ({"image_pattern": "{stem}_{class}"}, r"image_pattern '\{stem\}_\{class\}' must have .* only parent, split in braces"),
        ({"pattern": "{stem}_x", "mask_suffix": "_y"}, r"mask_suffix '_y' and pattern '\{stem\}_x' say the same thing"),
        ({"classes": ["road"]}, r"classes and \{class\} in masks or pattern go together"),
        ({"lists": "{split}.txt"}, r"lists '\{split\}.txt' must have \{split\}, and images 'images/\{split\}' none then"),
    ],
)
def test_patterns_that_cannot_be_are_one_line(folder: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_recipe(
            {
                "name": "x",
                "model": {"name": "fcn8s-minivgg"},
                "train": {"stages": [8]},
                "data": {"name": "folder", "folder": folder},
            },
            "x.yaml",
        )
