"""A folder of the user's own: pairing, splits, every way to store a mask, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.folder.pairing import find_pairs
from fullconv.data.folder.splits import drawn_split
from fullconv.errors import DataError, SpecError
from fullconv.spec import DataSpec, FolderSpec
from fullconv.spec.recipe import read_recipe

LABELS = {"road": 1, "sky": "#808080", "void": "ignore"}
VALUES = np.array([[1, 1, 255], [1, 1, 255]], np.uint8)


def write(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def picture(size: tuple[int, int] = (2, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pairs for training, one of them in a folder of its own, and one for validation."""
    for split, name in (("train", "a"), ("train", "street/b"), ("val", "c")):
        write(tmp_path / "images" / split / f"{name}.jpg", picture())
        write(tmp_path / "masks" / split / f"{name}.png", VALUES)
    return tmp_path


def spec(root: Path, **folder: object) -> DataSpec:
    return DataSpec(name="folder", root=root, labels=LABELS, folder=FolderSpec(**folder))  # type: ignore[arg-type]


def test_splits_are_folders_and_names_are_paths(root: Path) -> None:
    train, val = (open_dataset(spec(root), split) for split in ("train", "val"))
    assert [train[i].name for i in range(len(train))] == ["a", "street/b"]
    assert len(val) == 1
    assert train.labels["semantic"].names == ("road", "sky")
    assert val[0].targets["semantic"].tolist() == [[0, 0, 255], [0, 0, 255]]
    assert val[0].inputs["rgb"].shape == (3, 2, 3)
    assert train.name == f"{root.name} train"


GREY = np.array([[7, 7, 9], [9, 9, 255]], np.uint8)
EXPECTED = [[0, 0, 1], [1, 1, 255]]
RED, BLUE, VOID = (255, 0, 0), (0, 0, 250), (224, 224, 192)


def _colors() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[7], table[9], table[255] = RED, BLUE, VOID
    return table[GREY]


def _palette(indices: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices)
    table = np.zeros((256, 3), np.uint8)
    table[7], table[9], table[255] = RED, BLUE, VOID
    image.putpalette(table.ravel().tolist())
    return image


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        (Image.fromarray(GREY), {"a": 7, "b": 9, "v": "ignore"}),
        (Image.fromarray(GREY.astype(np.uint16) * 100), {"a": 700, "b": 900, "v": {"ignore": 25500}}),
        (Image.fromarray(GREY.astype(np.int32) * 100), {"a": 700, "b": 900, "v": {"ignore": 25500}}),
        (_palette(GREY), {"a": 7, "b": 9, "v": "ignore"}),
        (_palette(GREY), {"a": {"color": list(RED)}, "b": "#0000fa", "v": {"ignore": {"color": list(VOID)}}}),
        (Image.fromarray(_colors()), {"a": {"color": list(RED)}, "b": "#0000fa", "v": {"ignore": {"color": list(VOID)}}}),
        (
            Image.fromarray(_colors()).convert("RGBA"),
            {"a": {"color": list(RED)}, "b": "#0000fa", "v": {"ignore": {"color": list(VOID)}}},
        ),
        (Image.fromarray(GREY).convert("RGB"), {"a": 7, "b": 9, "v": "ignore"}),
        (Image.fromarray(GREY).convert("LA"), {"a": 7, "b": 9, "v": "ignore"}),
        (Image.fromarray(GREY), {"a": "#070707", "b": "#090909", "v": {"ignore": "#ffffff"}}),
    ],
    ids=["grey", "16-bit", "32-bit", "palette", "palette colours", "colours", "RGBA", "grey RGB", "grey+alpha", "grey as colour"],
)
def test_every_way_to_store_a_mask(tmp_path: Path, image: Image.Image, labels: dict[str, object]) -> None:
    write(tmp_path / "images" / "train" / "a.png", picture())
    (tmp_path / "masks" / "train").mkdir(parents=True)
    image.save(tmp_path / "masks" / "train" / ("a.tif" if image.mode == "I" else "a.png"))
    found = open_dataset(DataSpec(name="folder", root=tmp_path, labels=labels), "train")[0]
    assert found.targets["semantic"].tolist() == EXPECTED


