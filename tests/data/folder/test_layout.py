"""What ``init`` says of a layout, what a person can say, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.data import open_dataset
from fullconv.data.folder.layout import Wanted, guess_layout
from fullconv.data.folder.pairing import find_pairs, match_files
from fullconv.data.folder.relations import class_endings, relations
from fullconv.data.stored_mask import stored_at
from fullconv.errors import DataError, SpecError
from fullconv.spec.recipe import load_recipe


def save(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:6, 2:6] = value
    Image.fromarray(pixels).save(path)


def pairs(root: Path, image: str, mask: str, count: int = 10, value: int = 1) -> Path:
    for number in range(count):
        save(root / image.replace("$N", f"{number:02}"))
        save(root / mask.replace("$N", f"{number:02}"), value)
    return root


def test_what_was_chosen_is_said_and_from_how_many(tmp_path: Path) -> None:
    pairs(tmp_path, "images/$N.png", "masks/$N.png")
    said = guess_layout(tmp_path).said
    assert said.startswith("images images/{stem}, masks masks/{stem}: ")
    assert "layouts that fit" not in said
    pairs(tmp_path, "images/$N.png", "labels/$N.png", value=2)
    said = guess_layout(tmp_path).said
    assert "the first of 2 layouts that fit, another is images images/{stem}, masks labels/{stem}: if it is that, say so" in said
    assert guess_layout(tmp_path, Wanted(masks="labels")).folder.masks == "labels"


def test_annotations_beside_masks_are_told(tmp_path: Path) -> None:
    pairs(tmp_path, "images/$N.png", "masks/$N.png")
    listed = [{"id": number, "file_name": f"{number:02}.png", "width": 8, "height": 8} for number in range(10)]
    square = {"category_id": 1, "iscrowd": 0, "bbox": [1, 1, 4, 4], "area": 16, "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
    shapes = [{"id": number + 1, "image_id": number, **square} for number in range(10)]
    content = {"images": listed, "annotations": shapes, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    layout = guess_layout(tmp_path)
    assert layout.folder.masks == "masks"
    assert (
        "the annotations instances.json are there too and are not used: to have masks drawn from them, move masks" in layout.said
    )
    (tmp_path / "masks").rename(tmp_path.parent / f"{tmp_path.name}-masks")
    assert guess_layout(tmp_path).folder.annotations == "instances.json"


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("train/images/$N.png", "train/masks/$N.png"),
        ("images/Train/$N.png", "masks/Train/$N.png"),
        ("ISIC_Training_Input/$N.png", "ISIC_Training_GroundTruth/$N_segmentation.png"),
        ("leftImg8bit/train/a/a_$N_000019_leftImg8bit.png", "gtFine/train/a/a_$N_000019_gtFine_labelIds.png"),
    ],
)
def test_of_a_folder_of_training_alone_the_splits_are_drawn(image: str, mask: str, tmp_path: Path) -> None:
    pairs(tmp_path, image, mask)
    layout = guess_layout(tmp_path)
    assert layout.drawn
    found = [{pair.image.name for pair in find_pairs(tmp_path, layout.folder, split)} for split in (layout.train, layout.val)]
    assert not found[0] & found[1]
    assert [len(names) for names in found] == [8, 2]


@pytest.mark.parametrize("suffix", ["pbm", "pgm", "tga", "pnm"])
def test_masks_have_any_suffix_that_images_have(suffix: str, tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"images/{number}.jpg")
        (tmp_path / "masks").mkdir(exist_ok=True)
        inside = np.tri(8, dtype=bool) if number else np.eye(8, dtype=bool)
        stored = Image.fromarray(inside) if suffix == "pbm" else Image.fromarray(inside.astype(np.uint8))
        stored.save(tmp_path / f"masks/{number}.{suffix}", format="TGA" if suffix == "tga" else "PPM")
    layout = guess_layout(tmp_path)
    path = match_files(tmp_path, layout.folder, "train").pairs[-1].mask
    assert (stored_at(path).plain != 0).tolist() == inside.tolist()


def test_an_image_of_another_picture_under_the_same_name_is_told(tmp_path: Path) -> None:
    pairs(tmp_path, "images/$N.png", "masks/$N.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(tmp_path / "images/03.jpg")
    with pytest.raises(DataError, match=r"03.jpg and .*03.png would both be '03'; keep one of them"):
        guess_layout(tmp_path)


def test_a_known_layout_names_the_data_set(tmp_path: Path) -> None:
    city = "aachen/aachen_$N_000019"
    pairs(tmp_path, f"leftImg8bit/train/{city}_leftImg8bit.png", f"gtFine/train/{city}_gtFine_labelIds.png", value=7)
    said = guess_layout(tmp_path).said
    assert said.startswith("Cityscapes, label ids: ")
    assert "--data cityscapes (fullconv data sets cityscapes)" in said


@pytest.mark.parametrize(
    ("wanted", "pattern"),
    [
        (Wanted(images="shots", masks="drawn", pattern="{stem}_final.png"), "{stem}_final.png"),
        (Wanted("shots", "drawn", mask_suffix="_final"), "{stem}_final"),
        (Wanted(pattern="{stem}_final.png"), "{stem}_final.png"),
    ],
)
def test_what_nothing_guesses_can_be_said(wanted: Wanted, pattern: str, tmp_path: Path) -> None:
    pairs(tmp_path, "shots/$N.png", "drawn/$N_final.png")
    for number in range(10):
        save(tmp_path / "drawn" / f"{number:02}_draft.png", 2)
    found = guess_layout(tmp_path, wanted)
    assert (found.folder.images, found.folder.masks, found.folder.mask_pattern) == ("shots", "drawn", pattern)


def test_options_of_init_reach_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pairs(tmp_path / "own", "a/i $N.png", "b/deep/m$N_x.png")
    options = ["--images", "a", "--masks", "b/deep", "--image-pattern", "i {stem}.png", "--pattern", "m{stem}_x.png"]
    assert main(["init", "own", *options]) == 0
    recipe = load_recipe("own.yaml").data
    assert (recipe.folder.image_pattern, recipe.folder.pattern) == ("i {stem}.png", "m{stem}_x.png")
    assert open_dataset(recipe, "train")[0].targets["semantic"].sum() == 16


def test_a_pattern_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    pairs(tmp_path, "images/$N.png", "masks/$N.png")
    with pytest.raises(SpecError, match=r"pattern 'mask.png' must have \{stem\} or \{name\} once"):
        guess_layout(tmp_path, Wanted(pattern="mask.png"))


def test_nothing_that_fits_says_what_was_seen(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "holiday" / f"{number}.jpg")
        save(tmp_path / "work" / "deep" / f"x{number}.png")
    with pytest.raises(DataError, match=r"there are images in holiday \(3\), work/deep \(3\).*--pattern '\{stem\}_mask.png'"):
        guess_layout(tmp_path)
    with pytest.raises(DataError, match=r"no images with masks as you said in "):
        guess_layout(tmp_path, Wanted(images="holiday", masks="work", pattern="{stem}_m.png"))


def test_two_images_of_one_name_are_told_and_not_only_that_nothing_fits(tmp_path: Path) -> None:
    pairs(tmp_path, "images/$N.png", "masks/$N.png")
    save(tmp_path / "images" / "03.jpg")
    with pytest.raises(DataError, match=r"03.jpg and .*03.png would both be '03'; keep one of them"):
        guess_layout(tmp_path)


def test_a_failed_init_leaves_no_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs(tmp_path / "own", "images/$N.png", "masks/$N.png")
    (tmp_path / "own" / "masks" / "00.png").write_bytes(b"no image")
    assert main(["init", "own"]) == 1
    assert "00.png" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_printed_commands_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs(tmp_path / "it's mine; rm", "images/$N.png", "masks/$N.png")
    assert main(["init", "it's mine; rm"]) == 0
    said = capsys.readouterr().err
    assert "  fullconv train 'it'\"'\"'s mine; rm.yaml'\n" in said
    assert main(["data", "check", "it's mine; rm", "--fix", "a copy"]) in (0, 1)
    assert "train on it with --data.root 'a copy'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        (["a.jpg", "b.jpg"], ["a.png", "b.png"], ("{stem}", "{stem}")),
        (["a.jpg", "b.jpg"], ["a_L.png", "b_L.png"], ("{stem}", "{stem}_L")),
        (["a_sat.jpg", "b_sat.jpg"], ["a_mask.png", "b_mask.png"], ("{stem}_sat", "{stem}_mask")),
        (["image1.jpg", "image2.jpg"], ["label1.png", "label2.png"], ("image{stem}", "label{stem}")),
        (["2020_1.jpg", "2020_2.jpg"], ["2021_1.png", "2021_2.png"], None),  # another year is no pattern
        (["cat_1.jpg", "dog_2.jpg", "cow_3.jpg"], ["x_1.png", "y_2.png", "z_3.png"], None),
    ],
)
def test_how_names_follow_from_each_other(images: list[str], masks: list[str], expected: tuple[str, str] | None) -> None:
    assert next(iter(relations(images, masks)), None) == expected


@pytest.mark.parametrize(
    ("masks", "classes"),
    [
        (["1_road.png", "1_car.png", "2_road.png"], ("car", "road")),
        (["1_mask.png", "2_mask.png"], None),
        (["1_mask.png", "1_overlay.png", "2_mask.png", "2_overlay.png"], None),  # two drawings of one truth
        (["1_a.png", "1_b.png", "2_c.png", "2_d.png"], None),  # numbers of objects, not classes
    ],
)
def test_ends_that_are_classes(masks: list[str], classes: tuple[str, ...] | None) -> None:
    found = class_endings(["1.jpg", "2.jpg"], masks)
    assert (found and found[1]) == classes


def test_cvats_masks_without_images_ask_for_the_images(tmp_path: Path) -> None:
    for folder in ("SegmentationClass", "SegmentationObject"):
        for number in range(3):
            save(tmp_path / folder / f"{number}.png")
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\n")
    with pytest.raises(
        DataError, match=r"masks as CVAT exports them .* and no images; export the task again with \*Save images\*"
    ):
        guess_layout(tmp_path)
