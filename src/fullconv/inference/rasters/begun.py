"""Labels that are being computed, kept on disk row by row, so that a process that was killed goes on where it was.

Two hidden files lie beside the result: ``.NAME.part`` holds the labels as they are, ``.NAME.part.json`` how many rows of them are
finished and how they are computed. The rows are flushed to the disk before they count as finished.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError, FullconvError
from fullconv.files import replacing
from fullconv.inference.digests import differences


class BegunLabels:
    """Labels uint8 (height, width) on their way into a file.

    Parameters
    ----------
    result
        The file that they will be written to.
    size
        (height, width).
    settings
        How they are computed, as JSON has it: what was begun with others does not go on.
    afresh
        Begin again, whatever is there.

    Attributes
    ----------
    rows
        How many are finished.
    cut
        How the map is cut, as :attr:`fullconv.inference.tiled.plan.Cut.key`, so that who goes on cuts it alike.

    Raises
    ------
    DataError
        When labels were begun in another way; the message says in which.
    FullconvError
        When the folder cannot be written or the disk has no room for all labels.

    Examples
    --------
    >>> import tempfile
    >>> result = Path(tempfile.mkdtemp()) / "map.tif"
    >>> begun = BegunLabels(result, (3, 2), {"head": "semantic"})
    >>> begun.write(0, 0, np.ones((2, 2), np.uint8))
    >>> begun.finish(2)
    >>> begun.close()
    >>> again = BegunLabels(result, (3, 2), {"head": "semantic"})
    >>> again.rows
    2
    >>> again.close()
    """

    def __init__(self, result: Path, size: tuple[int, int], settings: Mapping[str, Any], *, afresh: bool = False) -> None:
        self.size = size
        self.pixels, self._about = _files(result)
        self._settings = json.loads(json.dumps(dict(settings)))
        if afresh:
            discard(result)
        before = self._before()
        self.rows = 0 if before is None else int(before["rows"])
        self.cut: list[Any] | None = None if before is None else before.get("cut")
        if before is not None and before["settings"] != self._settings:
            raise DataError(
                f"{result} was begun with {differences(before['settings'], self._settings)}; choose another --out, or "
                "--overwrite it"
            )
        try:
            result.parent.mkdir(parents=True, exist_ok=True)
            with self.pixels.open("ab") as file:
                if hasattr(os, "posix_fallocate"):  # a full disk is told of now, not after hours
                    os.posix_fallocate(file.fileno(), 0, size[0] * size[1])
        except OSError as error:
            raise FullconvError(_cannot(self.pixels, error)) from error
        self._file = self.pixels.open("r+b")

    def write(self, top: int, left: int, labels: NDArray[np.uint8]) -> None:
        """Write a rectangle of labels whose first pixel is in row ``top`` and column ``left``."""
        height, width = labels.shape
        try:
            if width == self.size[1]:
                self._file.seek(top * width)
                self._file.write(np.ascontiguousarray(labels).data)
                return
            for row in range(height):
                self._file.seek((top + row) * self.size[1] + left)
                self._file.write(labels[row].tobytes())
        except OSError as error:
            raise FullconvError(_cannot(self.pixels, error)) from error

    def finish(self, rows: int) -> None:
        """Note that all rows above ``rows`` are written."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise FullconvError(_cannot(self.pixels, error)) from error
        with replacing(self._about) as temporary:
            temporary.write_text(json.dumps({"rows": rows, "cut": self.cut, "settings": self._settings}), encoding="utf-8")
        self.rows = rows

    def labels(self) -> NDArray[np.uint8]:
        """Return all labels, read from the disk where they are looked at."""
        self._file.flush()
        return np.memmap(self.pixels, np.uint8, "r", shape=self.size)

    def close(self) -> None:
        """Close the file and leave it, so that it goes on another time."""
        self._file.close()

    def _before(self) -> dict[str, Any] | None:
        """Return what is noted of labels that were begun; ``None`` where they are not whole."""
        try:
            found = json.loads(self._about.read_text(encoding="utf-8"))
            whole = self.pixels.stat().st_size >= self.size[0] * self.size[1]
            return found if whole and {"rows", "settings"} <= set(found) else None
        except (OSError, ValueError):
            return None


def _files(result: Path) -> tuple[Path, Path]:
    return result.with_name(f".{result.name}.part"), result.with_name(f".{result.name}.part.json")


def discard(result: Path) -> None:
    """Remove what is kept of the labels of a file."""
    for path in reversed(_files(result)):  # in this order: pixels without a note count for nothing
        path.unlink(missing_ok=True)


def _cannot(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {error.strerror or error}; free space or choose another --out; what is finished is kept"