def test_a_bilevel_mask_is_0_and_1(tmp_path: Path) -> None:
    write(tmp_path / "images" / "train" / "a.png", picture())
    write(tmp_path / "masks" / "train" / "a.png", VALUES == 255)
    found = open_dataset(DataSpec(name="folder", root=tmp_path, labels={"no": 0, "yes": 1}), "train")[0]
    assert found.targets["semantic"].tolist() == [[0, 0, 1], [0, 0, 1]]


def test_colours_where_numbers_are_declared(tmp_path: Path) -> None:
    write(tmp_path / "images" / "train" / "a.png", picture())
    write(tmp_path / "masks" / "train" / "a.png", _colors())
    with pytest.raises(DataError, match=r"a.png: the mask stores colours, 3 of them such as .*\(0, 0, 250\).*give colours there"):
        open_dataset(DataSpec(name="folder", root=tmp_path, labels={"a": 7, "b": 9}), "train")[0]


def test_unknown_values_name_the_file(root: Path) -> None:
    write(root / "masks" / "train" / "a.png", np.array([[1, 3, 3], [1, 1, 1]], np.uint8))
    with pytest.raises(DataError, match=r"train/a.png: value 3 \(2 px, 33.3 %\) is not in labels; the nearest is 1 \(road\)"):
        open_dataset(spec(root), "train")[0]


