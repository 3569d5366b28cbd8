"""Lists of image names, one text file a split, as VOC, CVAT and others have them."""

import unicodedata
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from fullconv.data.images import SUFFIXES
from fullconv.data.text import read_text, same_split
from fullconv.errors import DataError, some


def listed_keys(root: Path, lists: str, split: str, known: Collection[str]) -> list[str]:
    r"""Return the keys that the list of a split names, in its order.

    A line holds a name or a path, with or without its suffix, slashes or ``\\`` in it; what stands behind a space is left out
    (VOC's and Oxford-IIIT Pet's columns). Lines that begin with ``#`` are comments.

    Parameters
    ----------
    root, lists
        Where, ``{split}`` for the split.
    split
        Which.
    known
        Keys of the images that there are.

    Raises
    ------
    DataError
        When there is no such list, it is empty or names images that there are not.
    """
    path = _list_of(root, lists, split)
    lines = [line.strip() for line in read_text(path).splitlines()]
    lines = [unicodedata.normalize("NFC", line) for line in lines if line and not line.startswith("#")]
    if not lines:
        raise DataError(f"{path}: is empty; it must name one image a line")
    found = {line: _key(line, known) or _key(line.split()[0], known) for line in lines}
    missing = [line for line, key in found.items() if key is None]
    if missing:
        raise DataError(f"{path}: {len(missing)} of {len(lines)} images that it lists are not there: {some(missing, 3)}")
    return list(dict.fromkeys(key for key in found.values() if key is not None))


def lists_there(root: Path, lists: str) -> list[str]:
    """Return the splits that there are lists of."""
    before, _, after = PurePosixPath(lists).name.partition("{split}")
    folder = (root / lists).parent
    names = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return [name[len(before) : len(name) - len(after)] for name in names if name.startswith(before) and name.endswith(after)]


def _list_of(root: Path, lists: str, split: str) -> Path:
    there = lists_there(root, lists)
    found = [name for name in there if name == split] or [name for name in there if same_split(name, split)]
    if len(found) != 1:
        raise DataError(f"no split {split!r} in {(root / lists).parent}: there are lists of {', '.join(there) or 'none'}")
    return root / lists.replace("{split}", found[0])


def _key(text: str, known: Collection[str]) -> str | None:
    """Return the key that a name or a path stands for: of a path, folders may be missing in the key."""
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        return None
    stem = PurePosixPath(parts[-1])
    tails = [parts[-1], *([stem.stem] if stem.suffix.lower() in SUFFIXES else [])]
    candidates = ("/".join([*parts[start:-1], tail]) for start in range(len(parts)) for tail in tails)
    return next((key for key in candidates if key in known), None)
