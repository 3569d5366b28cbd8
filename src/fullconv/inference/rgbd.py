"""Depth beside images: where it lies, and what a model that reads depth or HHA is given.

Letters: H height, W width, C channels.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.depth.depth import DEPTH_SUFFIXES, metres_per_step, read_depth
from fullconv.data.depth.intrinsics import Intrinsics
from fullconv.data.depth.rgbd import CAMERAS, SIX, parse_camera
from fullconv.data.sample import DEPTH, HHA
from fullconv.errors import DataError, SpecError


@dataclass(frozen=True)
class Depths:
    """Depth maps in a folder, with the names of the images that they belong to; or the one of a single image.

    Parameters
    ----------
    path
        A folder, whose tree is that of the images; suffixes may differ. Or a file, which is any image's depth.
    unit
        See :func:`fullconv.data.depth.depth.read_depth`.
    camera
        Of all images; only HHA needs it.
    """

    path: Path
    unit: str | float
    camera: Intrinsics | None = None

    def __post_init__(self) -> None:
        metres_per_step(self.unit)  # refuses an unknown one before any image is read

    def read(self, name: Path) -> NDArray[np.float32]:
        """Return the depth float32 (H, W) in metres of the image that is called ``name`` below its own folder.

        Raises
        ------
        DataError
            When there is no depth of that name, or several; when it cannot be read.
        """
        if self.path.is_file():
            return read_depth(self.path, self.unit)
        lower, upper = (
            [path for kind in kinds if (path := self.path / name.with_suffix(kind)).is_file()]
            for kinds in (DEPTH_SUFFIXES, [kind.upper() for kind in DEPTH_SUFFIXES])
        )
        found = lower or upper  # some disks do not tell them apart
        if len(found) != 1:
            what = (
                f"both {found[0].name} and {found[1].name}"
                if found
                else f"no {name.with_suffix('').as_posix()}.* of {', '.join(DEPTH_SUFFIXES)}"
            )
            raise DataError(f"{what} in {self.path}: the depth of an image has its name, once, in the same tree of folders")
        return read_depth(found[0], self.unit)

    def median(self, name: Path) -> float:
        """Return the median of an image's depth in metres, holes left out, see :meth:`read`; it shows a mistaken unit."""
        depth = self.read(name)
        return float(np.median(depth[depth > 0]))


def depths_for(wanted: Sequence[str], path: Path | None, unit: str | None, camera: str | None, images: int) -> Depths | None:
    """Return where the depth lies that a model needs, ``None`` if it needs none, from what a command was given.

    Parameters
    ----------
    wanted
        The inputs that the model reads.
    path
        Of the depth maps: a folder, or one file for one image.
    unit
        A name or a number, as text.
    camera
        See :func:`fullconv.data.depth.rgbd.parse_camera`.
    images
        How many there are.

    Raises
    ------
    SpecError
        When something is missing, or depth is given to a model that does not read it.
    DataError
        For an unknown unit or camera.
    """
    reads = ", ".join(wanted)
    if not {DEPTH, HHA} & set(wanted):
        if given := [
            f"--{name}" for name, value in (("depth", path), ("depth-unit", unit), ("camera", camera)) if value is not None
        ]:
            raise SpecError(f"the model reads {reads} only; leave {' and '.join(given)} out")
        return None
    if path is None or not path.exists():
        got = "" if path is None else f"; {path} is not there"
        raise SpecError(f"the model reads {reads}: give --depth DIR, a folder of depth maps with the names of the images{got}")
    if path.is_file() and images > 1:
        raise SpecError(f"--depth {path} is the depth of one image, and there are {images}; give a folder of depth maps")
    if unit is None:
        raise SpecError(
            "give --depth-unit, as files do not say their unit: metres, centimetres, millimetres, or the metres in one step"
        )
    if HHA in wanted and camera is None:
        raise SpecError(f"the model reads {reads}: give --camera {', '.join(CAMERAS)}, or --camera {SIX} in pixels")
    step: str | float = unit
    with contextlib.suppress(ValueError):
        step = float(unit)
    return Depths(path, step, parse_camera(camera) if camera is not None else None)


@dataclass(frozen=True)
class Loaded:
    """An image uint8 (H, W, 3) RGB and what the model is given for it, (H, W, C) by input."""

    image: NDArray[np.uint8]
    inputs: Mapping[str, NDArray[np.generic]]
