"""Depth beside the user's own images and masks: the streams ``depth`` and ``hha`` of a folder."""

import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from fullconv.data.depth.depth import metres_per_step, read_depth
from fullconv.data.depth.hha_cache import KeptHHA
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.depth.rgbd import inputs_for, parse_camera
from fullconv.data.folder.folder import FolderSegmentation, open_folder
from fullconv.data.folder.pairing import with_depths
from fullconv.data.pairs import DEPTH_COLUMN, Pair
from fullconv.data.sample import HHA, RGB, Dataset, Sample
from fullconv.errors import DataError
from fullconv.spec import DataSpec


class FolderWithDepth:
    """A folder's samples with the streams ``rgb``, ``depth`` in metres (0 where there is none) and ``hha`` that are asked for.

    Parameters
    ----------
    dataset
        The images and masks.
    depths
        The depth map of each.
    spec
        With streams, unit, camera, and the folder where HHA images are kept.
    split
        Of the samples; it has a folder of its own there, as splits may have equal names.

    Raises
    ------
    DataError
        For an unknown unit or camera, and when HHA is asked for without a camera; on access, when a depth map is damaged,
        implausible in its unit, or of another size than its image.
    """

    def __init__(self, dataset: FolderSegmentation, depths: Sequence[Path], spec: DataSpec, split: str) -> None:
        self.dataset, self.depths, self.streams = dataset, tuple(depths), spec.streams
        self.name, self.labels = dataset.name, dataset.labels
        self.unit, self.camera = depth_settings(spec)
        self.kept = KeptHHA(spec.hha / split if spec.hha else None)

    def __len__(self) -> int:
        return len(self.depths)

    def __getitem__(self, index: int) -> Sample:
        sample, path = self.dataset[index], self.depths[index]
        image = sample.inputs[RGB].numpy().transpose(1, 2, 0)
        depth = read_depth(path, self.unit)
        try:
            found = inputs_for(
                self.streams,
                image,
                depth,
                self.camera,
                lambda depth, camera: self.kept.image(_below(sample.name), lambda: depth, camera, sample.size, _version(depth)),
            )
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        targets = {head: mask.numpy() for head, mask in sample.targets.items()}
        return Sample.from_arrays(sample.name, {stream: found[stream] for stream in self.streams}, targets)


def _below(name: str) -> str:
    """Return a name that lies in the folder it is joined to; a list may call images by absolute paths, or through ``..``."""
    path = PurePath(name)
    return "/".join(part for part in path.parts if part not in (path.anchor, ".."))


def _version(depth: NDArray[np.float32]) -> str:
    return f"depth {zlib.crc32(np.ascontiguousarray(depth).tobytes()):08x}"


def depth_settings(spec: DataSpec) -> tuple[str | float, Intrinsics | None]:
    """Return the unit of a folder's depth maps and their camera, which only HHA needs.

    Raises
    ------
    DataError
        When one is missing that the streams need, or not known.
    """
    folder = spec.folder
    if folder.depth is None and folder.pairs is None:
        raise DataError(
            f"the streams {', '.join(spec.streams)} of a folder need its depth: set data.folder.depth to the folder of depth "
            "maps, such as depth/{split}, or data.folder.pairs to a list that has a column depth; then data.folder.depth_unit, "
            "and for hha data.folder.camera"
        )
    if folder.depth_unit is None:
        raise DataError("data.folder.depth_unit is missing, as files do not say their unit: metres, centimetres, millimetres")
    metres_per_step(folder.depth_unit)  # refuses an unknown one before any depth is read
    camera = parse_camera(folder.camera) if folder.camera is not None else None
    if HHA in spec.streams and camera is None:
        raise DataError("HHA needs the camera: set data.folder.camera to nyud or FX,FY,CX,CY,HEIGHT,WIDTH in pixels")
    return folder.depth_unit, camera


def open_own(spec: DataSpec, split: str) -> Dataset:
    """Return a split of the user's own folder, see :func:`~fullconv.data.folder.folder.open_folder`, with depth if asked for."""
    found = open_folder(spec, split)
    if set(spec.streams) == {RGB}:
        return found
    depth_settings(spec)  # a folder of depth must be named before it is looked through
    return FolderWithDepth(found, _depths(spec, split, found.pairs), spec, split)


def _depths(spec: DataSpec, split: str, pairs: Sequence[Pair]) -> list[Path]:
    root, folder = Path(spec.root or ""), spec.folder
    known = with_depths(root, folder, split, pairs)
    found = [pair.depth for pair in known if pair.depth is not None and pair.depth.is_file()]
    if len(found) == len(pairs):
        return found
    alone = [pair.name for pair in known if pair.depth is None or not pair.depth.is_file()]
    where, how = (
        (root / folder.depth.format(split=split), "depth maps have their images' names")
        if folder.depth is not None
        else (root / (folder.pairs or ""), f"the column {DEPTH_COLUMN} names a file for each")
    )
    names = f"{', '.join(alone[:3])}{', …' if len(alone) > 3 else ''}"
    raise DataError(f"{len(alone)} of {len(pairs)} images have no depth in {where}: {names}; {how}")
