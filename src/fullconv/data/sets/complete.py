"""A look whether every sample of a split has its files, before hours of training find out."""

from collections.abc import Sequence
from pathlib import Path

from fullconv.errors import DataError

_SHOWN = 5


def check_files(name: str, root: Path, patterns: Sequence[str], ids: Sequence[str]) -> None:
    """Raise :class:`DataError`, with counts and names for each pattern, when ids have no file.

    Parameters
    ----------
    name
        The data set and split, which opens the message.
    root
        Folder that the patterns start from.
    patterns
        Such as ``JPEGImages/ID.jpg``, where ``ID`` is put for; one file of each is expected for each id.
    ids
        Of the split.
    """
    # one listing a folder: asking for each of some thousand files is slow on network disks
    lacking = {pattern: _lacking(root / pattern, ids) for pattern in patterns}
    faults = [
        f"{len(missing)} of {len(ids)} {pattern} ({', '.join(missing[:_SHOWN])}{', …' * (len(missing) > _SHOWN)})"
        for pattern, missing in lacking.items()
        if missing
    ]
    if faults:
        raise DataError(f"{name}: files are missing in {root}: {'; '.join(faults)}; complete the copy")


def _lacking(pattern: Path, ids: Sequence[str]) -> list[str]:
    present = {entry.name for entry in pattern.parent.iterdir()} if pattern.parent.is_dir() else set()
    return [name for name in ids if f"{name}{pattern.suffix}" not in present]