def test_drawn_splits_are_disjoint_whole_and_stable() -> None:
    names = [f"picture-{i}" for i in range(400)]
    folder = FolderSpec(images="images", masks="masks", val_share=0.2, test_share=0.1, seed=3)
    parts = {split: set(drawn_split(names, split, folder)) for split in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 400
    assert 50 < len(parts["val"]) < 110
    assert 20 < len(parts["test"]) < 65
    more = [*names, *(f"new-{i}" for i in range(100))]
    assert parts["val"] == {name for name in drawn_split(more, "val", folder) if name in names}
    other = folder.model_copy(update={"seed": 4})
    assert set(drawn_split(names, "val", other)) != parts["val"]
    with pytest.raises(DataError, match=r"no split 'test' can be drawn from 1 image: it takes three"):
        drawn_split(["a"], "test", folder)
    with pytest.raises(DataError, match=r"no split 'dev'"):
        drawn_split(names, "dev", folder)


def test_a_flat_folder_is_split_by_draw(tmp_path: Path) -> None:
    for i in range(20):
        write(tmp_path / "pictures" / f"{i}.jpg", picture())
        write(tmp_path / "truth" / f"{i}_mask.png", VALUES)
    given = spec(tmp_path, images="pictures", masks="truth", mask_suffix="_mask", val_share=0.3)
    train, val = (open_dataset(given, split) for split in ("train", "val"))
    names = [data[i].name for data in (train, val) for i in range(len(data))]
    assert sorted(names) == sorted(map(str, range(20)))
    assert len(val) > 0


def test_a_list_of_pairs(root: Path) -> None:
    (root / "pairs.csv").write_text(
        "image,mask,split\nimages/val/c.jpg,masks/val/c.png,train\nimages/train/a.jpg,masks/train/a.png,val\n"
    )
    found = find_pairs(root, FolderSpec(pairs=Path("pairs.csv")), "train")
    assert [pair.name for pair in found] == ["images/val/c"]
    with pytest.raises(DataError, match=r"pairs.csv: no line has the split 'test'; there are train, val"):
        find_pairs(root, FolderSpec(pairs=Path("pairs.csv")), "test")
    (root / "pairs.csv").write_text("image,split\n")
    with pytest.raises(
        DataError, match=r"pairs.csv: no column mask; there are image, split; the first line must be image,mask,split"
    ):
        find_pairs(root, FolderSpec(pairs=Path("pairs.csv")), "train")
    with pytest.raises(DataError, match=r"none.csv: "):
        find_pairs(root, FolderSpec(pairs=Path("none.csv")), "train")


@pytest.mark.parametrize("turned", [True, False], ids=["mask as shown", "mask as stored"])
def test_a_rotation_noted_by_the_camera_follows_the_mask(tmp_path: Path, turned: bool) -> None:
    stored = picture((2, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, so 3 high and 2 wide
    write(tmp_path / "images" / "train" / "a.png", stored, exif=exif)
    write(tmp_path / "masks" / "train" / "a.png", np.full((3, 2) if turned else (2, 3), 1, np.uint8))
    found = open_dataset(spec(tmp_path), "train")[0].inputs["rgb"].numpy().transpose(1, 2, 0)
    assert (found == (np.rot90(stored, -1) if turned else stored)).all()


def test_images_without_masks_are_counted(root: Path) -> None:
    for name in ("x", "y"):
        write(root / "images" / "train" / f"{name}.jpg", picture())
    with pytest.raises(
        DataError, match=r"2 of 4 images in .*images/train have no mask in .*masks/train \(NAME.png\): x, y; add masks"
    ):
        open_dataset(spec(root), "train")


def test_two_files_of_one_name(root: Path) -> None:
    write(root / "images" / "train" / "a.png", picture())
    with pytest.raises(DataError, match=r"a.jpg and .*a.png would both be 'a'; keep one of them"):
        open_dataset(spec(root), "train")


def test_sizes_must_agree(root: Path) -> None:
    write(root / "masks" / "train" / "a.png", np.full((5, 4), 1, np.uint8))
    with pytest.raises(DataError, match=r"a.png: the mask is 5×4 but its image a.jpg is 2×3 \(H×W\)"):
        open_dataset(spec(root), "train")[0]


def test_a_missing_folder_split_or_label_map_says_what_to_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images of the split 'test' in .*there are train, val in"):
        open_dataset(spec(root), "test")
    with pytest.raises(DataError, match=r"no images of the split 'train' in .*looked for .apng"):
        open_dataset(spec(root, images="nothing", masks="nothing"), "train")
    with pytest.raises(DataError, match=r"/none is no folder; give the one that holds your images and masks"):
        open_dataset(spec(tmp_path / "none"), "train")
    with pytest.raises(DataError, match=r"no folder is given"):
        open_dataset(DataSpec(name="folder"), "train")
    with pytest.raises(DataError, match=r"need data.labels in the recipe.*fullconv init"):
        open_dataset(DataSpec(name="folder", root=root), "train")


def test_mistakes_in_the_recipe_are_one_line() -> None:
    def recipe(**data: object) -> None:
        model, train = {"name": "fcn8s-minivgg"}, {"stages": [8]}
        read_recipe({"name": "x", "model": model, "train": train, "data": {"name": "folder", **data}}, "x.yaml")

    with pytest.raises(SpecError, match=r"value 1 stands for a and for b"):
        recipe(labels={"a": 1, "b": 1})
    with pytest.raises(SpecError, match=r"val_share 0.6 and test_share 0.4 leave nothing to train on"):
        recipe(folder={"val_share": 0.6, "test_share": 0.4})
    with pytest.raises(SpecError, match=r"must both have \{split\}, or none of them"):
        recipe(folder={"images": "images", "masks": "masks/{split}"})


def test_stored_samples_can_be_read_at_another_size(tmp_path: Path) -> None:
    write(tmp_path / "images" / "train" / "a.png", picture((8, 12)))
    write(tmp_path / "masks" / "train" / "a.png", np.repeat(np.array([[1, 255]], np.uint8), 8, 0).repeat(6, 1))
    half = open_dataset(spec(tmp_path).model_copy(update={"scale": 0.5}), "train")
    assert half.name.endswith("train at 0.5 of its size")
    assert half[0].size == (4, 6)
    assert half[0].targets["semantic"].tolist() == [[0, 0, 0, 255, 255, 255]] * 4
