"""``splits.csv`` of a run: which image fell where, so that a draw can be read, kept, and told from a later one.

The columns are name, split, image and mask, the files relative to the folder of data where they lie in it. The file can be given
as ``data.folder.splits``: then the images that it names stay where they were, whatever is added.
"""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from fullconv.data.folder.folder import FolderSegmentation, folder_behind
from fullconv.data.folder.pairing import has_drawn_splits, match_files
from fullconv.data.folder.splits import TEST
from fullconv.data.pairs import Pair, read_splits
from fullconv.data.sample import Dataset
from fullconv.errors import TrainingError
from fullconv.files import replacing
from fullconv.spec import DataSpec

SPLITS_FILE = "splits.csv"


def write_splits(path: Path, spec: DataSpec, training: Dataset, validation: Dataset) -> None:
    """Write which image of a folder of one's own is trained on, validated on and, where splits are drawn, left for test.

    Other data sets have splits of their own, and nothing is written.
    """
    found = _pairs(spec, training, validation)
    if not found:
        return
    below = _Below(Path(spec.root or "").resolve())
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        writer = csv.writer(handle)
        writer.writerow(("name", "split", "image", "mask"))
        for split, pairs in found.items():
            for pair in pairs:
                image, mask = (part if isinstance(part, Path) else part.source for part in (pair.image, pair.mask))
                writer.writerow((pair.name, split, below(image), below(mask)))


def check_splits(path: Path, spec: DataSpec, training: Dataset, validation: Dataset) -> None:
    """Make sure that a run that goes on sees the images that it began with.

    Raises
    ------
    TrainingError
        When images came, went, or changed sides.
    """
    found = _pairs(spec, training, validation)
    if not found or not path.exists():  # runs of older versions have none
        return
    before = read_splits(path)
    now = {pair.name: split.strip().casefold() for split, pairs in found.items() for pair in pairs}
    if before == now:
        return
    changes = {
        "new": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now],
        "on another side": [name for name in now if before.get(name, now[name]) != now[name]],
    }
    told = ", ".join(f"{len(names)} {what} ({names[0]})" for what, names in changes.items() if names)
    raise TrainingError(
        f"the images are not those that the run began with: {told}; put them back to go on, or start another run, with "
        f"--data.folder.splits {quote(str(path))} to keep these on their sides"
    )


def _pairs(spec: DataSpec, training: Dataset, validation: Dataset) -> Mapping[str, tuple[Pair, ...]]:
    opened = {spec.val: folder_behind(validation), spec.train: folder_behind(training)}
    found = {split: data.pairs for split, data in reversed(opened.items()) if isinstance(data, FolderSegmentation)}
    if found and spec.folder.test_share and has_drawn_splits(root := Path(spec.root or ""), spec.folder):
        found.setdefault(TEST, tuple(match_files(root, spec.folder, TEST).pairs))
    return found


class _Below:
    """Files as paths below a folder where they lie in it; each folder is resolved once, as that takes long for many files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, str] = {}

    def __call__(self, file: Path) -> str:
        if file.is_symlink() or file.name == "..":
            return self._written(file.resolve())
        folder, name = os.path.split(file)
        if folder not in self._folders:
            self._folders[folder] = self._written(Path(folder).resolve())
        known = self._folders[folder]
        return name if known == "." else f"{known.rstrip('/')}/{name}"

    def _written(self, resolved: Path) -> str:
        return (resolved.relative_to(self.root) if resolved.is_relative_to(self.root) else resolved).as_posix()
