"""A ``.caffemodel``: layers and their weights, mapped from the file and copied only when they are used.

The bulk of such a file is rows of float32 inside three levels of messages: net, layer, blob. Those levels are walked here; what
is left of a layer, its settings, is some hundred bytes that go to the protobuf runtime. Handing the runtime the whole file would
hold the weights twice before the first is used. Both forms are read, ``layer`` (types by name) and ``layers`` (by number), with
the shapes of either.
"""

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from fullconv.errors import WeightsError
from fullconv.interop.caffe.schema import message, upgraded
from fullconv.interop.caffe.wire import BYTES, FIXED, Field, Span

LAYER, OLD_LAYER = 100, 2
BLOBS = {LAYER: 7, OLD_LAYER: 6}
DATA, DIFF, DOUBLE_DATA, DOUBLE_DIFF = 5, 6, 8, 9
KINDS = {DATA: "<f4", DOUBLE_DATA: "<f8"}
MOST_FIELDS = 10_000
BLOCK = 1 << 22
MOST_SETTINGS = 1 << 20
"""Bytes of a layer, or of a net, that are no weights."""
ADVICE = "give a .caffemodel, such as voc-fcn8s's fcn8s-heavy-pascal.caffemodel"
STARTS = (
    (b"version https://git-lfs", "is git-lfs's note of a file and not the file; fetch it by git lfs pull"),
    (b"\x89HDF", "is a file of Caffe's HDF5 form (.caffemodel.h5), which is not read; save it as .caffemodel"),
    (b"PK\x03\x04", "is a zip file; unpack it first"),
    (b"\x1f\x8b", "is packed by gzip; unpack it first"),
)


@dataclass(frozen=True)
class Blob:
    """An array of a layer: its shape as stored, and ``values`` (n,), float32 or float64, a view of the file."""

    shape: tuple[int, ...]
    values: NDArray[np.floating]

    def array(self) -> NDArray[np.float32]:
        """Return a copy as float32, in its shape."""
        return np.array(self.values, np.float32).reshape(self.shape)

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield copies of ``values`` as float32, some MB each, and where they belong: no large array is held twice."""
        for start in range(0, len(self.values), BLOCK):
            part = slice(start, min(start + BLOCK, len(self.values)))
            yield part, np.array(self.values[part], np.float32)


@dataclass(frozen=True)
class Layer:
    """A layer of a file: ``name``, ``kind`` (Caffe's type, such as ``Convolution``), its settings and its blobs."""

    name: str
    kind: str
    settings: Any
    blobs: tuple[Blob, ...]


@dataclass(frozen=True)
class CaffeModel:
    """What a ``.caffemodel`` holds: ``layers`` in their order; ``source`` names the file, ``mapped`` is its content."""

    source: str
    layers: tuple[Layer, ...]
    mapped: mmap.mmap | None = field(default=None, repr=False)

    @property
    def weighted(self) -> dict[str, Layer]:
        """The layers that have blobs, by name."""
        return {layer.name: layer for layer in self.layers if layer.blobs}

    def release(self) -> None:
        """Let the system take back the memory of what was read of the file; it is read again when it is needed."""
        if self.mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)


