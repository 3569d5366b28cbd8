"""Finished rows of an image that takes long, kept in a file beside the result: whoever is stopped goes on there.

The file is a line of JSON that says what is being computed, and behind it a record for each band of rows: a line of JSON with
its rows and the length and checksum of each layer, then the layers' bytes, packed as a PNG holds them. A record that was cut
short by a kill is dropped and its band computed again. The results are written from the records at the end, each at once.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import FullconvError
from fullconv.formats.png_rows import Piece, pack


@dataclass(frozen=True)
class _Layer:
    at: int  # in the file
    size: int
    checksum: int
    length: int


class Bands:
    """Rows of one or several layers (labels, confidence …) of an image, growing from top to bottom.

    Parameters
    ----------
    path
        Of the file; made when it is not there.
    about
        What is computed and how: rows that were computed in another way are thrown away. JSON.

    Attributes
    ----------
    rows
        How many are finished.
    resumed
        How many of them were there already.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self._layers: list[dict[str, _Layer]] = []
        self.rows = 0
        head = json.dumps(dict(about), sort_keys=True).encode() + b"\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
            if self._file.readline() == head:
                self._read()
            else:
                self._file.seek(0)
                self._file.truncate()
                self._file.write(head)
                self._settle()
        except OSError as error:
            raise _cannot(path, error) from error
        self.resumed = self.rows

    def _read(self) -> None:
        """Find the whole records and cut off what is behind them."""
        end = self._file.tell()
        while (record := self._record()) is not None:
            rows, layers = record
            self.rows += rows
            self._layers.append(layers)
            end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()

    def _record(self) -> tuple[int, dict[str, _Layer]] | None:
        try:
            said = json.loads(self._file.readline())
            layers = {}
            for name, (size, crc, checksum, length) in said["layers"].items():
                layers[name] = _Layer(self._file.tell(), size, checksum, length)
                if zlib.crc32(self._file.read(size)) != crc:
                    return None
            return int(said["rows"]), layers
        except (ValueError, KeyError, TypeError):
            return None

    def add(self, layers: Mapping[str, NDArray[np.integer]]) -> None:
        """Add the next rows of every layer; they are on the disk when this returns.

        Raises
        ------
        FullconvError
            When the disk is full; what was finished before stays.
        """
        pieces = {name: pack(rows) for name, rows in layers.items()}
        rows = len(next(iter(layers.values())))
        sizes = {name: (len(p.packed), zlib.crc32(p.packed), p.checksum, p.length) for name, p in pieces.items()}
        try:
            self._file.write(json.dumps({"rows": rows, "layers": sizes}).encode() + b"\n")
            found = {}
            for name, piece in pieces.items():
                found[name] = _Layer(self._file.tell(), len(piece.packed), piece.checksum, piece.length)
                self._file.write(piece.packed)
            self._settle()
        except OSError as error:
            raise _cannot(self.path, error) from error
        self._layers.append(found)
        self.rows += rows

    def _settle(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def pieces(self, layer: str) -> Iterator[Piece]:
        """Yield all rows of a layer, from top to bottom."""
        for record in self._layers:
            yield self._piece(record[layer])

    def _piece(self, known: _Layer) -> Piece:
        self._file.seek(known.at)
        return Piece(self._file.read(known.size), known.checksum, known.length)

    def layer(self, name: str, width: int) -> "Layer":
        """Return a layer of one byte a pixel, whose rows are read when they are looked at."""
        known = [record[name] for record in self._layers]
        return Layer([(each.length // (width + 1), partial(self._piece, each)) for each in known], width)

    def close(self) -> None:
        """Leave the file for another time."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file, as its results are written."""
        self._file.close()
        self.path.unlink()


class Layer:
    """Rows uint8 (height, width) on a disk, of which a slice is an array.

    Parameters
    ----------
    bands
        How many rows each has, and what reads it.
    width
        Pixels in a row.
    """

    def __init__(self, bands: Sequence[tuple[int, Callable[[], Piece]]], width: int) -> None:
        self._bands, self.shape = bands, (sum(rows for rows, _ in bands), width)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Return rows (n, width), one after another."""
        first, last, _ = rows.indices(self.shape[0])
        found, top = [np.empty((0, self.shape[1]), np.uint8)], 0
        for height, read in self._bands:
            if top < last and first < top + height:
                found.append(unpacked(read(), self.shape[1])[max(first - top, 0) : last - top])
            top += height
        return np.concatenate(found)


def unpacked(piece: Piece, width: int) -> NDArray[np.uint8]:
    """Return the rows uint8 (h, W) of a piece that were of one byte each."""
    content = np.frombuffer(zlib.decompressobj(-15).decompress(piece.packed), np.uint8)
    return content.reshape(-1, width + 1)[:, 1:]


def _cannot(path: Path, error: OSError) -> FullconvError:
    return FullconvError(
        f"cannot write {path}: {error.strerror or error}. What is finished is kept; free space or choose another folder, and "
        "give the same command again"
    )
