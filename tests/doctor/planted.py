"""A small sound data set on disk, for tests to plant one fault each."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fullconv.doctor import Diagnosis, Finding, examine
from fullconv.labels import voc_colors
from fullconv.spec import DataSpec

LABELS = {"ground": 0, "house": 1, "car": 2, "void": "ignore"}
SIZE = (48, 64)
ORIENTATION = 0x0112
PALETTE = np.array(voc_colors(256), np.uint8).ravel().tolist()


def photograph(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture of soft spots, another for every seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)


def mask(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Labels of all three classes, a disc of them smooth, within a frame without ground truth."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (size[1], size[0]), 0)
    draw = ImageDraw.Draw(image)
    left, top = (int(v) for v in rng.integers(2, 12, 2))
    draw.ellipse((left, top, left + 28, top + 28), fill=1)
    draw.rectangle((left + 8, top + 8, left + 20, top + 18), fill=2)
    draw.rectangle((0, 0, size[1] - 1, size[0] - 1), outline=255)
    return np.array(image)


def to_palette(labels: np.ndarray) -> Image.Image:
    """Labels as a palette image with VOC's colours."""
    image = Image.fromarray(labels)
    image.putpalette(PALETTE)
    return image


class Folder:
    """A folder of ten pairs for training and four for validation, and what the doctor says of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for number in range(14):
            split = "train" if number < 10 else "val"
            for kind in ("images", "masks"):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
            photograph(number).save(self.image(number))
            Image.fromarray(mask(number)).save(self.mask(number))

    def image(self, number: int) -> Path:
        return self.root / "images" / ("train" if number < 10 else "val") / f"{number}.png"

    def mask(self, number: int) -> Path:
        return self.root / "masks" / ("train" if number < 10 else "val") / f"{number}.png"

    def spec(self, **changes: Any) -> DataSpec:
        return DataSpec(name="folder", root=self.root, labels=LABELS).model_copy(update=changes)

    def examine(self, **changes: Any) -> Diagnosis:
        return examine(self.spec(**changes))

    def only(self, **changes: Any) -> Finding:
        """The one error or warning."""
        found = self.examine(**changes)
        (finding,) = found.of("error") + found.of("warning")
        return finding


def says(finding: Finding, level: str, count: int, pattern: str) -> None:
    assert (finding.level, finding.count) == (level, count)
    assert re.search(pattern, finding.what), finding.what
    assert finding.fix


def turned(path: Path, picture: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture.save(path, exif=exif)
