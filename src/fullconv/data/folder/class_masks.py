"""Masks that come as one file a class, put into one file an image.

What is put together lies in ``.fullconv/masks`` of the folder (in the user's cache where that cannot be written); it is made
anew when a file changes. So everything that reads masks reads these too.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fullconv.data.folder.files import named_files
from fullconv.data.masks import MASK_SUFFIXES, ClassMasks
from fullconv.errors import DataError, FullconvError
from fullconv.files import replacing
from fullconv.labels import voc_colors
from fullconv.spec import FolderSpec

PLACE = Path(".fullconv") / "masks"
_MADE_OF = "made of"
_RULES = 2
"""Raised when :func:`fullconv.data.masks.object_in` takes files otherwise, so that what older rules made is made anew."""


def parts_by_key(root: Path, folder: FolderSpec, split: str) -> dict[str, dict[str, Path]]:
    """Return the files of every image by its key and their class; classes without a file are not on the image.

    Raises
    ------
    DataError
        When two files are of one class and image.
    """
    found: dict[str, dict[str, Path]] = {}
    for name in folder.classes:
        where, pattern = (text.replace("{class}", name) for text in (folder.masks, folder.mask_pattern))
        for key, _, path in named_files(root, where, split, MASK_SUFFIXES, pattern):
            parts = found.setdefault(key, {})
            if name in parts:
                raise DataError(f"{parts[name]} and {path} would both be {name} of {key!r}; keep one of them")
            parts[name] = path
    return found


def composed_masks(root: Path, folder: FolderSpec, parts: Mapping[str, Mapping[str, Path]]) -> dict[str, Path]:
    """Return one mask an image by its key: a palette PNG, 0 where no class is, else 1 and so on as ``folder.classes``.

    Raises
    ------
    DataError
        When a file is damaged or the files of an image differ in size.
    """
    place = _place(root, folder)
    return {key: _composed(place / f"{key}.png", folder.classes, files) for key, files in parts.items()}


def _place(root: Path, folder: FolderSpec) -> Path:
    said = f"{folder.masks} {folder.mask_pattern} {' '.join(folder.classes)}"
    name = hashlib.sha256(said.encode()).hexdigest()[:8]
    if os.access(root, os.W_OK):
        return root / PLACE / name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fullconv" / "masks" / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16] / name


def _composed(target: Path, classes: Sequence[str], files: Mapping[str, Path]) -> Path:
    made_of = hashlib.sha256(repr([_RULES, *((name, *_version(path)) for name, path in files.items())]).encode()).hexdigest()
    if target.is_file() and _stamp(target) == made_of:
        return target
    labels = ClassMasks(tuple(files.get(name) for name in classes)).stored().plain
    image, info = Image.fromarray(labels), PngInfo()
    image.putpalette([channel for color in voc_colors(256) for channel in color])
    info.add_text(_MADE_OF, made_of)
    with replacing(target) as temporary:
        image.save(temporary, pnginfo=info)
    return target


def _version(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); put it back or leave it out") from error
    return str(path), found.st_size, found.st_mtime_ns


def _stamp(path: Path) -> str:
    try:
        with Image.open(path) as image:
            return str(image.info.get(_MADE_OF))
    except (OSError, FullconvError):
        return ""
