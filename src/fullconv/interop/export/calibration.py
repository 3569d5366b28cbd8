"""The folder of ``--calibrate``: images that ranges for int8 come from, others that prove it, masks to measure mean IU with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fullconv.data.folder.folder import FolderSegmentation
from fullconv.data.folder.layout import Layout, guess_layout
from fullconv.data.folder.pairing import find_pairs
from fullconv.data.images import SUFFIXES, read_image
from fullconv.data.joint_transform import resized, scaled_size
from fullconv.data.pairs import Pair
from fullconv.data.sample import RGB, SEMANTIC, Dataset
from fullconv.data.subset import Subset
from fullconv.errors import DataError, SpecError
from fullconv.interop.export.parity import SIZES, Inputs
from fullconv.nn.checkpoint import Checkpoint

CALIBRATED = 100
"""Images at most, spread over the folder."""
CHECKED = 12
"""Of these, as many at most to search on for what stays in float32."""
SIDE = 384
"""Pixels at most of their height and width, cut from the middle: the search runs the net some hundred times."""
MEASURED = 50
"""Images with masks at most on which mean IU is measured."""
FEWEST = 2


@dataclass(frozen=True)
class Folder:
    """What a folder gives.

    Attributes
    ----------
    images
        For the ranges, as the net sees them: resized by its scale.
    checked
        The middle of some of these, to compare labels on while layers are chosen.
    others
        For the proof, of which none is among ``images`` where the folder has more.
    measured
        Images with masks, none of which is among ``images`` where the folder has splits; ``None`` where there are none.
    said
        What was done, and why mean IU cannot be measured where it is not.
    """

    images: list[Inputs]
    checked: list[Inputs]
    others: list[Inputs]
    measured: Dataset | None
    said: str


def open_calibration(root: Path, checkpoint: Checkpoint) -> Folder:
    """Return the images of a folder, with masks where it has some that the checkpoint's labels fit.

    Parameters
    ----------
    root
        Images, at any depth; or a data set's folder, whose masks are found as ``fullconv init`` finds them.
    checkpoint
        Says how images are read and at which scale they are seen, and what values its masks had.

    Raises
    ------
    DataError
        When there are fewer than two images, or one cannot be read.
    SpecError
        When the net reads more than images.
    """
    if tuple(checkpoint.model.inputs) != (RGB,):
        raise SpecError(
            f"int8 takes ranges from a folder of images, and the model reads {', '.join(checkpoint.model.inputs)}; export it as "
            "fp16"
        )
    if not root.is_dir():
        raise DataError(f"--calibrate {root}: no such folder; give one with images such as the model will see")
    try:
        layout: Layout | None = guess_layout(root)
    except DataError:
        layout = None
    if layout is None:
        paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
        measured, why = None, f"no masks in {root}, so mean IU is not measured"
    else:
        paths = [Path(pair.image) for pair in _pairs(root, layout, layout.train)]
        measured, why = _with_masks(root, layout, checkpoint)
    if len(paths) < FEWEST:
        raise DataError(f"--calibrate {root}: {len(paths)} images; give {FEWEST} or more, better {CALIBRATED}")
    chosen = _spread(len(paths), CALIBRATED)
    left = [place for place in range(len(paths)) if place not in set(chosen)] or chosen
    proof = [left[place] for place in _spread(len(left), sum(images for images, *_ in SIZES))]
    images = [_read(paths[place], checkpoint) for place in chosen]
    others = [_read(paths[place], checkpoint) for place in proof]
    checked = [_middle(images[place]) for place in _spread(len(images), CHECKED)]
    return Folder(images, checked, others, measured, f"ranges from {len(chosen)} of {len(paths)} images; {why}")


def _with_masks(root: Path, layout: Layout, checkpoint: Checkpoint) -> tuple[Dataset | None, str]:
    known = checkpoint.label_maps.get(SEMANTIC)
    if known is None:
        return None, "the checkpoint does not say what values its masks had, so mean IU is not measured: `fullconv evaluate` does"
    pairs = _pairs(root, layout, layout.val)
    found = FolderSegmentation(f"{root.resolve().name} {layout.val}", pairs, known, checkpoint.image, layout.folder.mask_pages)
    try:
        found[0]
    except DataError as error:
        return None, f"mean IU is not measured, as the masks are not those of the model: {error}"
    return Subset(found, (SEMANTIC,), MEASURED), f"mean IU on {min(len(found), MEASURED)} of {len(found)} images of {layout.val}"


def _pairs(root: Path, layout: Layout, split: str) -> Sequence[Pair]:
    return find_pairs(root, layout.folder, split)


def _read(path: Path, checkpoint: Checkpoint) -> Inputs:
    image = torch.from_numpy(np.ascontiguousarray(read_image(path, checkpoint.image).transpose(2, 0, 1)))
    height, width = image.shape[1:]
    return {RGB: image if checkpoint.scale == 1 else resized(image, scaled_size((height, width), checkpoint.scale))}


def _middle(inputs: Inputs) -> Inputs:
    height, width = next(iter(inputs.values())).shape[-2:]
    top, left = max(0, height - SIDE) // 2, max(0, width - SIDE) // 2
    return {name: image[..., top : top + SIDE, left : left + SIDE] for name, image in inputs.items()}


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many places of ``count``, evenly spread."""
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, most)).round())] if count else []
