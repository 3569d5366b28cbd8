"""NYUDv2 (Silberman et al. 2012): 1449 labelled RGB-D frames, 640x480, 40 classes (Gupta et al. 2013), depth in metres beside.

Frames are called by the number 5001 to 6449 that Gupta's lists give them. The official split is 795 for training, which those
lists divide into ``train`` 381 and ``val`` 414 (``trainval`` is both), and ``test`` 654.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors

from fullconv.data.depth.hha_cache import KeptHHA
from fullconv.data.depth.intrinsics import NYUD
from fullconv.data.sample import DEPTH, HHA, RGB, SEMANTIC, Sample
from fullconv.data.sets.files import folder_of, packaged_list
from fullconv.data.sets.nyud_layouts import NYUDV2, Frames, MatFile, PictureFolder, ReferenceFolder
from fullconv.errors import DataError, some
from fullconv.spec import DataSpec

SPLITS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}
"""The packaged lists that make up each split."""
LAYOUTS: Sequence[Callable[[Path], Frames | None]] = (MatFile.find, ReferenceFolder.find, PictureFolder.find)


class NYUDv2:
    """NYUDv2: streams ``rgb``; ``depth`` float32 (1, H, W) in metres, 0 where there is none; ``hha``; head ``semantic``.

    HHA is computed for the Kinect as it stood. Mirrored copies are about; in them the principal point is 10 px off, a degree.

    Parameters
    ----------
    frames
        One of the layouts in :mod:`fullconv.data.sets.nyud_layouts`.
    split
        train, val, trainval or test.
    streams
        Which of the streams are read.
    kept
        Folder of HHA pictures, ``img_5001.png`` and so on; see :class:`fullconv.data.depth.hha_cache.KeptHHA`.

    Raises
    ------
    DataError
        For a split that there is not, and when frames of it are missing; on access when a file is damaged.
    """

    def __init__(self, frames: Frames, split: str, streams: Sequence[str] = (RGB, DEPTH), kept: Path | None = None) -> None:
        if split not in SPLITS:
            raise DataError(f"no split {split!r} of NYUDv2; there are {', '.join(SPLITS)}")
        self.name = f"nyudv2 {split}"
        self.labels = {SEMANTIC: NYUDV2}
        self.frames = frames
        self.streams = tuple(streams)
        self.kept = KeptHHA(kept)
        self.ids = sorted(number for part in SPLITS[split] for number in _listed(part))
        depth = DEPTH in streams or (HHA in streams and kept is None)  # kept HHA pictures need none
        missing = sorted(set(self.ids) - frames.ids(depth))
        if missing:
            raise DataError(
                f"{self.name}: {len(missing)} of {len(self.ids)} frames are missing in {frames.root} (looked for "
                f"{frames.files(missing[0], depth)}): {some(missing)}; complete the copy"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        number = self.ids[index]
        inputs = {}
        if RGB in self.streams:
            inputs[RGB] = _first(self.frames.image(number))
        if DEPTH in self.streams:
            inputs[DEPTH] = _first(self.frames.depth(number)[..., None])
        mask = self.frames.mask(number)
        if HHA in self.streams:
            size = (mask.shape[0], mask.shape[1])
            encoded = self.kept.picture(f"img_{number}", lambda: self.frames.depth(number), NYUD, size)
            inputs[HHA] = _first(encoded)
        return Sample(str(number), inputs, {SEMANTIC: tv_tensors.Mask(torch.from_numpy(mask))})


def _first(array: NDArray[np.generic]) -> tv_tensors.Image:
    # (H, W, C) -> (C, H, W)
    return tv_tensors.Image(torch.from_numpy(np.require(array.transpose(2, 0, 1), requirements=["C", "W"])))


def _listed(part: str) -> list[int]:
    return [int(number) for number in packaged_list(f"nyudv2-{part}")]


def open_nyudv2(spec: DataSpec, split: str) -> NYUDv2:
    """Return ``split`` of the NYUDv2 under ``spec.root``, in whichever of the three layouts it is there.

    Raises
    ------
    DataError
        When the folder holds none of the layouts, or frames are missing.
    """
    root = folder_of("nyudv2", spec.root)
    for find in LAYOUTS:
        frames = find(root)
        if frames is not None:
            return NYUDv2(frames, split, spec.streams, spec.hha)
    raise DataError(
        f"no NYUDv2 in {root}: looked for {MatFile.LOOKS}; {ReferenceFolder.LOOKS}; {PictureFolder.LOOKS}. The official "
        "file is at https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html (2.8 GB)"
    )