def read_caffemodel(path: str | os.PathLike[str]) -> CaffeModel:
    """Return the layers of a ``.caffemodel``; the weights stay in the file, which must not change meanwhile.

    Raises
    ------
    WeightsError
        When the file is missing, empty, of another kind, cut short or damaged; it says where.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            if not os.fstat(opened.fileno()).st_size:
                raise WeightsError(f"{file} is empty; copy it again, or {ADVICE}")
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}; {ADVICE}") from error
    _refuse_other_kinds(file, mapped[:64])
    net = Span(np.frombuffer(mapped, np.uint8), 0, len(mapped), str(file))
    layers = tuple(_layer(net, found) for found in net.fields(MOST_FIELDS) if found.number in BLOBS and _is_message(net, found))
    if not any(layer.blobs for layer in layers):
        raise WeightsError(f"{file} holds no layer with weights: is it a solver's state? Then {ADVICE}")
    names = [layer.name for layer in layers if layer.blobs]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise WeightsError(f"{file} holds two layers with weights called {twice!r}; which one is meant cannot be said")
    return CaffeModel(str(file), layers, mapped)


def _refuse_other_kinds(file: Path, start: bytes) -> None:
    for mark, said in STARTS:
        if start.startswith(mark):
            raise WeightsError(f"{file} {said}")
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        raise WeightsError(f"{file} is text; {ADVICE}, and a definition as --prototxt")


def _is_message(net: Span, found: Field) -> bool:
    if found.wire != BYTES:
        raise WeightsError(f"{net.what} is damaged: byte {found.start:,} should start a layer; {ADVICE}")
    return True


def _layer(net: Span, found: Field) -> Layer:
    span = Span(net.data, found.value, found.end, f"{net.what}: the layer at byte {found.start:,}")
    parts = list(span.fields(MOST_FIELDS))
    settings = _settings(span, [part for part in parts if part.number != BLOBS[found.number]], _kind_of(found.number))
    try:
        settings = upgraded(settings) if found.number == OLD_LAYER else settings
        name, kind = str(settings.name), str(settings.type)
        settings.SerializeToString()  # a name that is no text is found here and not later
    except ValueError as error:
        raise WeightsError(f"{span.what} is damaged: a name in it is no text; copy the file again") from error
    if not name:
        raise WeightsError(f"{span.what} has no name; files of Caffe before 2014 are not read: upgrade it with Caffe's own tool")
    stored = [part for part in parts if part.number == BLOBS[found.number]]
    if any(part.wire != BYTES for part in stored):
        raise WeightsError(f"{span.what} is damaged: its weights are no messages; copy the file again")
    spans = [Span(net.data, part.value, part.end, f"{net.what}: blob {i} of layer {name!r:.60}") for i, part in enumerate(stored)]
    return Layer(name, kind, settings, tuple(map(_blob, spans)))


def _kind_of(number: int) -> str:
    return "LayerParameter" if number == LAYER else "V1LayerParameter"


def _settings(span: Span, parts: Sequence[Field], kind: str) -> Any:
    """Return the message of a kind that some fields of a span make up."""
    # a run of single numbers is one field to the walk, and its end is the run's
    ends = [span.run_end(part) if part.wire in FIXED else part.end for part in parts]
    size = sum(end - part.start for part, end in zip(parts, ends, strict=True))
    if size > MOST_SETTINGS:
        raise WeightsError(f"{span.what} has {size:,} bytes beside its weights; a net has less than {MOST_SETTINGS:,}")
    made = message(kind)
    try:
        made.ParseFromString(b"".join(span.data[part.start : end].tobytes() for part, end in zip(parts, ends, strict=True)))
    except DecodeError as error:
        raise WeightsError(f"{span.what} is damaged ({error}); copy the file again, or {ADVICE}") from error
    return made


def _blob(span: Span) -> Blob:
    parts = list(span.fields(MOST_FIELDS))
    pieces = {number: [part for part in parts if part.number == number] for number in KINDS}
    facts = _settings(span, [part for part in parts if part.number not in (DATA, DIFF, DOUBLE_DATA, DOUBLE_DIFF)], "BlobProto")
    # Caffe reads doubles where there are any
    number = DOUBLE_DATA if pieces[DOUBLE_DATA] else DATA
    views = [span.numbers(part, KINDS[number]) for part in pieces[number]]
    values = views[0] if len(views) == 1 else np.concatenate([np.empty(0, KINDS[number]), *views])
    legacy = any(facts.HasField(name) for name in ("num", "channels", "height", "width"))
    shape = (facts.num, facts.channels, facts.height, facts.width) if legacy else tuple(facts.shape.dim)
    if min(shape, default=0) < 0 or prod(shape) != len(values):
        raise WeightsError(f"{span.what} says {shape_text(shape)} and holds {len(values):,} numbers; copy the file again")
    return Blob(tuple(map(int, shape)), values)


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape for messages, such as ``64×3×3×3``."""
    return "×".join(map(str, shape)) or "one number"


def fits(stored: Sequence[int], wanted: Sequence[int]) -> bool:
    """Return whether a blob's shape is ``wanted``, but for the ones in front that the older form puts there.

    Examples
    --------
    >>> fits((1, 1, 1, 64), (64,)), fits((64, 3, 3, 3), (64, 27)), fits((1, 1, 10, 500), (10, 500))
    (True, False, True)
    """
    spare = len(stored) - len(wanted)
    return spare >= 0 and tuple(stored[spare:]) == tuple(wanted) and all(side == 1 for side in stored[:spare])
