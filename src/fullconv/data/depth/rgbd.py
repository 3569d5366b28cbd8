"""What is read of an image and its depth: the streams ``rgb``, ``depth`` and ``hha`` by which a model may ask for them.

Letters: H height, W width, C channels.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fullconv.data.depth.hha import hha
from fullconv.data.depth.intrinsics import NYUD, Intrinsics
from fullconv.data.sample import DEPTH, HHA, RGB
from fullconv.errors import DataError

CAMERAS = {"nyud": NYUD}
"""Cameras by name."""
SIX = "FX,FY,CX,CY,HEIGHT,WIDTH"
_FOCAL = (0.1, 20)  # of the longer side: views from 157 degrees down to 3, so that millimetres or shares are noticed
_SAME_SHAPE = 0.01  # how far the ratio of height and width may be off before intrinsics are those of another view


def inputs_for(
    wanted: Sequence[str],
    image: NDArray[np.uint8],
    depth: NDArray[np.floating] | None = None,
    camera: Intrinsics | None = None,
    encode: Callable[[NDArray[np.floating], Intrinsics], NDArray[np.uint8]] = hha,
) -> dict[str, NDArray[np.generic]]:
    """Return what there is for a model to read of one image: ``rgb`` and ``hha`` uint8 (H, W, 3), ``depth`` float32 (H, W, 1).

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
    encode
        Makes the HHA image of a depth and its camera.

    Raises
    ------
    DataError
        When the model reads what is not given, the depth is no array, or the sizes differ.
    """
    found: dict[str, NDArray[np.generic]] = {RGB: image}
    if not {DEPTH, HHA} & set(wanted):
        return found
    size = (image.shape[0], image.shape[1])
    if depth is None:
        raise DataError(f"the model reads {', '.join(wanted)}: give the depth of the image too (predict: --depth DIR)")
    if not isinstance(depth, np.ndarray):
        raise DataError(f"a depth is an array (H, W) in metres; got {type(depth).__name__}")
    if depth.shape != size:
        raise DataError(f"the depth is {depth.shape} and the image {size} (height, width); both must be of one size")
    if DEPTH in wanted:
        found[DEPTH] = np.nan_to_num(depth, nan=0, posinf=0).astype(np.float32)[..., None]
    if HHA in wanted:
        if camera is None:
            raise DataError(
                "the model reads HHA, which needs the camera's intrinsics (predict: --camera FX,FY,CX,CY,HEIGHT,WIDTH)"
            )
        found[HHA] = encode(depth, fitted_camera(camera, size))
    return found


def fitted_camera(camera: Intrinsics, size: tuple[int, int]) -> Intrinsics:
    """Return a camera's intrinsics for images of another size (height, width) of the same view.

    Raises
    ------
    DataError
        When the images have another shape than those that the intrinsics hold for.
    """
    height, width = camera.size
    if abs(size[0] * width / (size[1] * height) - 1) > _SAME_SHAPE:
        raise DataError(
            f"the camera is given for images of {height}x{width} and this one is {size[0]}x{size[1]} (height x width), of "
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
        *lengths, height, width = text.split(",")
        fx, fy, cx, cy = map(float, lengths)
        found = Intrinsics(fx, fy, cx, cy, (int(height), int(width)))
    except ValueError as error:
        raise DataError(
            f"no camera {text!r}; give {', '.join(CAMERAS)}, or {SIX}: focal lengths, principal point, and the size of the "
            "images that they hold for, in pixels"
        ) from error
    longest = max(found.size)
    if not all(_FOCAL[0] * longest <= focal <= _FOCAL[1] * longest for focal in (fx, fy)) or max(abs(cx), abs(cy)) > 2 * longest:
        raise DataError(
            f"the camera {text!r} is none for images of {found.size[0]}x{found.size[1]} (height x width): focal lengths lie "
            f"between {_FOCAL[0]:g} and {_FOCAL[1]:g} times the longer side and the principal point near the middle, in pixels"
        )
    return found
