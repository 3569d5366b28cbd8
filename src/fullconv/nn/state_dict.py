"""Tensors by name out of a file of PyTorch's (``.pth``, ``.pt``, ``.ckpt``): nothing but tensors is unpickled.

``torch.load(weights_only=True)`` builds tensors and plain containers and runs nothing else. In front of it stands a look at the
archive, so that a small file cannot unpack into a large one. What it makes of damage is many kinds of errors; here it is one.
"""

import io
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fullconv.errors import WeightsError

ZIP, PICKLE = b"PK\x03\x04", tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
ENDINGS = (".pth", ".pt", ".ckpt", ".bin", ".tar", ".pkl")
WRAPPERS = ("model_state_dict", "state_dict", "model", "net", "network", "weights")
"""What training scripts call the tensors that they save beside their own state."""
PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
ADVICE = "give a file that torch.save(model.state_dict(), FILE) wrote, or a .safetensors"
SCALAR = np.float64(0).__reduce__()[0]
NUMBERS: list[Any] = [
    np.dtype,
    *((SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
]
"""Single numbers of numpy's, such as a best score, that training scripts save beside their tensors."""


def is_state_dict(path: str | os.PathLike[str]) -> bool:
    """Return whether a file looks like one of PyTorch's, by its first bytes or else by its name."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(4)
    except OSError:
        start = b""
    return start == ZIP or start[:2] in PICKLE or Path(path).name.lower().endswith(ENDINGS)


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU; those of an archive stay in the file until they are used.

    A mapping around them (``{"model_state_dict": …, "epoch": …}``) and what wrappers of a model put before all names
    (``module.``) are taken off.

    Raises
    ------
    WeightsError
        When the file is missing, empty, damaged or of another kind; when it holds anything that would have to be run; when there
        is no one mapping of names to tensors in it.
    """
    file = Path(path)
    archive = _look_at(file)
    try:
        with torch.serialization.safe_globals(NUMBERS):
            found = _archive(file) if archive else _pickle(file)
    except Exception as error:  # what damaged bytes make of an unpickler has no common kind
        raise WeightsError(f"{file} {_reason(error)}") from error
    return _without_prefix(_tensors(file, found))


def _archive(file: Path) -> Any:
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def _pickle(file: Path) -> Any:
    with _Bounded(io.FileIO(file)) as opened:
        return torch.load(opened, map_location="cpu", weights_only=True)


class _Bounded(io.BufferedReader):
    """A file that is never asked for more bytes than it has: a length that lies would else be memory that is set aside."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        return super().read(left if size is None or size < 0 else min(size, left))


def _look_at(file: Path) -> bool:
    """Return whether a file is an archive, the usual form, and not a single pickle; refuse what is neither."""
    try:
        with file.open("rb") as opened:
            start = opened.read(64)
        size = file.stat().st_size
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror}; {ADVICE}") from error
    if not start:
        raise WeightsError(f"{file} is empty; copy it again, or {ADVICE}")
    if start[:2] in PICKLE:
        return False
    if not start.startswith(ZIP):
        text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
        lfs = start.startswith(b"version https://git-lfs")
        kind = "is git-lfs's note of a file, not the file: fetch it by git lfs pull" if lfs else "is text" if text else ""
        raise WeightsError(f"{file} {kind or 'is no file of PyTorch'}; {ADVICE}")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{file} is cut short or damaged ({' '.join(str(error).split()):.100}); copy it again") from error
    if not any(entry.filename.endswith("/data.pkl") and entry.filename.count("/") == 1 for entry in entries):
        raise WeightsError(f"{file} is a zip file of other things ({_first(entries)}): unpack it, and {ADVICE}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(e.file_size for e in entries) > size:
        raise WeightsError(f"{file} is packed, which torch.save does not do; {ADVICE}")
    return True


def _first(entries: list[zipfile.ZipInfo]) -> str:
    return (
        f"{entries[0].filename!r:.60}" + (f" and {len(entries) - 1} more" if len(entries) > 1 else "") if entries else "nothing"
    )


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split())
    refused = re.search(r"GLOBAL ([\w.]+\.\w+)", said)
    if refused or "Unsupported" in said:
        what = f" ({next(filter(None, refused.groups()))})" if refused else ""
        return (
            f"holds more than tensors{what}, which would have to be run to be read and never is; where you trust it, load it "
            "yourself and save the tensors alone: torch.save(model.state_dict(), FILE)"
        )
    return f"is cut short, damaged or of another kind ({type(error).__name__}: {said[:120]}); copy it again, or {ADVICE}"


def _tensors(file: Path, found: Any) -> dict[str, Tensor]:
    """Return the mapping of names to tensors in what a file holds."""
    if isinstance(found, Mapping):
        inside = [found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)]
        for one in (found, *inside):
            if one and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in one.items()):
                return {key: _plain(file, key, value) for key, value in one.items()}
        names = ", ".join(f"{key!r:.30}" for key in list(found)[:6])
        raise WeightsError(f"{file} holds no mapping of names to tensors alone, but {names or 'nothing'}; {ADVICE}")
    raise WeightsError(f"{file} holds a {type(found).__name__} and not tensors by name; {ADVICE}")


def _plain(file: Path, name: str, tensor: Tensor) -> Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
        raise WeightsError(f"{file}: {name!r:.80} is a sparse, quantised, complex or empty tensor; accepted are plain numbers")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(f"{file}: {name!r:.80} says {tuple(tensor.shape)} and stores fewer numbers; copy the file again")
    return tensor.detach()


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors
