"""``fullconv init``: layouts as people have them, what the masks hold, and that the recipe it writes opens what it found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.folder import init_recipe
from fullconv.data.folder.contents import look_into
from fullconv.data.folder.guess import guess_spec
from fullconv.data.folder.guess_labels import read_guess
from fullconv.data.folder.init_recipe import starter
from fullconv.data.folder.layout import guess_layout
from fullconv.errors import DataError
from fullconv.spec.recipe import load_recipe

MASK = np.repeat(np.array([[0, 1, 2, 255]], np.uint8), 40, 0).repeat(12, 1)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


LAYOUTS: dict[str, Callable[[str, int], tuple[str, str]]] = {
    "splits inside": lambda split, i: (f"images/{split}/{i}.jpg", f"masks/{split}/{i}.png"),
    "splits outside": lambda split, i: (f"{split}/images/{i}.jpg", f"{split}/labels/{i}.png"),
    "camvid": lambda split, i: (f"{split}/{i}.png", f"{split}annot/{i}.png"),
    "roboflow": lambda split, i: (f"{split}/{i}.jpg", f"{split}/{i}_mask.png"),
    "voc": lambda split, i: (f"JPEGImages/{split}{i}.jpg", f"SegmentationClass/{split}{i}.png"),
    "flat": lambda split, i: (f"photos/{split}{i}.jpeg", f"GT/{split}{i}_L.png"),
    "one folder": lambda split, i: (f"{split}{i}.jpg", f"{split}{i}-labels.png"),
    "nested": lambda split, i: (f"img/{split}/street/{i}.jpg", f"gt/{split}/street/{i}_gtFine.png"),
    "valid": lambda split, i: (f"{split.replace('val', 'valid')}/imgs/{i}.jpg", f"{split.replace('val', 'valid')}/masks/{i}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_written_recipe_opens_what_is_there(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "own"
    for split, count in (("train", 12), ("val", 6)):
        for i in range(count):
            image, mask = LAYOUTS[layout](split, i)
            write(root / image, np.zeros((40, 48, 3), np.uint8))
            write(root / mask, MASK)
    path = tmp_path / "own.yaml"
    path.write_text(starter(root, "own", preferred=True))
    recipe = load_recipe(path)
    train, val = (open_dataset(recipe.data, split) for split in (recipe.data.train, recipe.data.val))
    assert len(train) + len(val) == 18
    if not guess_layout(root).drawn:
        assert (len(train), len(val)) == (12, 6)
    assert train.labels["semantic"].names == ("class 0", "class 1", "class 2")
    assert val[0].targets["semantic"].unique().tolist() == [0, 1, 2, 255]
    assert recipe.data.augment.crop == (32, 32)


def test_a_class_that_only_validation_has_is_in_the_recipe(tmp_path: Path) -> None:
    for split, value in (("train", 1), ("val", 2)):
        write(tmp_path / "own" / "images" / split / "0.png", np.zeros((4, 4, 3), np.uint8))
        write(tmp_path / "own" / "masks" / split / "0.png", np.array([[0, value]] * 2, np.uint8).repeat(2, 1).repeat(2, 0))
    (tmp_path / "own.yaml").write_text(starter(tmp_path / "own", "own", preferred=False))
    recipe = load_recipe(tmp_path / "own.yaml")
    assert len(recipe.data.labels) == 3
    assert open_dataset(recipe.data, recipe.data.val)[0].targets["semantic"].unique().tolist() == [0, 2]


def test_rare_classes_are_drawn_more_often_where_few_images_have_to_be_read_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        write(tmp_path / "own" / "images" / f"{number}.png", np.zeros((4, 4, 3), np.uint8))
        write(tmp_path / "own" / "masks" / f"{number}.png", MASK[:4, :4])

    def sampling() -> str:
        (tmp_path / "own.yaml").write_text(starter(tmp_path / "own", "own", preferred=False))
        return load_recipe(tmp_path / "own.yaml").train.sampling

    assert sampling() == "balanced"
    monkeypatch.setattr(init_recipe, "READ_FIRST", 5)
    assert sampling() == "uniform"


def test_names_from_the_lists_that_tools_write(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", np.zeros((40, 48, 3), np.uint8))
    write(tmp_path / "masks" / "a.png", MASK)
    contents = look_into([tmp_path / "masks" / "a.png"])
    (tmp_path / "classes.txt").write_text("road\nsky\ntree\n")
    assert read_guess(tmp_path, contents).entries == {"road": 0, "sky": 1, "tree": 2, "void": "ignore"}
    (tmp_path / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n1, house\n2, car\n")
    assert read_guess(tmp_path, contents).entries == {"ground": 0, "house": 1, "car": 2, "void": "ignore"}


def test_colours_with_cvats_list(tmp_path: Path) -> None:
    colors = np.array([[[0, 0, 0], [128, 64, 0], [1, 2, 3]]], np.uint8)
    write(tmp_path / "m.png", colors)
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nroof:128,64,0::\n")
    found = read_guess(tmp_path, look_into([tmp_path / "m.png"])).entries
    assert found == {"background": {"color": [0, 0, 0]}, "class 1": {"color": [1, 2, 3]}, "roof": {"color": [128, 64, 0]}}


@pytest.mark.parametrize("name", ["classes.txt", "_classes.csv"])
def test_lists_that_windows_wrote(tmp_path: Path, name: str) -> None:
    write(tmp_path / "masks" / "a.png", MASK)
    contents = look_into([tmp_path / "masks" / "a.png"])
    text = {"classes.txt": "Straße\r\nsky\r\ntree\r\n", "_classes.csv": "0,Straße\r\n1,sky\r\n2,tree\r\n"}[name]
    (tmp_path / name).write_bytes(text.encode("utf-8-sig"))
    assert read_guess(tmp_path, contents).entries == {"Straße": 0, "sky": 1, "tree": 2, "void": "ignore"}
    (tmp_path / name).write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match=rf"{name}: is no text in UTF-8 \(byte \d is 0xdf\); save it as UTF-8"):
        read_guess(tmp_path, contents)


def test_a_colour_in_cvats_list_that_is_none(tmp_path: Path) -> None:
    write(tmp_path / "m.png", np.array([[[0, 0, 0], [128, 64, 0]]], np.uint8))
    (tmp_path / "labelmap.txt").write_text("roof:128,sixty,0::\n")
    with pytest.raises(DataError, match=r"labelmap.txt: the color of roof is '128,sixty,0'; write it as three numbers"):
        read_guess(tmp_path, look_into([tmp_path / "m.png"]))


def test_0_and_255_are_background_and_foreground(tmp_path: Path) -> None:
    write(tmp_path / "m.png", np.array([[0, 255]], np.uint8))
    assert read_guess(tmp_path, look_into([tmp_path / "m.png"])).entries == {"background": 0, "foreground": 255}


def test_masks_that_are_no_labels_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    write(tmp_path / "images" / "a.png", noise)
    write(tmp_path / "masks" / "a.png", noise)
    with pytest.raises(DataError, match=r"masks/a.png: the masks hold more than 255 different colours.*saved as JPEG"):
        starter(tmp_path, "x", preferred=False)


def test_nothing_to_be_found_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no images with masks of the same names in .*looked for a folder such as images.*pairs.csv"
    ):
        guess_layout(tmp_path)
    with pytest.raises(DataError, match=r"none is no folder"):
        guess_layout(tmp_path / "none")


@pytest.mark.parametrize(
    ("preferred", "recipe", "rates", "schedule"),
    [
        (True, "voc-fcn8s-at-once-efficientnet_lite0", {8: 3e-4}, "poly"),
        (False, "voc-fcn8s-squeezenet1_1", {32: 5e-5, 16: 3e-5, 8: 2e-5}, "fixed"),
    ],
)
def test_both_starts_train_as_their_recipes_on_voc_do(
    preferred: bool, recipe: str, rates: dict[int, float], schedule: str, tmp_path: Path
) -> None:
    """But for the learning rates of later stages, which that recipe keeps equal so that stages can be compared."""
    for i in range(250):
        write(tmp_path / "own" / "images" / f"{i}.png", np.zeros((8, 8, 3), np.uint8))
        write(tmp_path / "own" / "masks" / f"{i}.png", np.array([[0, 1]] * 2, np.uint8))
    (tmp_path / "own.yaml").write_text(starter(tmp_path / "own", "own", preferred=preferred))
    own, proven = load_recipe(tmp_path / "own.yaml"), load_recipe(recipe)
    assert (own.model.name, own.model.weights, own.model.dropout) == (proven.model.name, "imagenet", proven.model.dropout)
    assert {stage.stride: stage.learning_rate for stage in own.train.stages} == rates
    assert [stage.stride for stage in proven.train.stages] == list(rates)
    assert own.train.optimizer == proven.train.optimizer
    assert own.train.optimizer.schedule == schedule
    assert sum(stage.steps or 0 for stage in own.train.stages) == 2000


def test_few_pairs_leave_most_steps_after_the_warmup(tmp_path: Path) -> None:
    write(tmp_path / "own" / "images" / "0.png", np.zeros((8, 8, 3), np.uint8))
    write(tmp_path / "own" / "masks" / "0.png", np.array([[0, 1]] * 2, np.uint8))
    (tmp_path / "own.yaml").write_text(starter(tmp_path / "own", "own", preferred=True))
    train = load_recipe(tmp_path / "own.yaml").train
    assert train.stages[0].steps == 30
    assert train.optimizer.warmup == 3


def test_a_colour_mask_that_is_black_all_over_is_of_colours(tmp_path: Path) -> None:
    for i in range(6):
        mask = np.zeros((20, 24, 3), np.uint8)
        mask[: 10 * min(i, 1), :12] = 128, 0, 0  # the first shows nothing
        write(tmp_path / f"own/images/{i}.jpg", np.zeros((20, 24, 3), np.uint8))
        write(tmp_path / f"own/masks/{i}.png", mask)
    (tmp_path / "own/labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\napple:128,0,0::\n")
    assert guess_spec(tmp_path / "own").labels == {"background": {"color": [0, 0, 0]}, "apple": {"color": [128, 0, 0]}}
