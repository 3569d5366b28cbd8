"""The files of a folder by the names that pair them."""

from collections.abc import Iterable
from pathlib import Path

from fullconv.errors import DataError


def files_by_key(root: Path, pattern: str, split: str, suffixes: Iterable[str], ending: str) -> dict[str, Path]:
    """Return the files below a folder by their path without suffix (and without ``ending``), such as ``street/0012``."""
    base = root / pattern.format(split=split)
    found: dict[str, Path] = {}
    for path in sorted(base.rglob("*")) if base.is_dir() else []:
        relative = path.relative_to(base)
        if path.suffix.lower() not in suffixes or any(part.startswith(".") for part in relative.parts):
            continue
        key = relative.with_suffix("").as_posix()
        if not key.endswith(ending):
            continue
        key = key.removesuffix(ending)
        if key in found:
            raise DataError(f"{found[key]} and {path} would both be {key!r}; keep one of them")
        found[key] = path
    return found
