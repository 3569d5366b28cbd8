"""The images of a folder by the names that exports call them: with paths of other machines, encoded, or without folders."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fullconv.data.images import SUFFIXES
from fullconv.errors import DataError
from fullconv.formats.reading import spellings


@dataclass(frozen=True)
class ImageIndex:
    """Images below a folder, by their names in lower case, with and without suffix."""

    base: Path
    by_name: dict[str, list[Path]]
    by_stem: dict[str, list[Path]]
    count: int

    @classmethod
    def of(cls, base: Path) -> "ImageIndex":
        """Return the images below a folder; hidden ones are none."""
        by_name: dict[str, list[Path]] = {}
        by_stem: dict[str, list[Path]] = {}
        files = list(_images(base))
        for path in files:
            by_name.setdefault(_plain(path.name), []).append(path)
            by_stem.setdefault(_plain(path.stem), []).append(path)
        return cls(base, by_name, by_stem, len(files))

    def find(self, file: str) -> Path | None:
        """Return the image that an export calls ``file``; ``None`` when it is not there.

        A path that exists is taken. Else the image whose path ends most like it; its name must be the same but for case, and
        for the suffix where no name has the same.

        Raises
        ------
        DataError
            When several images fit equally well.
        """
        if Path(file).is_absolute() and Path(file).is_file() and Path(file).suffix.lower() in SUFFIXES:
            return Path(file)
        for known, whole in ((self.by_name, True), (self.by_stem, False)):
            for name in spellings(file):
                parts = [_plain(part) for part in name.split("/")]
                last = parts[-1] if whole else _without_suffix(parts[-1])
                found = known.get(last, []) or ([] if whole else known.get(parts[-1], []))
                if found:
                    return self._best(file, parts, found)
        return None

    def _best(self, file: str, parts: list[str], found: list[Path]) -> Path:
        scores = [_common(parts[:-1], [_plain(part) for part in path.parts[:-1]]) for path in found]
        best = [path for path, score in zip(found, scores, strict=True) if score == max(scores)]
        if len(best) > 1:
            raise DataError(
                f"{file!r} may be {best[0]} or {best[1]}; set data.folder.images to the folder that holds the images of the "
                "annotations alone"
            )
        return best[0]


def _images(base: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(base, followlinks=True):
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        yield from (Path(folder) / name for name in sorted(files) if name[0] != "." and Path(name).suffix.lower() in SUFFIXES)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _without_suffix(name: str) -> str:
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix in SUFFIXES else name


def _common(left: list[str], right: list[str]) -> int:
    """Return how many of the last parts are the same."""
    count = 0
    while count < min(len(left), len(right)) and left[-1 - count] == right[-1 - count]:
        count += 1
    return count
