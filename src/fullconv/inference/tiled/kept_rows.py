"""What the stages hold between two bands, kept in a file: whoever is stopped goes on there, and computes nothing of it again.

The file is a line of JSON that says what is being computed and by which versions, a line that says what of each map is there,
and the rows as they lie in memory. It is written anew after every band, under another name, and renamed: a kill leaves the one
before. So it is a band behind what is finished at most. A file that is damaged, or of something else, is not gone on with.
"""

import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from fullconv.errors import FullconvError
from fullconv.files import remove_unfinished, replacing
from fullconv.inference.tiled.rolling import RollingMap

VERSION = 1
"""Of the file."""


class KeptRows:
    """The rows of all maps of an image between two bands, in a file.

    Parameters
    ----------
    path
        Of the file.
    about
        What is computed and how: rows of something else are not gone on with. JSON.
    say
        Is told in a line when what is there cannot be gone on with, or when nothing can be kept.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self.path, self._say = path, say
        made_by = {"file": VERSION, "fullconv": version("fullconv"), "torch": torch.__version__}
        self._head = json.dumps({**about, "made_by": made_by}, sort_keys=True).encode() + b"\n"
        self._full = False
        remove_unfinished(path)

    def keep(self, maps: Sequence[RollingMap], row: int) -> None:
        """Keep what maps hold when the image's rows above ``row`` are put out; ``row`` may be negative.

        Where the disk has no room nothing is kept from then on, and that is said.
        """
        if self._full:
            return
        held = [(each.end, [each.maps.held(), each.logits.held()]) for each in maps]
        size = sum(rows.nbytes for _, both in held for _, rows in both if rows is not None)
        try:
            free = shutil.disk_usage(self.path.parent).free
            if free < 2 * size:
                raise FullconvError(f"{free / 1e6:.0f} MB of the disk are free, and {2 * size / 1e6:.0f} MB are needed")
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                self._write(file, held, row)
        except (OSError, FullconvError) as error:
            self._full = True
            self.remove()
            self._say(
                f"what is computed for later rows is not kept ({error}); if this run is stopped, some of it is computed again"
            )

    def _write(self, file: BinaryIO, held: Sequence[tuple[int, Sequence[tuple[int, Tensor | None]]]], row: int) -> None:
        said = []
        for end, both in held:
            known = []
            for first, rows in both:
                shape = None if rows is None else [list(rows.shape), str(rows.dtype)[6:], zlib.crc32(_bytes_of(rows))]
                known.append([first, shape])
            said.append([end, known])
        there = json.dumps({"row": row, "maps": said}).encode()
        file.write(self._head + b"%08x " % zlib.crc32(there) + there + b"\n")
        for _, both in held:
            for _, rows in both:
                if rows is not None:
                    file.write(_bytes_of(rows))

    def restore(self, maps: Sequence[RollingMap], finished: int, device: torch.device) -> int | None:
        """Give maps what was kept; return the row above which all are put out, or ``None`` where nothing can be gone on with.

        Parameters
        ----------
        finished
            How many rows of the image are there already: what was kept further down is of no use.
        device
            Where the maps are computed.
        """
        try:
            with self.path.open("rb") as file:
                if file.readline() != self._head:
                    raise ValueError("it is of another image, model, version or setting")
                checksum, there = file.readline().rstrip(b"\n").split(b" ", 1)
                if int(checksum, 16) != zlib.crc32(there):
                    raise ValueError("it is damaged")
                said = json.loads(there)
                row = int(said["row"])
                if row > finished:
                    raise ValueError("it is further than the finished rows")
                found = [(int(end), list(_read(file, known, device))) for end, known in said["maps"]]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._say(f"{self.path} is left aside, and what it holds is computed again: {error}")
            return None
        for each, (end, (rows, logits)) in zip(maps, found, strict=True):
            each.end = end
            each.maps.hold(*rows)
            each.logits.hold(*logits)
        return row

    def remove(self) -> None:
        """Delete the file, as its rows are not needed any more."""
        self.path.unlink(missing_ok=True)


def _bytes_of(rows: Tensor) -> memoryview:
    return rows.cpu().contiguous().numpy().data.cast("B")


def _read(file: BufferedReader, known: Sequence[Any], device: torch.device) -> Iterator[tuple[int, Tensor | None]]:
    for first, there in known:
        if there is None:
            yield int(first), None
            continue
        shape, dtype, checksum = there
        rows = np.empty(shape, dtype)
        content = rows.data.cast("B")
        if file.readinto(content) != len(content) or zlib.crc32(content) != checksum:
            raise ValueError("it is damaged")
        yield int(first), torch.from_numpy(rows).to(device)
