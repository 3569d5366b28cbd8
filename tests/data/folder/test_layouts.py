"""Layouts of well-known data sets and tools, made in small: ``init`` finds the pairs, and labels are those that were drawn."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import open_dataset
from fullconv.data.folder.init_recipe import starter
from fullconv.data.folder.layout import guess_layout
from fullconv.doctor.examine import diagnose, open_context
from fullconv.spec.recipe import load_recipe

SIZE = 24, 36
COUNTS = {"train": 6, "val": 3}


def truth_of(number: int) -> np.ndarray:
    """Three classes in bars and a disc, another one for every number."""
    truth = np.zeros(SIZE, np.uint8)
    truth[:, 4 + number : 16 + number] = 1
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    if number != 3:
        truth[(rows - 12) ** 2 + (columns - 28 + number) ** 2 < 36] = 2
    return truth


def image_of(number: int) -> np.ndarray:
    noise = np.random.default_rng(number).integers(-20, 20, (*SIZE, 3))
    return (np.array([[60, 120, 70], [190, 70, 60], [70, 80, 200]])[truth_of(number)] + noise).clip(0, 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"optimize": False} if path.suffix == ".gif" else {}))


class Made:
    """A folder under construction: pairs by number and split, values of the three classes in its masks."""

    def __init__(self, root: Path, values: Sequence[object] = (0, 1, 2)) -> None:
        self.root = root
        self.table = np.array(values, np.uint8)

    def pair(self, number: int, image: str, mask: str) -> None:
        save(self.root / image, image_of(number))
        save(self.root / mask, self.table[truth_of(number)])

    def all(self, image: str, mask: str, splits: Sequence[str] = ("train", "val"), also: Sequence[str] = ()) -> None:
        """Write every pair; ``$S`` stands for the split, ``$N`` for a number that no two pairs share."""
        for number, split in numbered():
            there = splits[split == "val"]
            names = (text.replace("$S", there).replace("$N", str(700 + number)) for text in (image, mask))
            self.pair(number, *names)
            for text in also:
                save(self.root / text.replace("$S", there).replace("$N", str(700 + number)), image_of(number + 50))

    def text(self, name: str, content: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(content)

    def lists(self, name: str, splits: Sequence[str], line: str) -> None:
        for split, there in zip(("train", "val"), splits, strict=True):
            lines = [line.replace("$N", str(700 + number)) for number, own in numbered() if own == split]
            self.text(name.replace("$S", there), "\r\n".join(lines) + "\r\n")


def numbered() -> list[tuple[int, str]]:
    return [(n, "train") for n in range(COUNTS["train"])] + [(n + COUNTS["train"], "val") for n in range(COUNTS["val"])]


def cityscapes(root: Path, kinds: Sequence[str]) -> None:
    for kind in kinds:
        made = Made(root, {"labelIds": (7, 26, 4), "labelTrainIds": (0, 13, 255), "color": (7, 26, 4)}[kind])
        made.all("leftImg8bit/$S/aachen/aachen_$N_000019_leftImg8bit.png", f"gtFine/$S/aachen/aachen_$N_000019_gtFine_{kind}.png")
    colors = Made(root, [(128, 64, 128), (0, 0, 142), (0, 0, 0)])
    colors.all("leftImg8bit/$S/aachen/aachen_$N_000019_leftImg8bit.png", "gtFine/$S/aachen/aachen_$N_000019_gtFine_color.png")


def pets(root: Path) -> None:
    made = Made(root, (2, 1, 3))
    made.all("images/Bengal_$N.jpg", "annotations/trimaps/Bengal_$N.png")
    made.lists("annotations/$S.txt", ("trainval", "test"), "Bengal_$N 6 1 2")
    made.text("annotations/list.txt", "#Image CLASS-ID SPECIES BREED ID\n")
    made.text("annotations/trimaps/._Bengal_700.png", "a Mac's")


def voc(root: Path, masks: str = "SegmentationClass") -> None:
    made = Made(root)
    made.all("JPEGImages/2007_$N.jpg", f"{masks}/2007_$N.png", also=("SegmentationObject/2007_$N.png",))
    made.lists("ImageSets/Segmentation/$S.txt", ("train", "val"), "2007_$N")
    save(root / "JPEGImages" / "2008_000.jpg", image_of(9))  # most of VOC's images have no mask


def labelme2voc(root: Path) -> None:
    Made(root).all("JPEGImages/$N.jpg", "SegmentationClassPNG/$N.png", also=("SegmentationClassVisualization/$N.jpg",))
    (root / "SegmentationClass").mkdir()
    (root / "SegmentationClass" / "000.npy").write_bytes(b"values")


def cvat(root: Path) -> None:
    made = Made(root, [(0, 0, 0), (250, 50, 83), (51, 221, 255)])
    made.all("JPEGImages/$N.png", "SegmentationClass/$N.png")
    made.lists("ImageSets/Segmentation/$S.txt", ("Train", "Validation"), "$N")
    made.text("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:250,50,83::\ncar:51,221,255::\n")


def camvid(root: Path) -> None:
    made = Made(root, [(128, 128, 128), (64, 0, 128), (128, 64, 128)])
    made.all("701_StillsRaw_full/0001TP_$N.png", "LabeledApproved_full/0001TP_$N_L.png")


def drive(root: Path) -> None:
    made = Made(root, (0, 255, 255))
    made.all("$S/images/$N_$S.tif", "$S/1st_manual/$N_manual1.gif", ("training", "test"), also=("$S/mask/$N_$S_mask.gif",))


def isic(root: Path) -> None:
    Made(root, (0, 255, 255)).all(
        "ISBI2016_ISIC_Part1_$S_Data/ISIC_0000$N.jpg",
        "ISBI2016_ISIC_Part1_$S_GroundTruth/ISIC_0000$N_Segmentation.png",
        ("Training", "Test"),
    )


def one_a_class(root: Path, image: str, road: str, car: str) -> None:
    for number, _ in numbered():
        name = str(700 + number)
        save(root / image.replace("$N", name), image_of(number))
        save(root / road.replace("$N", name), np.uint8(255) * (truth_of(number) == 1))
        if number != 3:  # no car on it, so no file either
            save(root / car.replace("$N", name), np.uint8(255) * (truth_of(number) == 2))


def satellite(root: Path) -> None:
    made = Made(root)
    made.all("train/$N_sat.jpg", "train/$N_mask.png")
    with (root / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask", "split"])
        writer.writerows(
            [f"train\\{700 + n}_sat.jpg", f"train\\{700 + n}_mask.png", {"train": "Train "}.get(s, s)] for n, s in numbered()
        )


Maker = Callable[[Path], None]
THREE, TWO = ("class 0", "class 1", "class 2"), ("background", "foreground", "foreground")
BY_CLASS = ("background", "road", "car")
COLORED = ("class 0", "class 1", "class 2")
LAYOUTS: dict[str, tuple[Maker, Sequence[str | None], bool]] = {
    "plain": (lambda root: Made(root).all("images/$N.jpg", "masks/$N.png"), THREE, True),
    "splits inside": (lambda root: Made(root).all("images/$S/$N.jpg", "masks/$S/$N.png"), THREE, False),
    "splits outside": (lambda root: Made(root).all("$S/images/$N.jpg", "$S/masks/$N.png"), THREE, False),
    "splits in upper case": (lambda root: Made(root).all("$S/Images/$N.JPG", "$S/Masks/$N.PNG", ("TRAIN", "VAL")), THREE, False),
    "splits in names": (lambda root: Made(root).all("$S_images/$N.jpg", "$S_masks/$N.png"), THREE, False),
    "VOC": (voc, THREE, False),
    "labelme2voc": (lambda root: voc(root, "SegmentationClassPNG"), THREE, False),
    "labelme2voc without lists": (labelme2voc, THREE, True),
    "CVAT": (cvat, ("background", "road", "car"), False),
    "ADE20K": (
        lambda root: Made(root).all("images/$S/ADE_$N.jpg", "annotations/$S/ADE_$N.png", ("training", "validation")),
        THREE,
        False,
    ),
    "Cityscapes": (lambda root: cityscapes(root, ["labelIds"]), ("road", "car", None), False),
    "Cityscapes with train ids": (lambda root: cityscapes(root, ["labelIds", "labelTrainIds"]), ("road", "car", None), False),
    "Oxford-IIIT Pet": (pets, ("background", "pet", None), False),
    "ISIC": (isic, TWO, False),
    "DRIVE": (drive, TWO, False),
    "CamVid": (camvid, ("class 2", "class 0", "class 1"), True),
    "Supervisely": (lambda root: Made(root).all("ds0/img/$N.jpg", "ds0/masks_machine/$N.png"), THREE, True),
    "Supervisely of today": (lambda root: Made(root).all("ds0/img/$N.jpg", "ds0/masks_machine/$N.jpg.png"), THREE, True),
    "LoveDA": (
        lambda root: Made(root, (1, 2, 0)).all("$S/Rural/images_png/$N.png", "$S/Rural/masks_png/$N.png", ("Train", "Val")),
        ("background", "building", None),
        False,
    ),
    "suffix beside": (lambda root: Made(root).all("$N.jpg", "$N_mask.png"), THREE, True),
    "one name, two suffixes": (lambda root: Made(root).all("$N.jpg", "$N.png"), THREE, True),
    "Roboflow": (
        lambda root: Made(root).all("$S/$N_jpg.rf.ab.jpg", "$S/$N_jpg.rf.ab_mask.png", ("train", "valid")),
        THREE,
        False,
    ),
    "prefixes": (lambda root: Made(root).all("images/img_$N.png", "masks/mask_$N.png"), THREE, True),
    "prefixes in one folder": (lambda root: Made(root).all("image_$N.png", "label_$N.png"), THREE, True),
    "both ends differ": (lambda root: Made(root).all("$S/$N_sat.jpg", "$S/$N_mask.png"), THREE, False),
    "nested": (lambda root: Made(root).all("images/site A/day/$N.jpg", "masks/site A/day/$N.png"), THREE, True),
    "wrapped": (lambda root: Made(root).all("export/v1/images/$N.jpg", "export/v1/masks/$N.png"), THREE, True),
    "a class a folder": (
        lambda root: one_a_class(root, "images/$N.jpg", "masks/road/$N.png", "masks/car/$N.png"),
        BY_CLASS,
        True,
    ),
    "a class a suffix": (
        lambda root: one_a_class(root, "images/$N.jpg", "masks/$N_road.png", "masks/$N_car.png"),
        BY_CLASS,
        True,
    ),
    "a class beside": (lambda root: one_a_class(root, "$N.jpg", "$N_road.png", "$N_car.png"), BY_CLASS, True),
    "a folder an image": (
        lambda root: one_a_class(root, "images/$N.jpg", "masks/$N/road.png", "masks/$N/car.png"),
        BY_CLASS,
        True,
    ),
    "pairs.csv": (satellite, THREE, False),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_init_reads_what_was_drawn(name: str, tmp_path: Path) -> None:
    make, meaning, drawn = LAYOUTS[name]
    root = tmp_path / "own"
    make(root)
    assert guess_layout(root).drawn is drawn
    path = tmp_path / "own.yaml"
    path.write_text(starter(root, "own", preferred=True))
    data = load_recipe(path).data
    found = {split: open_dataset(data, split) for split in (data.train, data.val)}
    assert sum(map(len, found.values())) == 9
    if not drawn:
        assert [len(each) for each in found.values()] == [6, 3]
    seen = set()
    for each in found.values():
        names = (*each.labels["semantic"].names, *[None] * 255)
        for sample in (each[index] for index in range(len(each))):
            labels = sample.targets["semantic"].numpy()
            number = next(number for number in range(9) if str(700 + number) in sample.name)
            seen.add(number)
            truth = truth_of(number)
            for value, title in enumerate(meaning):
                at = labels[truth == value]
                assert {names[label] for label in np.unique(at)} <= {title}, (sample.name, value)
            assert abs(sample.inputs["rgb"].numpy().transpose(1, 2, 0).astype(int) - image_of(number)).mean() < 30
    assert seen == set(range(9))
    assert not diagnose(open_context(data)).of("error")
