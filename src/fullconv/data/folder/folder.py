"""The user's own images and masks in a folder, read as samples; :mod:`fullconv.data.folder.pairing` finds which belong together.

What the numbers or colours of the masks mean is declared in the recipe (:mod:`fullconv.labelmap`), never guessed.
"""

import contextlib
import functools
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.folder.annotations import label_map_of, valued
from fullconv.data.folder.pairing import find_pairs
from fullconv.data.pairs import Pair
from fullconv.data.rotation import Lies, agreed, image_for_mask, look
from fullconv.data.sample import RGB, SEMANTIC, Dataset, Sample
from fullconv.data.stored_mask import stored_at
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap
from fullconv.spec import DataSpec, ImageSpec
from fullconv.spec.image import PLAIN

LOOKED_AT = 60
"""Images that EXIF may turn, spread over a folder, that are looked at where one of them does not tell how its mask lies."""


class FolderSegmentation:
    """Pairs of images and masks: stream ``rgb``, head ``semantic``.

    Parameters
    ----------
    name
        What reports call it.
    pairs
        In order.
    label_map
        What the masks' numbers or colours mean.
    image
        How images are read.
    mask_pages
        What the pages of masks are, see :class:`fullconv.spec.FolderSpec`.

    Raises
    ------
    DataError
        On access, when a file is missing or damaged, when a mask's size is not its image's, or when it holds values or
        colours without a meaning.
    """

    def __init__(
        self,
        name: str,
        pairs: Sequence[Pair],
        label_map: LabelMap,
        image: ImageSpec = PLAIN,
        mask_pages: str | None = None,
    ) -> None:
        self.name = name
        self.pairs = tuple(pairs)
        self.label_map = label_map
        self.image = image
        self.mask_pages = mask_pages
        self.labels = {SEMANTIC: label_map.labels}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        mask = self._mask(pair)
        image = image_for_mask(pair.image, mask, self.image, lambda: self._rotation)
        if image.shape[:2] != mask.shape:
            raise DataError(
                f"{pair.mask}: the mask is {mask.shape[0]}×{mask.shape[1]} but its image {pair.image.name} is "
                f"{image.shape[0]}×{image.shape[1]} (H×W); save both at one size"
            )
        return Sample.from_arrays(pair.name, {RGB: image}, {SEMANTIC: mask})

    def _mask(self, pair: Pair) -> NDArray[np.uint8]:
        return self.label_map.apply(stored_at(pair.mask, self.mask_pages).declared(self.label_map, pair.mask), str(pair.mask))

    @functools.cached_property
    def _rotation(self) -> Lies:
        """How masks lie on images that EXIF turns, by those of which size or outlines tell."""
        found: list[Lies] = []
        for place in np.unique(np.linspace(0, len(self.pairs) - 1, min(LOOKED_AT, len(self.pairs))).round()):
            pair = self.pairs[int(place)]
            with contextlib.suppress(DataError):  # a damaged one is told of when it is read itself
                found += [lies for lies in [look(pair.image, self._mask(pair), self.image)] if lies]
        return agreed(found)


def folder_behind(dataset: Dataset) -> FolderSegmentation | None:
    """Return the folder that a data set was cut or scaled from; ``None`` when it is no folder."""
    found: object = dataset
    while not isinstance(found, FolderSegmentation):
        found = getattr(found, "dataset", None)
        if found is None:
            return None
    return found


def label_map_behind(dataset: Dataset) -> LabelMap | None:
    """Return what the masks of a data set store, of what it was cut or scaled from; ``None`` where they store labels."""
    found: object = dataset
    while found is not None:
        known = getattr(found, "label_map", None)
        if isinstance(known, LabelMap):
            return known
        found = getattr(found, "dataset", None)
    return None


def open_folder(spec: DataSpec, split: str) -> FolderSegmentation:
    """Return a split of the folder ``spec.root`` that ``spec.folder`` and ``spec.labels`` describe.

    Raises
    ------
    DataError
        When the folder, its masks or the split are missing, or images have no masks; see :func:`find_pairs`.
    """
    root = spec.root
    if root is None or not Path(root).is_dir():
        where = "no folder is given" if root is None else f"{root} is no folder"
        raise DataError(f"{where}; give the one that holds your images and masks (train: --data.root DIR, evaluate: --root DIR)")
    if not spec.labels:
        raise DataError(
            f"the masks in {root} need data.labels in the recipe, which says what their values mean; "
            f"`fullconv init {shlex.quote(str(root))}` "
            "writes one"
        )
    pairs = valued(find_pairs(Path(root), spec.folder, split), spec.labels, spec.folder.rename)
    return FolderSegmentation(
        f"{Path(root).resolve().name} {split}", pairs, label_map_of(spec), spec.image, spec.folder.mask_pages
    )
