"""Small copies of the named data sets in the layouts of their authors; official lists are filled with links to a few files."""

import os
import zlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

from fullconv.data.sets.pascal_context import CONTEXT, NAMED_OTHERWISE

SIZE = 16, 24
LISTS = Path(str(resources.files("fullconv.data.sets") / "lists"))
OUTDOOR = "spatial_envelope_256x256_static_8outdoorcategories"


def mask(first: int, second: int, void: int | None = None) -> np.ndarray:
    found = np.full(SIZE, first, np.uint8)
    found[4:12, 6:18] = second
    if void is not None:
        found[:2] = void
    return found


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def image(path: Path) -> Path:
    return save(path, np.random.default_rng(zlib.crc32(str(path.name).encode())).integers(0, 255, (*SIZE, 3), np.uint8))


def mat(path: Path, **content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content)
    return path


def links(written: Path, ids: list[str]) -> None:
    for name in ids:
        if name != written.stem:
            os.link(written, written.with_name(f"{name}{written.suffix}"))


def listed(name: str) -> list[str]:
    return (LISTS / f"{name}.txt").read_text().split()


def voc(root: Path, year: str = "2012") -> None:
    folder = root / "VOCdevkit" / f"VOC{year}"
    for split, name in (("train", "2007_000032"), ("val", "2007_000033")):
        image(folder / "JPEGImages" / f"{name}.jpg")
        save(folder / "SegmentationClass" / f"{name}.png", mask(0, 15, 255))
        (folder / "ImageSets" / "Segmentation").mkdir(parents=True, exist_ok=True)
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(f"{name}\n")


def sbd(root: Path, year: str) -> None:
    voc(root, year)
    for name in ("2008_000002", "2008_000008"):
        image(root / "SBD" / "img" / f"{name}.jpg")
        mat(root / "SBD" / "cls" / f"{name}.mat", GTcls={"Segmentation": mask(0, 7)})
    (root / "SBD" / "train.txt").write_text("2008_000002\n")
    (root / "SBD" / "val.txt").write_text("2008_000008\n")


def nyudv2(root: Path) -> None:
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        count, (height, width) = 1449, SIZE
        file.create_dataset("images", (count, 3, width, height), np.uint8, fillvalue=90)
        file.create_dataset("depths", (count, width, height), np.float32, fillvalue=2)
        file.create_dataset("labels", (count, width, height), np.uint16, fillvalue=3)
    mat(root / "classMapping40.mat", mapClass=np.arange(894) % 40 + 1)


def siftflow(root: Path) -> None:
    for split in ("trainval", "test"):
        names = listed(f"siftflow-{split}")
        links(image(root / "Images" / OUTDOOR / f"{names[0]}.jpg"), names)
        links(mat(root / "SemanticLabels" / OUTDOOR / f"{names[0]}.mat", S=mask(1, 28, 0)), names)


def pascal_context(root: Path) -> None:
    names = [NAMED_OTHERWISE.get(name, name) for name in CONTEXT.names[1:]]
    for split, count in (("train", 4998), ("val", 5105)):
        ids = [f"{split}_{n:06}" for n in range(count)]
        links(image(root / "VOC2010" / "JPEGImages" / f"{ids[0]}.jpg"), ids)
        links(mat(root / "trainval" / f"{ids[0]}.mat", LabelMap=mask(1, 2).astype(np.uint16)), ids)
        (root / f"{split}.txt").write_text("\n".join(ids))
    (root / "labels.txt").write_text("".join(f"{n}: {name}\n" for n, name in enumerate(names, start=1)))


def folders(images: str, masks: str, splits: tuple[str, str], values: tuple[int, int, int]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for number, split in enumerate(splits):
            parts = [text.replace("$S", split).replace("$N", f"{number:03}") for text in (images, masks)]
            image(root / parts[0])
            save(root / parts[1], mask(*values))

    return make


def pets(root: Path) -> None:
    folders("images/Bengal_$N.jpg", "annotations/trimaps/Bengal_$N.png", ("", ""), (2, 1, 3))(root)
    image(root / "images" / "unlisted.jpg")
    for number, split in enumerate(("trainval", "test")):
        (root / "annotations" / f"{split}.txt").write_text(f"Bengal_{number:03} 6 1 2\n")


def kvasir(root: Path) -> None:
    for number in range(30):
        image(root / "Kvasir-SEG" / "images" / f"cju{number}.jpg")
        save(root / "Kvasir-SEG" / "masks" / f"cju{number}.jpg", np.repeat(mask(0, 255)[..., None], 3, 2))


CITY = "aachen/aachen_$N_000019"
MADE: dict[str, Callable[[Path], None]] = {
    "scenes": lambda root: None,
    "voc2011": lambda root: voc(root, "2011"),
    "voc2012": voc,
    "sbd-voc2011": lambda root: sbd(root, "2011"),
    "sbd-voc2012": lambda root: sbd(root, "2012"),
    "nyudv2": nyudv2,
    "siftflow": siftflow,
    "pascal-context": pascal_context,
    "camvid": folders("$S/0001_$N.png", "$Sannot/0001_$N.png", ("train", "val"), (0, 8, 11)),
    "cityscapes": folders(
        f"leftImg8bit/$S/{CITY}_leftImg8bit.png", f"gtFine/$S/{CITY}_gtFine_labelIds.png", ("train", "val"), (7, 26, 4)
    ),
    "ade20k": folders(
        "ADEChallengeData2016/images/$S/ADE_$N.jpg",
        "ADEChallengeData2016/annotations/$S/ADE_$N.png",
        ("training", "validation"),
        (1, 150, 0),
    ),
    "oxford-pets": pets,
    "coco-stuff": folders("images/$S/0$N.jpg", "annotations/$S/0$N.png", ("train2017", "val2017"), (0, 181, 255)),
    "loveda": folders("$S/Rural/images_png/$N.png", "$S/Rural/masks_png/$N.png", ("Train", "Val"), (1, 7, 0)),
    "kvasir": kvasir,
}
"""What writes a copy of each into a folder."""
