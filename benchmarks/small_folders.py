"""Recipes and lists of pairs of two small data sets, as a folder of one's own: VOC's subset, and 40 + 20 frames of NYUDv2.

    python benchmarks/small_folders.py VOCDEVKIT NYUDV2 OUT

VOCDEVKIT holds VOC2012 or part of it: train is VOC's train; its val is shuffled, the first 100 are ``val``, the others ``test``.
NYUDV2 holds ``images``, ``labels40``, ``train.txt`` and ``test.txt``: 40 frames of train, 20 and 100 of test. Written are
OUT/voc.yaml and OUT/nyud.yaml with their lists; ``training_choices.py`` takes either.
"""

import csv
import random
import sys
from pathlib import Path

import yaml

from fullconv.data.sets.nyud_layouts import NYUDV2
from fullconv.labels import VOC

Split = dict[str, list[str]]


def names(file: Path) -> list[str]:
    """Return the lines of a list."""
    return file.read_text().split()


def write(out: Path, name: str, splits: Split, image: str, mask: str, classes: list[str]) -> None:
    """Write a recipe and its list of pairs; ``image`` and ``mask`` are patterns of paths."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pairs.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("image", "mask", "split"))
        for split, found in splits.items():
            writer.writerows((image.format(one), mask.format(one), split) for one in found)
    recipe = {
        "model": {"name": "fcn8s-efficientnet_lite0", "weights": "imagenet", "dropout": 0.2},
        "data": {
            "name": "folder",
            "root": str(folder),
            "folder": {"pairs": "pairs.csv"},
            "labels": {title: value for value, title in enumerate(classes)} | {"void": "ignore"},
            "scale": 0.4,
            "workers": 0,
            "augment": {"flip": True, "scale": [0.65, 1.4], "crop": [128, 128], "color": 0.3},
        },
        "train": {
            "stages": [8],
            "steps": 1000,
            "batch_size": 8,
            "accelerator": "cpu",
            "precision": "32-true",
            "optimizer": {
                **{"name": "adamw", "learning_rate": 3e-4, "score_learning_rate_factor": 10, "bias_learning_rate_factor": 1},
                **{"weight_decay": 1e-2, "schedule": "poly", "warmup": 30},
            },
            "average": 0.99,
        },
    }
    (out / f"{name}.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def main() -> None:
    """Write both."""
    voc, nyud, out = (Path(given).resolve() for given in sys.argv[1:4])
    voc /= "VOC2012"
    lists = voc / "ImageSets" / "Segmentation"
    val = names(lists / "val.txt")
    random.Random(0).shuffle(val)
    splits = {"train": names(lists / "train.txt"), "val": val[:100], "test": val[100:]}
    write(out, "voc", splits, f"{voc}/JPEGImages/{{}}.jpg", f"{voc}/SegmentationClass/{{}}.png", list(VOC.names))
    train, test = names(nyud / "train.txt"), names(nyud / "test.txt")
    chance = random.Random(0)
    chance.shuffle(train)
    chance.shuffle(test)
    splits = {"train": train[:40], "val": test[:20], "test": test[20:120]}
    write(out, "nyud", splits, f"{nyud}/images/{{}}.jpg", f"{nyud}/labels40/{{}}.png", list(NYUDV2.names))


if __name__ == "__main__":
    main()
