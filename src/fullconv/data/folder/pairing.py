"""Which images and masks of a folder belong together, and which split they are of: by folders, by a list, or drawn by seed.

::

    root/images/train/**/NAME.jpg  root/masks/train/**/NAME.png     {split} in the recipe's patterns
    root/images/**/NAME.jpg        root/masks/**/NAME.png           no {split}: a share is drawn for validation
    root/pairs.csv                 columns image, mask, split       a list says it all; depth and group in columns of their own
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fullconv.data.depth.depth import DEPTH_SUFFIXES
from fullconv.data.folder.annotations import annotated_pairs
from fullconv.data.folder.class_masks import composed_masks, parts_by_key
from fullconv.data.folder.files import files_by_key
from fullconv.data.folder.lists import listed_keys
from fullconv.data.folder.maps import cut_maps
from fullconv.data.folder.splits import drawn_split
from fullconv.data.images import SUFFIXES
from fullconv.data.masks import MASK_SUFFIXES
from fullconv.data.pairs import Pair, of_split, read_list, read_splits, refuse_missing
from fullconv.data.rasters.raster import SUFFIXES as MAP_SUFFIXES
from fullconv.errors import DataError
from fullconv.spec import FolderSpec
from fullconv.spec.grouping import parse_group


def find_pairs(root: Path, folder: FolderSpec, split: str) -> list[Pair]:
    """Return the pairs of a split, sorted by name.

    Raises
    ------
    DataError
        When there are none, when an image has no mask, or two files would pair with one.
    """
    if folder.pairs is not None:
        found = _listed(root, folder, split)
        refuse_missing(root / folder.pairs, found)
        return cut_maps(found, folder)
    if folder.annotations is not None:
        return _annotated(root, folder, split)
    if folder.labels_from is not None:
        return _of_maps(root, folder, split)
    images, masks = _files(root, folder, split)
    alone = sorted(images.keys() - masks.keys())
    if alone:
        raise DataError(
            f"{len(alone)} of {len(images)} images in {root / folder.images.replace('{split}', split)} have no mask in "
            f"{root / folder.masks.replace('{split}', split)} ({_mask_name(folder)}): {', '.join(alone[:3])}"
            f"{', …' if len(alone) > 3 else ''}; add masks, move the images away, or set data.folder.pattern"
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
        listed = _listed(root, folder, split)
        whole = [pair for pair in listed if pair.image.is_file() == pair.mask.is_file()]  # neither: cannot be read
        images = {pair.name: Path(pair.image) for pair in listed if pair.image.is_file() and not pair.mask.is_file()}
        masks = {pair.name: Path(pair.mask) for pair in listed if pair.mask.is_file() and not pair.image.is_file()}
        return Match(cut_maps(whole, folder), images, masks)
    if folder.annotations is not None:
        return Match(_annotated(root, folder, split), {}, {})
    if folder.labels_from is not None:
        return Match(_of_maps(root, folder, split), {}, {})
    images, masks = _files(root, folder, split)
    both = sorted(images.keys() & masks.keys())
    if not both:
        raise DataError(
            f"none of {len(images)} images in {root / folder.images.replace('{split}', split)} has a mask in "
            f"{root / folder.masks.replace('{split}', split)} ({_mask_name(folder)}); set data.folder.masks and pattern"
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
    found = files_by_key(root, folder.depth, split, DEPTH_SUFFIXES, folder.image_pattern) if folder.depth is not None else {}
    return [replace(pair, depth=pair.depth or found.get(pair.name)) for pair in pairs]


def _files(root: Path, folder: FolderSpec, split: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return images and masks of a split by name; of all splits where they are drawn."""
    images = files_by_key(root, folder.images, split, SUFFIXES, folder.image_pattern)
    if folder.classes:
        parts = parts_by_key(root, folder, split)
        used = {path for files in parts.values() for path in files.values()}
        masks = composed_masks(root, folder, {key: files for key, files in parts.items() if key in images})
    else:
        masks = files_by_key(root, folder.masks, split, MASK_SUFFIXES, folder.mask_pattern)
        used = set(masks.values())
    if folder.images == folder.masks:
        images = {name: path for name, path in images.items() if path not in used}
    if folder.lists is not None:
        listed = listed_keys(root, folder.lists, split, images)
        images = {name: images[name] for name in listed}
        masks = {name: masks[name] for name in listed if name in masks}
    if not images:
        raise DataError(f"no images of the split {split!r} in {root / folder.images}; {_splits_there(root, folder)}")
    return images, masks


def _mask_name(folder: FolderSpec) -> str:
    text = folder.mask_pattern.replace("{stem}", "NAME")
    return text if Path(text).suffix.lower() in MASK_SUFFIXES else f"{text}.png"


