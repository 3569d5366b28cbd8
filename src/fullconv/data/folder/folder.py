"""The user's own images and masks in a folder: pairs found by name, splits by folders, by a list, or drawn by seed.

::

    root/images/train/**/NAME.jpg  root/masks/train/**/NAME.png     {split} in the recipe's patterns
    root/images/**/NAME.jpg        root/masks/**/NAME.png           no {split}: a share is drawn for validation
    root/pairs.csv                 columns image, mask, split       a list says it all; depth in a column of its own

What the numbers or colours of the masks mean is declared in the recipe (:mod:`fullconv.labelmap`), never guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fullconv.data.depth.depth import DEPTH_SUFFIXES
from fullconv.data.folder.annotations import annotated_pairs, label_map_of, valued
from fullconv.data.folder.files import files_by_key
from fullconv.data.folder.splits import drawn_split
from fullconv.data.images import SUFFIXES, read_image_of_size
from fullconv.data.masks import MASK_SUFFIXES, read_labels
from fullconv.data.pairs import Pair, listed_pairs
from fullconv.data.sample import RGB, SEMANTIC, Dataset, Sample
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap
from fullconv.spec import DataSpec, FolderSpec


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

    Raises
    ------
    DataError
        On access, when a file is missing or damaged, when a mask's size is not its image's, or when it holds values or
        colours without a meaning.
    """

    def __init__(self, name: str, pairs: Sequence[Pair], label_map: LabelMap) -> None:
        self.name = name
        self.pairs = tuple(pairs)
        self.label_map = label_map
        self.labels = {SEMANTIC: label_map.labels}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        mask = read_labels(pair.mask, self.label_map)
        image = read_image_of_size(pair.image, (mask.shape[0], mask.shape[1]))
        if image.shape[:2] != mask.shape:
            raise DataError(
                f"{pair.mask}: the mask is {mask.shape[0]}×{mask.shape[1]} but its image {pair.image.name} is "
                f"{image.shape[0]}×{image.shape[1]} (H×W); save both at one size"
            )
        return Sample.from_arrays(pair.name, {RGB: image}, {SEMANTIC: mask})


def folder_behind(dataset: Dataset) -> FolderSegmentation | None:
    """Return the folder that a data set was cut or scaled from; ``None`` when it is no folder."""
    found: object = dataset
    while not isinstance(found, FolderSegmentation):
        found = getattr(found, "dataset", None)
        if found is None:
            return None
    return found


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
            f"the masks in {root} need data.labels in the recipe, which says what their values mean; `fullconv init {root}` "
            "writes one"
        )
    pairs = valued(find_pairs(Path(root), spec.folder, split), spec.labels, spec.folder.rename)
    return FolderSegmentation(f"{Path(root).resolve().name} {split}", pairs, label_map_of(spec))


def find_pairs(root: Path, folder: FolderSpec, split: str) -> list[Pair]:
    """Return the pairs of a split, sorted by name.

    Raises
    ------
    DataError
        When there are none, when an image has no mask, or two files would pair with one.
    """
    if folder.pairs is not None:
        return listed_pairs(root / folder.pairs, split)
    if folder.annotations is not None:
        return _annotated(root, folder, split)
    images, masks = _files(root, folder, split)
    alone = sorted(images.keys() - masks.keys())
    if alone:
        raise DataError(
            f"{len(alone)} of {len(images)} images in {root / folder.images.format(split=split)} have no mask in "
            f"{root / folder.masks.format(split=split)} (NAME{folder.mask_suffix}.png): {', '.join(alone[:3])}"
            f"{', …' if len(alone) > 3 else ''}; add masks, move the images away, or set data.folder.mask_suffix"
        )
    return _paired(images, masks, sorted(images), split, folder)


@dataclass(frozen=True)
class Match:
    """The files of a split as their names pair them: the pairs, and by name the images and masks that are alone."""

    pairs: list[Pair]
    images: dict[str, Path]
    masks: dict[str, Path]


def match_files(root: Path, folder: FolderSpec, split: str) -> Match:
    """Return what :func:`find_pairs` returns, and what it refuses; where splits are drawn, those alone are of all splits.

    Raises
    ------
    DataError
        When there are no pairs, or two files would pair with one.
    """
    if folder.pairs is not None:
        listed = listed_pairs(root / folder.pairs, split)
        whole = [pair for pair in listed if pair.image.is_file() == pair.mask.is_file()]  # neither: cannot be read
        images = {pair.name: pair.image for pair in listed if pair.image.is_file() and not pair.mask.is_file()}
        masks = {pair.name: Path(pair.mask) for pair in listed if pair.mask.is_file() and not pair.image.is_file()}
        return Match(whole, images, masks)
    if folder.annotations is not None:
        return Match(_annotated(root, folder, split), {}, {})
    images, masks = _files(root, folder, split)
    both = sorted(images.keys() & masks.keys())
    if not both:
        raise DataError(
            f"none of {len(images)} images in {root / folder.images.format(split=split)} has a mask in "
            f"{root / folder.masks.format(split=split)} (NAME{folder.mask_suffix}.png); set data.folder.masks and mask_suffix"
        )
    pairs = _paired(images, masks, both, split, folder)
    return Match(pairs, _without(images, both), _without(masks, both))


def _without(files: dict[str, Path], names: Sequence[str]) -> dict[str, Path]:
    return {name: files[name] for name in sorted(files.keys() - set(names))}


def with_depths(root: Path, folder: FolderSpec, split: str, pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs with their depth maps: those that a list names, else those below ``folder.depth`` of the images' names.

    A pair without one has none.

    Raises
    ------
    DataError
        When two files would be the depth of one.
    """
    found = files_by_key(root, folder.depth, split, DEPTH_SUFFIXES, "") if folder.depth is not None else {}
    return [replace(pair, depth=pair.depth or found.get(pair.name)) for pair in pairs]


def _files(root: Path, folder: FolderSpec, split: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return images and masks of a split by name; of all splits where they are drawn."""
    images = files_by_key(root, folder.images, split, SUFFIXES, "")
    masks = files_by_key(root, folder.masks, split, MASK_SUFFIXES, folder.mask_suffix)
    if folder.images == folder.masks:
        images = {name: path for name, path in images.items() if not name.endswith(folder.mask_suffix)}
    if not images:
        raise DataError(f"no images of the split {split!r} in {root / folder.images}; {_splits_there(root, folder)}")
    return images, masks


def _paired(images: dict[str, Path], masks: dict[str, Path], names: Sequence[str], split: str, folder: FolderSpec) -> list[Pair]:
    if "{split}" not in folder.images:
        names = drawn_split(names, split, folder)
    return [Pair(name, images[name], masks[name]) for name in names]


def _annotated(root: Path, folder: FolderSpec, split: str) -> list[Pair]:
    """Return the pairs of a split of annotations, drawn where they have no splits."""
    found = annotated_pairs(root, folder, split)
    if found.has_splits:
        return found.pairs
    chosen = set(drawn_split([pair.name for pair in found.pairs], split, folder))
    return [pair for pair in found.pairs if pair.name in chosen]


def _splits_there(root: Path, folder: FolderSpec) -> str:
    """Say which splits the folder has."""
    before, marker, _ = folder.images.partition("{split}")
    parent = root / before
    if not marker:
        return f"looked for {', '.join(sorted(SUFFIXES))}; set data.folder.images"
    there = sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    return f"there are {', '.join(there) or 'no folders'} in {parent}; set data.folder.images, or data.train and data.val"
