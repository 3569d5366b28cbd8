"""What tells a model, a file and settings from others, so that labels of one are never taken for those of another."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.large import fingerprint

LOOKED_AT = 2**16
"""Bytes at both ends of a file that tell it from others."""


def weights_digest(predictor: Predictor, source: str | Path) -> str:
    """Return what tells a model from others: a checksum of its weights, or of the exported file ``source``; nothing of neither.

    Examples
    --------
    >>> from fullconv.labels import LabelSet
    >>> from fullconv.nn.build import build_model
    >>> predictor = Predictor(build_model("fcn32s-minivgg", 2), {"semantic": LabelSet(("cat", "dog"))})
    >>> weights_digest(predictor, "") == weights_digest(predictor, "")
    True
    """
    if hasattr(predictor.engine, "model"):
        return fingerprint(predictor)
    if not str(source):
        return ""
    check = 0
    for path in (Path(source), Path(source).with_suffix(".bin")):  # of OpenVINO the numbers lie beside the file
        check = zlib.crc32(path.read_bytes(), check) if path.is_file() else check
    return f"{check:08x}"


def ends_digest(path: Path) -> str:
    """Return what tells a file from others without reading it whole: its length and both its ends."""
    if not path.is_file():  # what GDAL knows may be a folder
        return ""
    length = path.stat().st_size
    with path.open("rb") as file:
        check = zlib.crc32(file.read(LOOKED_AT))
        file.seek(max(0, length - LOOKED_AT))
        return f"{length} {zlib.crc32(file.read(), check):08x}"


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in which settings two differ, for a message.

    Examples
    --------
    >>> differences({"bands": [1], "head": "a"}, {"bands": [2], "head": "a"})
    'bands [1], and now with bands [2]'
    """
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return f"{_shown(before, keys)}, and now with {_shown(now, keys)}"


def _shown(settings: Mapping[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key} {settings.get(key, 'not set')}" for key in keys)
