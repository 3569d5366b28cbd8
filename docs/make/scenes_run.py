"""Pictures of what the commands write, from a small folder of rendered scenes and a short training on it."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.cli import main
from fullconv.data.scenes.scenes import Scenes
from fullconv.data.scenes.world import CLASSES

NET = "fcn8s-efficientnet_lite0"
STAGES = json.dumps(
    [
        {"stride": stride, "steps": steps, "learning_rate": rate}
        for stride, steps, rate in ((32, 60, 1e-3), (16, 30, 5e-4), (8, 60, 5e-4))
    ]
)


def scenes_folder(root: Path, count: int = 120, size: tuple[int, int] = (144, 192)) -> None:
    """Write rendered scenes as somebody's own folder: images, palette masks, classes.txt."""
    scenes = Scenes("train", count, size)
    labels = scenes.labels["semantic"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        sample = scenes[index]
        Image.fromarray(sample.inputs["rgb"].numpy().transpose(1, 2, 0)).save(
            root / "images" / f"scene_{index:03}.jpg", quality=92
        )
        labels.to_image(sample.targets["semantic"].numpy()).save(root / "masks" / f"scene_{index:03}.png")
    (root / "classes.txt").write_text("\n".join(CLASSES))


def doctor(scratch: Path) -> dict[str, Image.Image]:
    """Draw the contact sheet of a folder with faults that were put there, and samples of it without them."""
    root = scratch / "scenes"
    scenes_folder(root, 14)
    with contextlib.chdir(scratch):
        _run("init", "scenes")
        _run("data", "show", "scenes.yaml", "--data.augment.color", "0.4", "--out", "samples.png")
    masks = root / "masks"
    shutil.copy(masks / "scene_003.png", masks / "scene_008.png")
    with Image.open(masks / "scene_005.png") as mask:
        values, palette = Image.fromarray(np.asarray(mask)), mask.getpalette()
    smoothed = values.resize((96, 72)).resize(values.size, Image.Resampling.BILINEAR)
    smoothed.putpalette(palette or [])
    smoothed.save(masks / "scene_005.png")
    with Image.open(masks / "scene_007.png") as mask:
        mask.resize((96, 72)).save(masks / "scene_007.png")
    with contextlib.chdir(scratch):
        main(["data", "check", "scenes.yaml", "--out", "check"])  # it ends with 1, as it finds the faults
    return {"contact-sheet.jpg": _opened(scratch / "check" / "train.png"), "samples.jpg": _opened(scratch / "samples.png")}


def run(scratch: Path) -> dict[str, Image.Image]:
    """Draw curves, predictions and report of a short training in three stages."""
    scenes_folder(scratch / "scenes")
    changes = ("--model.name", NET, "--model.weights", "imagenet", "--train.stages", STAGES, "--train.batch_size", "8")
    with contextlib.chdir(scratch):
        _run("init", "scenes")
        _run("train", "scenes.yaml", *changes, "--train.keep", "last", "--out", "run")
        _run("evaluate", "run/model.safetensors", "--data", "run/recipe.yaml", "--out", "report")
    report = scratch / "report"
    return {
        "curves.png": _opened(scratch / "run" / "curves.png"),
        "predictions.jpg": _opened(scratch / "run" / "predictions.png"),
        "confusion.png": _opened(next(report.rglob("confusion*.png"))),
        "borders.png": _opened(next(report.rglob("trimap*.png"))),
        "worst.jpg": _opened(next(report.rglob("worst*.png"))),
    }


def _run(*arguments: str) -> None:
    if main(list(arguments)) != 0:
        raise RuntimeError(f"fullconv {' '.join(arguments)} failed")


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")
