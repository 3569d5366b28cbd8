"""The image files of a folder by the folders they lie in, listed once for all guesses about its layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fullconv.data.folder.files import files_below
from fullconv.data.folder.names import suffix_of
from fullconv.data.images import SUFFIXES
from fullconv.data.masks import MASK_SUFFIXES


@dataclass(frozen=True)
class Tree:
    """What a folder holds.

    Attributes
    ----------
    root
        The folder.
    files
        Paths of all images and masks below it, with slashes, sorted.
    """

    root: Path
    files: Sequence[str]

    @classmethod
    def of(cls, root: Path) -> "Tree":
        """Return what is below a folder; links to folders are followed."""
        known = SUFFIXES | MASK_SUFFIXES
        return cls(root, [name for name in files_below(root) if suffix_of(name).lower() in known])

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.files:
            found.setdefault(name.rpartition("/")[0], []).append(name.rpartition("/")[2])
        return found

    def counts(self) -> dict[str, int]:
        """Return how many files lie directly in each folder, by its path below the root; the root itself is empty."""
        return {folder: len(names) for folder, names in self._by_folder.items()}

    def below(self, folder: str) -> list[str]:
        """Return the paths of the files below a folder, relative to it; ``.`` is the root."""
        start = "" if folder in (".", "") else f"{folder}/"
        return [name[len(start) :] for name in self.files if name.startswith(start)]

    def has(self, folder: str) -> bool:
        """Return whether a folder holds files, directly or deeper."""
        return folder in (".", "") or any(known == folder or known.startswith(f"{folder}/") for known in self._by_folder)

    def direct(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder."""
        return self._by_folder.get("" if folder == "." else folder, [])

    def children(self, folder: str) -> list[str]:
        """Return the names of the folders directly in a folder that hold files, directly or deeper."""
        start = "" if folder in (".", "") else f"{folder}/"
        return sorted(
            {known[len(start) :].split("/")[0] for known in self._by_folder if known.startswith(start) and known != ""} - {""}
        )

    def names(self) -> set[str]:
        """Return the names of all folders on the way to files."""
        return {part for known in self._by_folder for part in known.split("/")}

    def bases(self) -> list[str]:
        """Return the root and, where folders hold nothing but one other, those within: archives unpack to such."""
        found = ["."]
        while not self.direct(found[-1]) and len(inner := self.children(found[-1])) == 1:
            found.append(joined(found[-1], inner[0]))
        return found


def joined(base: str, inner: str) -> str:
    """Return a path below another; ``.`` is none.

    Examples
    --------
    >>> joined(".", "a"), joined("a", "b"), joined("a", ".")
    ('a', 'a/b', 'a')
    """
    return "/".join(part for part in (base, inner) if part != ".") or "."
