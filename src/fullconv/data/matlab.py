"""MATLAB files: version 5 by scipy, version 7.3 (which is HDF5) by h5py, which comes with ``pip install 'fullconv[mat]'``."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_mat(path: str | os.PathLike[str], variable: str, *fields: str) -> NDArray[Any]:
    """Return the array ``variable`` of a MATLAB 5 file, or one of a structure's ``fields``, without axes of length one.

    Raises
    ------
    DataError
        When the file is missing, damaged or of version 7.3, or lacks the variable or field.
    """
    from scipy import io  # late, as few masks are MATLAB files

    _is_file(path)
    if is_hdf5(path):
        raise DataError(f"{path}: a MATLAB 7.3 file, and this data set has version 5; save it in MATLAB with -v7")
    try:
        found = io.loadmat(os.fspath(path), variable_names=[variable], squeeze_me=True, struct_as_record=False)
    # whatever comes: a damaged file makes scipy's reader and zlib fail in many ways
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file ({error}); it is damaged, copy it again") from error
    value = found.get(variable)
    for field in fields:
        value = getattr(value, field, None)
    if value is None:
        has = [name for name, *_ in io.whosmat(os.fspath(path))]
        raise DataError(f"{path}: no {'.'.join((variable, *fields))} in it; it has {', '.join(has) or 'nothing'}")
    return np.asarray(value)


def read_label_map(path: str | os.PathLike[str], variable: str, lowest: int, highest: int) -> NDArray[np.int64]:
    """Return the labels (H, W) of ``variable`` in a MATLAB 5 file as they are stored, whole numbers ``lowest`` to ``highest``.

    Raises
    ------
    DataError
        As :func:`read_mat`, and when the array is of another kind or holds other values.
    """
    found = read_mat(path, variable)
    if found.ndim != 2 or found.dtype.kind not in "iuf" or not found.size:
        raise DataError(f"{path}: {variable} must be a label map (H, W); it is {found.dtype} {found.shape}")
    strange = found[~((found >= lowest) & (found <= highest) & (found == np.floor(found)))]
    if strange.size:
        values = ", ".join(f"{value:g}" for value in np.unique(strange)[:5])
        raise DataError(
            f"{path}: {variable} must hold whole numbers {lowest} to {highest}; {strange.size} px have others, such as {values}"
        )
    return found.astype(np.int64)


def open_hdf5(path: str | os.PathLike[str], *variables: str) -> Any:
    """Return a MATLAB 7.3 file as h5py opens it, arrays with their axes in reverse, after a look for ``variables``.

    Raises
    ------
    DataError
        When the file is missing, damaged or of an older version, lacks a variable, or h5py is not installed.
    """
    try:
        import h5py  # an extra, as one data set only needs it
    except ImportError as error:
        raise DataError(f"{path}: MATLAB 7.3 files need h5py; install it with: pip install 'fullconv[mat]'") from error
    _is_file(path)
    if not is_hdf5(path):
        raise DataError(f"{path}: not a MATLAB 7.3 file; it is damaged or of another version, copy it again")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); it is damaged or cut short, copy it again") from error
    missing = [name for name in variables if name not in file]
    if missing:
        has = ", ".join(sorted(file)) or "nothing"
        file.close()
        raise DataError(f"{path}: no {', '.join(missing)} in it; it has {has}")
    return file


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is HDF5; MATLAB 7.3 puts its own 512 bytes in front of the signature."""
    with Path(path).open("rb") as file:
        start = file.read(512 + len(_HDF5))
    return start.startswith(_HDF5) or start[512:] == _HDF5


def _is_file(path: str | os.PathLike[str]) -> None:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
