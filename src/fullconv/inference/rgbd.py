"""Depth beside pictures: where it lies, and what a model that reads depth or HHA is given.

Letters: H height, W width, C channels.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.depth import metres_per_step, read_depth
from fullconv.data.hha import hha
from fullconv.data.intrinsics import NYUD, Intrinsics
from fullconv.data.pictures import SUFFIXES
from fullconv.data.sample import DEPTH, HHA, RGB
from fullconv.errors import DataError, SpecError

CAMERAS = {"nyud": NYUD}
"""Cameras by name."""
_SIX = "FX,FY,CX,CY,HEIGHT,WIDTH"
_KINDS = sorted(SUFFIXES | {".npy"})
_SAME_SHAPE = 0.01  # how far the ratio of height and width may be off before intrinsics are those of another view


def inputs_for(
    wanted: Sequence[str],
    image: NDArray[np.uint8],
    depth: NDArray[np.floating] | None = None,
    camera: Intrinsics | None = None,
) -> dict[str, NDArray[np.generic]]:
    """Return what there is for a model to read of one picture: ``rgb`` and ``hha`` uint8 (H, W, 3), ``depth`` float32 (H, W, 1).

    ``rgb`` is always there, the others when they are wanted.

    Parameters
    ----------
    wanted
        The inputs that it reads.
    image
        uint8 (H, W, 3) RGB.
    depth
        (H, W) in metres, 0 or NaN where nothing was measured; needed for ``depth`` and ``hha``.
    camera
        For images of any size with the shape of this one; needed for ``hha``.

    Raises
    ------
    DataError
        When the model reads what is not given, or the sizes differ.
    """
    found: dict[str, NDArray[np.generic]] = {RGB: image}
    if not {DEPTH, HHA} & set(wanted):
        return found
    size = (image.shape[0], image.shape[1])
    if depth is None:
        raise DataError(f"the model reads {', '.join(wanted)}: give the depth of the picture too (predict: --depth DIR)")
    if depth.shape != size:
        raise DataError(f"the depth is {depth.shape} and the picture {size} (height, width); both must be of one size")
    if DEPTH in wanted:
        found[DEPTH] = np.nan_to_num(depth, nan=0, posinf=0).astype(np.float32)[..., None]
    if HHA in wanted:
        if camera is None:
            raise DataError(
                "the model reads HHA, which needs the camera's intrinsics (predict: --camera FX,FY,CX,CY,HEIGHT,WIDTH)"
            )
        found[HHA] = hha(depth, _fitted(camera, size))
    return found


def _fitted(camera: Intrinsics, size: tuple[int, int]) -> Intrinsics:
    height, width = camera.size
    if abs(size[0] * width / (size[1] * height) - 1) > _SAME_SHAPE:
        raise DataError(
            f"the camera is given for pictures of {height}x{width} and this one is {size[0]}x{size[1]} (height x width), of "
            "another shape: give the intrinsics of this view"
        )
    return camera if size == camera.size else camera.scaled(size)


def parse_camera(text: str) -> Intrinsics:
    """Return the camera of a name in :data:`CAMERAS`, or of six numbers ``FX,FY,CX,CY,HEIGHT,WIDTH`` in pixels.

    Raises
    ------
    DataError
        When it is neither.

    Examples
    --------
    >>> parse_camera("519,520,320,240,480,640").scaled((240, 320)).fx
    259.5
    """
    if text in CAMERAS:
        return CAMERAS[text]
    try:
        fx, fy, cx, cy, height, width = map(float, text.split(","))
        return Intrinsics(fx, fy, cx, cy, (int(height), int(width)))
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"no camera {text!r}; give {', '.join(CAMERAS)}, or {_SIX}: focal lengths, principal point, and the size of the "
            "images that they hold for, in pixels"
        ) from error


@dataclass(frozen=True)
class DepthFolder:
    """Depth maps in a folder, called as the pictures that they belong to.

    Parameters
    ----------
    folder
        The tree is that of the pictures; suffixes may differ.
    unit
        See :func:`fullconv.data.depth.read_depth`.
    camera
        Of all pictures; only HHA needs it.
    """

    folder: Path
    unit: str | float
    camera: Intrinsics | None = None

    def __post_init__(self) -> None:
        metres_per_step(self.unit)  # refuses an unknown one before any picture is read

    def read(self, name: Path) -> NDArray[np.float32]:
        """Return the depth float32 (H, W) in metres of the picture that is called ``name`` below its own folder.

        Raises
        ------
        DataError
            When there is no depth of that name, or several; when it cannot be read.
        """
        found = [path for kind in _KINDS if (path := self.folder / name.with_suffix(kind)).is_file()]
        if len(found) != 1:
            what = (
                f"both {found[0].name} and {found[1].name}"
                if found
                else f"no {name.with_suffix('').as_posix()}.* of {', '.join(_KINDS)}"
            )
            raise DataError(f"{what} in {self.folder}: the depth of a picture must have its name, once")
        return read_depth(found[0], self.unit)


def depths_for(wanted: Sequence[str], folder: Path | None, unit: str | None, camera: str | None) -> DepthFolder | None:
    """Return where the depth lies that a model needs, ``None`` if it needs none, from what a command was given.

    Parameters
    ----------
    wanted
        The inputs that the model reads.
    folder
        Of the depth maps.
    unit
        A name or a number, as text.
    camera
        See :func:`parse_camera`.

    Raises
    ------
    SpecError
        When something is missing, or depth is given to a model that does not read it.
    DataError
        For an unknown unit or camera.
    """
    reads = ", ".join(wanted)
    if not {DEPTH, HHA} & set(wanted):
        if folder is not None:
            raise SpecError(f"the model reads {reads} only; leave --depth out")
        return None
    if folder is None or not folder.is_dir():
        got = "" if folder is None else f"; {folder} is none"
        raise SpecError(f"the model reads {reads}: give --depth DIR, a folder of depth maps called as the pictures{got}")
    if unit is None:
        raise SpecError("give --depth-unit, which files do not say: metres, centimetres, millimetres, or the metres in one step")
    if HHA in wanted and camera is None:
        raise SpecError(f"the model reads {reads}: give --camera {', '.join(CAMERAS)}, or --camera {_SIX} in pixels")
    step: str | float = unit
    with contextlib.suppress(ValueError):
        step = float(unit)
    return DepthFolder(folder, step, parse_camera(camera) if camera else None)


@dataclass(frozen=True)
class Loaded:
    """A picture uint8 (H, W, 3) RGB and what the model is given for it, (H, W, C) by input."""

    image: NDArray[np.uint8]
    inputs: Mapping[str, NDArray[np.generic]]