def _paired(images: dict[str, Path], masks: dict[str, Path], names: Sequence[str], split: str, folder: FolderSpec) -> list[Pair]:
    return _split_of([Pair(name, images[name], masks[name]) for name in names], split, folder)


def _split_of(pairs: Sequence[Pair], split: str, folder: FolderSpec) -> list[Pair]:
    """Return pairs of a split as they are, or those of them that are drawn; maps cut into windows."""
    own = "{split}" in folder.images or folder.lists is not None
    return cut_maps(pairs, folder) if own else _drawn(pairs, split, folder)


def _of_maps(root: Path, folder: FolderSpec, split: str) -> list[Pair]:
    """Return the windows of the maps of a split whose truth is a vector file."""
    images = files_by_key(root, folder.images, split, MAP_SUFFIXES, folder.image_pattern)
    if folder.lists is not None:
        images = {name: images[name] for name in listed_keys(root, folder.lists, split, images)}
    if not images:
        raise DataError(f"no maps of the split {split!r} in {root / folder.images}; {_splits_there(root, folder)}")
    vectors = root / (folder.labels_from or "").replace("{split}", split)
    return _split_of([Pair(name, images[name], vectors) for name in sorted(images)], split, folder)


def _listed(root: Path, folder: FolderSpec, split: str) -> list[Pair]:
    """Return the pairs of a split that a list names, or that is drawn of them where it has no splits."""
    path = root / (folder.pairs or "")
    found = read_list(path)
    if not found.pairs:
        raise DataError(f"{path}: the list names no pairs; add a line for each image")
    if not found.splits:
        return _drawn(found.pairs, split, folder)
    for key in ("folds", "splits"):
        if getattr(folder, key) is not None:
            raise DataError(f"{path} has splits of its own, and data.folder.{key} is of drawn ones; leave out its column split")
    return of_split(path, found, split)


def has_drawn_splits(root: Path, folder: FolderSpec) -> bool:
    """Return whether the splits of a folder are drawn, as neither folders nor a list say which they are."""
    if folder.pairs is not None:
        return not read_list(root / folder.pairs).splits
    if folder.annotations is not None:
        return not annotated_pairs(root, folder, "train").has_splits
    return "{split}" not in folder.images and folder.lists is None


def split_to_measure_on(root: Path, folder: FolderSpec, pairs: Sequence[Pair], train: str, val: str) -> str:
    """Return ``val``, or ``train`` where splits are drawn and there is nothing to draw ``val`` from: one pair, or one group.

    ``pairs`` are those of ``train``.
    """
    if len(set(groups_of(pairs, folder).values())) > 1 or not has_drawn_splits(root, folder):
        return val
    try:
        match_files(root, folder, val)
    except DataError:
        return train
    return val


def groups_of(pairs: Iterable[Pair], folder: FolderSpec) -> dict[str, str]:
    """Return the group of each pair by name: what a list says, else what ``folder.group`` does, else a name of its own.

    Raises
    ------
    DataError
        When ``folder.group`` is a regular expression that does not match a name.
    """
    if folder.group is None:
        return {pair.name: pair.group or pair.name for pair in pairs}
    group_of = parse_group(folder.group)
    found = {pair.name: pair.group or group_of(pair.name) for pair in pairs}
    without = [name for name, group in found.items() if not group]
    if without:
        raise DataError(
            f"data.folder.group {folder.group!r} gives {len(without)} of {len(found)} images no group, such as {without[0]}; the "
            "pattern must find a part of every name"
        )
    return found


def _drawn(pairs: Sequence[Pair], split: str, folder: FolderSpec) -> list[Pair]:
    pairs = cut_maps(pairs, folder)
    kept = read_splits(folder.splits) if folder.splits is not None else None
    chosen = set(drawn_split(groups_of(pairs, folder), split, folder, kept))
    return [pair for pair in pairs if pair.name in chosen]


def _annotated(root: Path, folder: FolderSpec, split: str) -> list[Pair]:
    """Return the pairs of a split of annotations, drawn where they have no splits."""
    found = annotated_pairs(root, folder, split)
    if found.has_splits:
        return found.pairs
    return _drawn(found.pairs, split, folder)


def _splits_there(root: Path, folder: FolderSpec) -> str:
    """Say which splits the folder has."""
    before, marker, _ = folder.images.partition("{split}")
    parent = root / before
    if not marker:
        return f"looked for {', '.join(sorted(SUFFIXES))}; set data.folder.images"
    there = sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    return f"there are {', '.join(there) or 'no folders'} in {parent}; set data.folder.images, or data.train and data.val"
