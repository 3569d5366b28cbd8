"""Depth maps from files, in metres: reading, units, and a check that notices a wrong unit.

A depth map is float32 (H, W): metres along the camera's axis (not along the ray); 0, NaN or infinity where nothing was
measured (a hole).
"""

import math
import os
import tokenize
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import SUFFIXES, decode
from fullconv.errors import DataError

UNITS: Mapping[str, float] = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
"""Metres in one step of a stored value."""

DEPTH_SUFFIXES = sorted(SUFFIXES | {".npy"})
"""Of files that depth is looked for in."""

PLAUSIBLE = (0.1, 40.0)
"""Metres between which the median depth of a picture lies; outside it, a unit was mistaken."""

_USUAL = 2.5  # metres, the median of a room
_ONE_CHANNEL = ("L", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def read_depth(path: str | os.PathLike[str], unit: str | float) -> NDArray[np.float32]:
    """Return the depth map in a file as float32 (H, W) in metres, 0 = hole.

    Parameters
    ----------
    path
        An image of one channel (PNG, PGM, TIFF; 8, 16 or 32 bits, or floating point), or a ``.npy`` array.
    unit
        ``metres``, ``centimetres``, ``millimetres``, or a number: the metres in one step, such as ``1 / 25.5`` for 8 bits
        that reach to 10 m. Files do not say it, and it is not guessed.

    Raises
    ------
    DataError
        When the file is missing, damaged, or not one channel of numbers; for an unknown unit; when the depths are
        implausible in that unit (see :func:`check_depth`).

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "depth.npy"
    >>> np.save(path, np.array([[0, 1500], [2000, 2500]], np.uint16))
    >>> read_depth(path, "millimetres").tolist()
    [[0.0, 1.5], [2.0, 2.5]]
    """
    values = _read_array(path) if Path(path).suffix.lower() == ".npy" else _read_image(path)
    depth = values * metres_per_step(unit)
    try:
        known = _known(depth, unit if isinstance(unit, str) else "metres")
    except DataError as error:
        raise DataError(f"{path}, read as {unit if isinstance(unit, str) else f'{unit:g} m a step'}: {error}") from error
    return np.where(known, depth, 0).astype(np.float32)


def check_depth(depth: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return where a depth map in metres is known (H, W): False in holes (0, NaN or infinity).

    Raises
    ------
    DataError
        When it is not a floating point array (H, W), has negative values or nothing but holes, or its median is not in
        :data:`PLAUSIBLE`: then it is likely millimetres or centimetres taken for metres, or the reverse.

    Examples
    --------
    >>> check_depth(np.array([[1.5, 0.0, np.nan]])).tolist()
    [[True, False, False]]
    """
    return _known(depth, "metres")


def _known(depth: NDArray[np.floating], unit: str) -> NDArray[np.bool_]:
    """See :func:`check_depth`; ``unit`` is what the values were taken for before they became metres."""
    if not isinstance(depth, np.ndarray) or depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
        found = f"{depth.dtype} {depth.shape}" if isinstance(depth, np.ndarray) else type(depth).__name__
        raise DataError(f"a depth map is a floating point array (H, W) in metres; got {found}")
    if (depth < 0).any():
        raise DataError(f"depths must not be negative (a hole is 0 or NaN); the least is {np.nanmin(depth):g}")
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        raise DataError(f"a depth map of {depth.shape[0]}x{depth.shape[1]} with nothing but holes (0, NaN or infinity)")
    median = float(np.median(depth[known]))
    if not PLAUSIBLE[0] <= median <= PLAUSIBLE[1]:
        raise DataError(_implausible(median, unit))
    return known


def _implausible(median: float, unit: str) -> str:
    found = f"the median depth is {median:.4g} m, not between {PLAUSIBLE[0]:g} and {PLAUSIBLE[1]:g} m"
    # by the factor that would make the depth right
    mistakes = {step / UNITS[unit]: f"{name} taken for {unit}" for name, step in UNITS.items() if name != unit}
    if unit == "metres":  # these values may have been another unit's before
        mistakes |= {1 / step: f"metres taken for {name}" for name, step in UNITS.items() if name != unit}
    factor = min(mistakes, key=lambda factor: abs(math.log(median * factor / _USUAL)))
    if not PLAUSIBLE[0] <= median * factor <= PLAUSIBLE[1]:
        return f"{found}; check the unit"
    return f"{found}; it looks like {mistakes[factor]}"


def metres_per_step(unit: str | float) -> float:
    """Return the metres in one step of a stored value, of a unit's name in :data:`UNITS` or of themselves.

    Raises
    ------
    DataError
        For an unknown name, or a number that is not positive and finite.
    """
    if isinstance(unit, str):
        if unit not in UNITS:
            raise DataError(f"no depth unit {unit!r}; there are {', '.join(UNITS)}, or a number: the metres in one step")
        return UNITS[unit]
    if not 0 < unit < np.inf:
        raise DataError(f"the metres in one step of depth must be positive and finite; got {unit}")
    return float(unit)


def _read_image(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    image = decode(path)
    if image.mode not in _ONE_CHANNEL:
        raise DataError(f"{path}: a depth map has one channel of numbers; this image is {image.mode}")
    return np.array(image, np.float64)


def _read_array(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        # mapped, so that a damaged header cannot ask for more memory than the file has
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError, tokenize.TokenError) as error:
        # numpy parses the header as Python, hence the last two
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read as a .npy array of numbers ({reason})") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "uif":
        raise DataError(f"{path}: a depth map is an array of numbers; this one holds {getattr(values, 'dtype', type(values))}")
    return values.astype(np.float64)
