"""Masks as arrays in files: ``.npy``, ``.npz`` and MATLAB's ``.mat``; nothing in them is executed."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.data.matlab import is_hdf5, open_hdf5, read_mat
from fullconv.errors import DataError

ARRAY_SUFFIXES = frozenset({".mat", ".npy", ".npz"})
LIKELY = ("mask", "masks", "label", "labels", "segmentation", "gt", "seg", "labelmap", "arr_0")
"""What the mask is called among several arrays, in this order; capitals do not matter."""


def array_in(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the one array of a ``.npy``, ``.npz`` or ``.mat`` file that is a mask; of several the one called as :data:`LIKELY`.

    Raises
    ------
    DataError
        When the file is missing or damaged, holds Python objects, or no or several arrays that may be the mask.
    """
    suffix = Path(path).suffix.lower()
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    if suffix == ".mat":
        return _hdf5_array(path) if is_hdf5(path) else _mat_array(path)
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return found[_chosen(path, found.files)]
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as an array of numbers ({error}); save it anew with numpy.save") from error


def whole_numbers(values: NDArray[np.generic], path: str | os.PathLike[str]) -> NDArray[np.integer]:
    """Return values as integers of the same shape, of bool as 0 and 1, of floating point numbers where all are whole.

    Raises
    ------
    DataError
        When some are not whole, or are no numbers.
    """
    if values.dtype == bool:
        return values.astype(np.uint8)
    if np.issubdtype(values.dtype, np.integer):
        return values  # type: ignore[return-value]  # numpy's own narrowing does not reach generics
    if not np.issubdtype(values.dtype, np.floating):
        raise DataError(f"{path}: a mask of {values.dtype}; store whole numbers or colours")
    numbers = values.astype(np.float64)
    strange = ~((np.abs(numbers) < 2**53) & (numbers == np.floor(numbers)))
    if strange.any():
        such = ", ".join(f"{value:g}" for value in np.unique(numbers[strange])[:3])
        raise DataError(
            f"{path}: a mask of floating point numbers, {int(strange.sum())} of them not whole, such as {such}; store a whole "
            "number for each pixel, and one such as -1 for pixels without ground truth"
        )
    return numbers.astype(np.int64)


def _chosen(path: str | os.PathLike[str], names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    lower = {name.lower(): name for name in names}
    likely = next((lower[name] for name in LIKELY if name in lower), None)
    if likely is None:
        there = ", ".join(sorted(names)) or "none"
        raise DataError(f"{path}: which array is the mask? There are {there}; keep one, or call it mask")
    return likely


def _mat_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    from scipy import io  # late, as few masks are MATLAB files

    try:
        listed = io.whosmat(os.fspath(path))
    except Exception as error:  # a damaged file makes scipy's reader and zlib fail in many ways
        raise DataError(f"{path}: cannot be read as a MATLAB file ({error}); it is damaged, copy it again") from error
    maps = [
        name
        for name, shape, kind in listed
        if len(shape) in (2, 3) and min(shape[:2]) > 1 and kind not in ("struct", "cell", "char", "object", "opaque", "function")
    ]
    if not maps:
        raise DataError(f"{path}: no array (H, W) in it; it has {', '.join(name for name, *_ in listed) or 'nothing'}")
    return read_mat(path, _chosen(path, maps))


def _hdf5_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    with open_hdf5(path) as file:
        maps = [name for name in file if getattr(file[name], "ndim", 0) in (2, 3) and min(file[name].shape[-2:]) > 1]
        if not maps:
            raise DataError(f"{path}: no array (H, W) in it; it has {', '.join(sorted(file)) or 'nothing'}")
        return np.asarray(file[_chosen(path, maps)]).T  # MATLAB's axes stand in reverse
