"""What readers of annotation files have in common: JSON without surprises, corners that are numbers, names without a machine."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.rasterise import Points

FARTHEST = 1 << 20
"""Pixels that a corner may lie from the image's, and sides that an image may have; more is damage."""
MOST_PIXELS = 1 << 28


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    DataError
        When it is missing, empty, no text, cut short, damaged or nested too deeply.
    """
    text = text_of(path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty; export it again")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: no JSON at line {error.lineno}, column {error.colno} ({error.msg}); it is damaged or cut short, "
            "export it again"
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: JSON that cannot be read ({type(error).__name__}); it is damaged, export it again") from error


def text_of(path: Path) -> str:
    """Return the text of a file in UTF-8; a :class:`DataError` says why there is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text in UTF-8 (byte {error.start} is {error.object[error.start]:#x})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


@contextlib.contextmanager
def parsing(path: Path | str, kind: str) -> Iterator[None]:
    """Turn what a malformed file leads to into a :class:`DataError` that names it."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error
    except KeyError as error:
        raise DataError(f"{path}: not as {kind} writes it: {error} is missing; export it again") from error
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not as {kind} writes it ({error}); export it again") from error


def points_of(pairs: Iterable[Any], scale: tuple[float, float] = (1.0, 1.0)) -> Points:
    """Return corners float64 (n, 2) of pairs x, y, times ``scale``.

    Raises
    ------
    DataError
        When they are no finite numbers, or far outside any image.
    """
    try:
        points = np.array(list(pairs), np.float64).reshape(-1, 2) * np.array(scale)
    except (TypeError, ValueError) as error:
        raise DataError(f"corners are pairs of numbers x, y ({error})") from error
    if not (np.abs(points) <= FARTHEST).all():  # false for what is no number
        raise DataError("a corner that is no number, or a million pixels away")
    return points


def size_of(height: Any, width: Any) -> tuple[int, int]:
    """Return (height, width) of an image.

    Raises
    ------
    DataError
        When they are no positive whole numbers, or no image is that large.
    """
    size = int(height), int(width)
    if min(size) < 1 or size[0] * size[1] > MOST_PIXELS or size != (float(height), float(width)):
        raise DataError(f"an image of {height}x{width} (height x width) pixels, which there is not")
    return size


def plain_name(file: str) -> str:
    r"""Return the path of an image as it is on no machine: slashes, no drive, no address and no query.

    Examples
    --------
    >>> plain_name("C:\\photos\\a b.jpg"), plain_name("/data/local-files/?d=sea/a%20b.jpg"), plain_name("s3://bucket/a.jpg?x=1")
    ('photos/a b.jpg', 'sea/a%20b.jpg', 'bucket/a.jpg')
    """
    name = file.strip().replace("\\", "/")
    if match := re.search(r"[?&]d=([^&]+)", name):
        name = match[1]
    elif "://" in name:
        name = name.split("://", 1)[1].split("?", 1)[0]
    name = re.sub(r"^[A-Za-z]:/", "", name)
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def spellings(file: str) -> list[str]:
    """Return what an image may be called on disk: as it stands, decoded, without what Label Studio puts in front."""
    plain = plain_name(file)
    names = [plain, unquote(plain)]
    names += [re.sub(r"(^|/)[0-9a-f]{8}-([^/]+)$", r"\1\2", name) for name in names]
    return list(dict.fromkeys(names))
