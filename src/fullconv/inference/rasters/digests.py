"""What tells a model and a map from others, so that labels of one are never taken for those of another."""

import zlib
from pathlib import Path

from fullconv.errors import SpecError
from fullconv.inference.predictor import Predictor

LOOKED_AT = 2**16
"""Bytes at both ends of a file that tell it from others."""


def weights_digest(predictor: Predictor, source: str | Path) -> str:
    """Return what tells a model from others: a checksum of its weights, or of the exported file ``source``.

    Examples
    --------
    >>> from fullconv.nn.build import build_model
    >>> predictor = Predictor(build_model("fcn32s-minivgg", 2), {"semantic": LabelSet(("cat", "dog"))})
    >>> weights_digest(predictor, "") == weights_digest(predictor, "")
    True
    """
    check = 0
    try:
        for name, tensor in sorted(predictor.model.state_dict().items()):
            check = zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), zlib.crc32(name.encode(), check))
    except SpecError:  # an exported file: its numbers lie in it, of OpenVINO beside it
        for path in (Path(source), Path(source).with_suffix(".bin")):
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
