"""Published data sets that are folders of images and masks: layout, splits and what values mean, in one description each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fullconv.data.folder.folder import FolderSegmentation
from fullconv.data.folder.pairing import find_pairs
from fullconv.data.sets.cards import CARDS
from fullconv.data.sets.files import folder_of
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap
from fullconv.spec import DataSpec, FolderSpec


@dataclass(frozen=True)
class PublishedFolder:
    """A published data set in the folders that its authors distribute.

    Attributes
    ----------
    name
        As in :data:`fullconv.data.DATASETS`.
    layouts
        Where its files are, ``{split}`` for the split; the first that a copy has is taken, with its meaning of values.
    splits
        What each split's folder or list is called.
    places
        Folders below the root in which a copy is looked for.
    without_truth
        Splits whose truth is not published, and what to do instead.
    """

    name: str
    layouts: Sequence[tuple[FolderSpec, LabelMap]]
    splits: Mapping[str, str]
    places: Sequence[str]
    without_truth: Mapping[str, str]

    def open(self, spec: DataSpec, split: str) -> FolderSegmentation:
        """Return a split under ``spec.root``.

        Raises
        ------
        DataError
            When there is no such split, or folder or files are missing.
        """
        if split in self.without_truth:
            raise DataError(f"{self.name} {split} has no ground truth: {self.without_truth[split]}")
        if split not in self.splits:
            raise DataError(f"no split {split!r} of {self.name}; there are {', '.join(self.splits)}")
        given = folder_of(self.name, spec.root)
        there = self.splits[split]
        for root in (given / place for place in ("", *self.places)):
            for folder, label_map in self.layouts:
                if self._is_there(root, folder, there):
                    return FolderSegmentation(f"{self.name} {split}", find_pairs(root, folder, there), label_map)
        looked = " or ".join(dict.fromkeys(f"{f.images} with {f.masks}".replace("{split}", there) for f, _ in self.layouts))
        card = CARDS[self.name]
        raise DataError(
            f"no {self.name} {split} in {given}: looked for {looked} there and in {', '.join(self.places) or 'no other folder'}; "
            f"get it from {card.source} ({card.size}), `fullconv data sets {self.name}` shows how the folder must look"
        )

    def _is_there(self, root: Path, folder: FolderSpec, there: str) -> bool:
        parts = [root / text.replace("{split}", there) for text in (folder.images, folder.masks)]
        ending = folder.mask_pattern.rpartition("}")[2]
        stem = Path(ending).stem if ending.startswith("_") else ""
        return all(part.is_dir() for part in parts) and (not stem or next(parts[1].rglob(f"*{stem}.*"), None) is not None)
