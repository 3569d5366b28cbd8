"""Kvasir-SEG (Jha et al. 2020): 1000 frames of colonoscopies, the polyp against the background.

::

    root/Kvasir-SEG/images/NAME.jpg   masks/NAME.jpg      or in root itself
    root/Kvasir-SEG/train.txt  val.txt                    optional: names, one a line

The masks are JPEGs, whose values blur around 0 and 255: what is at least 128 is polyp. There is no split in the archive; without
lists, 12 % are drawn for validation (880 and 120 frames), the same ones on every machine.
"""

from pathlib import Path

import numpy as np

from fullconv.data.folder.pairing import find_pairs
from fullconv.data.images import decode, read_image_as_stored
from fullconv.data.pairs import Pair
from fullconv.data.sample import RGB, SEMANTIC, Sample
from fullconv.data.sets.cards import CARDS
from fullconv.data.sets.files import folder_of
from fullconv.errors import DataError
from fullconv.labels import LabelSet
from fullconv.spec import DataSpec, FolderSpec

KVASIR = LabelSet(("background", "polyp"), ((0, 0, 0), (255, 255, 255)))
HALF = 128
"""The lowest value of a mask that is polyp."""
SPLITS = ("train", "val")


class Kvasir:
    """Kvasir-SEG: stream ``rgb``, head ``semantic`` with background and polyp; sizes differ.

    Parameters
    ----------
    split
        train or val.
    files
        The images and masks of it.
    """

    def __init__(self, split: str, files: list[Pair]) -> None:
        self.name = f"kvasir {split}"
        self.labels = {SEMANTIC: KVASIR}
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        pair = self.files[index]
        mask = (np.asarray(decode(pair.mask).convert("L")) >= HALF).astype(np.uint8)
        return Sample.from_arrays(pair.name, {RGB: read_image_as_stored(pair.image)}, {SEMANTIC: mask})


def open_kvasir(spec: DataSpec, split: str) -> Kvasir:
    """Return ``split`` (train or val) of the Kvasir-SEG under ``spec.root``.

    Raises
    ------
    DataError
        When there is no such split, or folder or files are missing.
    """
    if split not in SPLITS:
        raise DataError(f"no split {split!r} of kvasir; there are {', '.join(SPLITS)}")
    given = folder_of("kvasir", spec.root)
    places = (given, given / "Kvasir-SEG", given / "kvasir-seg")
    root = next((place for place in places if (place / "images").is_dir() and (place / "masks").is_dir()), None)
    if root is None:
        card = CARDS["kvasir"]
        raise DataError(
            f"no kvasir in {given}: looked for images/ and masks/ there and in Kvasir-SEG; get it from {card.source} "
            f"({card.size}), `fullconv data sets kvasir` shows how the folder must look"
        )
    lists = "{split}.txt" if all((root / f"{name}.txt").is_file() for name in SPLITS) else None
    folder = FolderSpec(images="images", masks="masks", lists=lists, val_share=0.12)
    return Kvasir(split, find_pairs(Path(root), folder, split))
