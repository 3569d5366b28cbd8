"""One planted fault each, and one finding with its count; what the whole data set is like."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from planted import LABELS, Folder, mask, photograph, says

from fullconv.doctor.near_duplicates import hashes, twins
from fullconv.geometry.bound import bounds
from fullconv.metrics import metrics_of


def test_pictures_in_both_splits(folder: Folder) -> None:
    shutil.copy(folder.image(3), folder.image(12))
    pattern = r"^1 image of val \(25.0 %\) in train too, 1 as the same file, 0 nearly: 12 \(in train: 3\)$"
    says(folder.only(), "error", 1, pattern)


def test_pictures_that_are_nearly_in_both_splits(folder: Folder) -> None:
    photograph(3).resize((32, 24)).resize((64, 48)).save(folder.image(12))
    says(
        folder.only(),
        "warning",
        1,
        r"^1 image of val \(25.0 %\) in train too, 0 as the same file, 1 nearly: 12 \(in train: 3\)$",
    )


def test_copies_are_found_however_they_were_saved(folder: Folder, tmp_path: object) -> None:
    original = photograph(2, (240, 320))
    original.save(folder.image(2))
    copies = (original, ImageEnhance.Brightness(original).enhance(1.05), original.resize((160, 120)), original.convert("L"))
    for number, copy in enumerate(copies, start=10):
        copy.save(folder.image(number))
    Image.fromarray(mask(2, (240, 320))).save(folder.mask(2))
    found = [f for f in folder.examine().of("error") if f.kind == "images in train and val"]
    assert [finding.count for finding in found] == [4]
    assert "1 as the same file, 3 nearly: 10 (in train: 2)" in found[0].what


def test_twins_are_those_that_a_plain_search_finds() -> None:
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (90, 16, 16), dtype=np.uint8)
    val = rng.integers(0, 256, (40, 16, 16), dtype=np.uint8)
    noise = rng.integers(-1, 2, (5, 16, 16))
    train[7] = (train[88] + 9 * rng.standard_normal((16, 16))).clip(0, 255)  # near, but not the nearest
    val[[1, 5, 8, 20, 39]] = (train[[3, 3, 70, 88, 0]] + noise).clip(0, 255)
    assert twins(train, val) == [(3, 1), (3, 5), (70, 8), (88, 20), (0, 39)]
    assert twins(train[:0], val) == twins(train, val[:0]) == []


def test_hashes_are_the_bits_of_a_loop() -> None:
    thumbnails = np.random.default_rng(1).integers(0, 256, (7, 16, 16), dtype=np.uint8)
    for thumbnail, found in zip(thumbnails.astype(int), hashes(thumbnails), strict=True):
        bits = "".join(
            str(int(thumbnail[2 * r : 2 * r + 2, 2 * c + 1].sum() > thumbnail[2 * r : 2 * r + 2, 2 * c].sum()))
            for r in range(8)
            for c in range(8)
        )
        assert int(found).to_bytes(8, "little") == int(bits, 2).to_bytes(8, "big")


def test_blank_pictures_are_nobodys_copies() -> None:
    black = np.zeros((2, 16, 16), np.uint8)
    assert twins(black, black) == []


def test_masks_without_truth(folder: Folder) -> None:
    for number in (2, 9):
        Image.fromarray(np.full((48, 64), 255, np.uint8)).save(folder.mask(number))
    says(folder.only(), "warning", 2, r"^2 masks with nothing but ignored pixels: 2, 9$")


def test_masks_of_background_alone_are_noted(folder: Folder) -> None:
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder.mask(4))
    found = folder.examine(labels={"Background": 0, "house": 1, "car": 2, "void": "ignore"})
    assert found.of("error") + found.of("warning") == []
    assert [f.what for f in found.findings if f.kind == "masks of background"] == ["1 mask with nothing but Background: 4"]


def test_a_class_that_only_val_has(folder: Folder) -> None:
    labels = mask(11)
    labels[30:34, 30:34] = 3
    Image.fromarray(labels).save(folder.mask(11))
    finding = folder.only(labels=LABELS | {"tree": 3})
    says(finding, "warning", 1, r"^no pixel of tree in train to learn from, but some in val$")


def test_classes_that_val_or_both_lack_are_noted(folder: Folder) -> None:
    for number in range(10, 14):
        labels = mask(number)
        Image.fromarray(np.where(labels == 2, 1, labels).astype(np.uint8)).save(folder.mask(number))
    found = folder.examine(labels=LABELS | {"tree": 3})
    assert found.of("error") + found.of("warning") == []
    said = [finding.what for finding in found.findings]
    assert "no pixel of tree to learn from, nor to measure on" in said
    assert "no pixel of car in val: they are learned but not measured" in said


def test_share_of_ignore(folder: Folder) -> None:
    for number in range(10):
        labels = mask(number)
        labels[:18] = labels[40:] = 255
        Image.fromarray(labels).save(folder.mask(number))
    expected = np.mean([np.array(Image.open(folder.mask(number))) == 255 for number in range(10)])
    meant = LABELS | {"void": {"ignore": 255, "large": True}}
    says(folder.only(labels=meant), "warning", 1, rf"^{100 * expected:.1f} % of the pixels in train are ignored$")


def test_balance_is_counted_by_hand(folder: Folder) -> None:
    truth = np.stack([mask(number) for number in range(10)])
    shares = [100 * (truth == k).sum() / (truth != 255).sum() for k in range(3)]
    (said,) = (f.what for f in folder.examine().findings if f.kind == "class balance")
    assert (
        said == f"ground has {max(shares):.2g} % of the truth, {'house' if shares[1] < shares[2] else 'car'} {min(shares):.2g} %"
    )


def test_one_split_for_both_says_so(folder: Folder) -> None:
    says(folder.only(val="train"), "warning", 1, r"^train and val are the same split, train$")


def test_sizes_and_the_crop_that_suits_them(folder: Folder) -> None:
    photograph(0, (96, 128)).save(folder.image(0))
    Image.fromarray(mask(0, (96, 128))).save(folder.mask(0))
    (note,) = (f for f in folder.examine().findings if f.kind == "sizes")
    assert note.what == "images are 48 to 96 px high and 64 to 128 px wide, 93 % of them 48×64 (H×W)"
    assert note.fix == "data.augment.crop: [32, 32] with train.batch_size: 8 suits them"
    (note,) = (f for f in folder.examine(scale=8.0).findings if f.kind == "sizes")
    assert note.fix == "data.augment.crop: [320, 320] with train.batch_size: 8 suits them at data.scale 8"


def test_the_bound_is_that_of_the_bound_module(folder: Folder) -> None:
    expected = bounds([mask(number) for number in range(10)], 3, (32, 16, 8))
    (note,) = (f.what for f in folder.examine().findings if f.kind == "what coarse outputs can reach")
    for stride in (32, 16, 8):
        assert f"{100 * metrics_of(expected['linear', stride]).mean_iu:.1f} % at stride {stride}" in note
    assert note.endswith("(10 masks of train)")


@pytest.mark.parametrize("spare", [0, 1])
def test_one_picture_in_forty_is_a_warning(folder: Folder, spare: int) -> None:
    for number in range(100, 136 + spare):
        photograph(number).save(folder.root / "images" / "val" / f"{number}.png")
        Image.fromarray(mask(number)).save(folder.root / "masks" / "val" / f"{number}.png")
    photograph(3).save(folder.image(12))
    assert folder.only().level == "warning"
