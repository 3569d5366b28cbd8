"""Which pairs of a folder fall to training, validation and test, where it has no splits of its own."""

import hashlib
from collections.abc import Sequence

from fullconv.errors import DataError
from fullconv.spec import FolderSpec

SPLITS = ("train", "val", "test")


def drawn_split(names: Sequence[str], split: str, folder: FolderSpec) -> list[str]:
    """Return the names that fall to ``split`` when shares are drawn by seed; adding a file moves no other.

    Each name is hashed with the seed to a number in 0..1: the lowest ``test_share`` go to test, the next ``val_share`` to val,
    the others to train.

    Raises
    ------
    DataError
        When there is no such split, or nothing falls to it.
    """
    if split not in SPLITS:
        raise DataError(f"no split {split!r}: the folder has none of its own, and those drawn are {', '.join(SPLITS)}")
    chosen = [name for name in names if _drawn(name, folder) == split]
    if not chosen:
        raise DataError(
            f"none of {len(names)} images falls to the split {split!r} with data.folder.val_share {folder.val_share}, test_share "
            f"{folder.test_share} and seed {folder.seed}; give it a larger share or another seed"
        )
    return chosen


def _drawn(name: str, folder: FolderSpec) -> str:
    digest = hashlib.sha256(f"{folder.seed}/{name}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    if at < folder.test_share:
        return "test"
    return "val" if at < folder.test_share + folder.val_share else "train"
