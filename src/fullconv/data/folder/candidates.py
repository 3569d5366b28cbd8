"""Layouts that a folder may have, the most telling first; :mod:`fullconv.data.folder.layout` tries them on its files."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from fullconv.data.folder.class_layouts import Specs, class_layouts
from fullconv.data.folder.known_layouts import KNOWN, Known
from fullconv.data.folder.listed_layout import split_names
from fullconv.data.folder.lists import lists_there
from fullconv.data.folder.names import stem_of, suffix_of, without_suffix
from fullconv.data.folder.relations import mask_like, other_like, relations
from fullconv.data.folder.tree import Tree, joined
from fullconv.spec import FolderSpec

IMAGES = ("images", "image", "imgs", "img", "jpegimages", "photos", "pictures", "rgb", "frames", "input", "inputs", "x", "data")
MASKS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "segmentationclass", "segmentation"),
    *("gt", "groundtruth", "ground_truth", "targets", "annot", "y"),
)
PAIRED_ENDINGS = ("annot", "_annot", "_labels", "-labels", "_masks", "-masks", "_mask", "_gt")
LISTS = ("ImageSets/Segmentation/{split}.txt", "splits/{split}.txt", "lists/{split}.txt", "{split}.txt")
"""Where lists of image names are looked for."""

CLASS_FOLDER = "/{class}"
"""What a person puts behind the folder of the masks who says that those within are classes."""

DRAWN = ("train", "val")
"""What splits that are drawn are called."""

MOST_FOLDERS = 20
"""Folders of which any two are tried where a person says a pattern and no folder."""

Change = Callable[[FolderSpec], FolderSpec]


@dataclass(frozen=True)
class Candidate:
    """A layout that a folder may have, what its splits are called then, and what its values mean if that is known."""

    folder: FolderSpec
    train: str
    val: str
    labels: dict[str, object] = field(default_factory=dict)
    known: Known | None = None

    @property
    def described(self) -> str:
        """What the layout is, for people."""
        title = f"{self.known.title}: " if self.known else ""
        folder = self.folder
        listed = f", splits by {folder.lists}" if folder.lists else ""
        kind = f", one mask for each of {', '.join(folder.classes)}" if folder.classes else ""
        images, masks = f"{folder.images}/{folder.image_pattern}", f"{folder.masks}/{folder.mask_pattern}"
        return f"{title}images {images}, masks {masks}{listed}{kind}"


def candidates(
    tree: Tree, images: str | None = None, masks: str | None = None, change: Change | None = None
) -> Iterator[Candidate]:
    """Yield the layouts that a folder may have.

    Parameters
    ----------
    tree
        The folder.
    images, masks
        Folders that a person names; ``{split}`` in them stands for the split.
    change
        Puts what a person says of names into a layout; then nothing is guessed about names.
    """
    if images is not None or masks is not None or change is not None:
        pairs = ((images or i, masks or m) for i, m in _with_given(tree, images, masks))
        yield from _named(tree, pairs, change)
        return
    for base in tree.bases():
        yield from _known(tree, base)
        yield from _named(tree, _folders(tree, base), None)


def _with_given(tree: Tree, images: str | None, masks: str | None) -> Iterator[tuple[str, str]]:
    """Yield pairs of folders for those that a person names: inside them, where both have them, the splits."""
    if images is None and masks is None:
        for base in tree.bases():
            yield from _folders(tree, base)
            inside = [joined(base, name) for name in tree.children(base)]
            yield from itertools.permutations(inside[:MOST_FOLDERS], 2)  # the pattern tells which of them it is
        return
    both = (images or masks or ".", masks or images or ".")
    if images is None:
        yield from ((folder, both[1]) for folder in tree.children(".") if folder != both[1])
        yield ".", both[1]
    elif masks is None:
        yield from ((both[0], folder) for folder in tree.children(".") if folder != both[0])
    yield both


def _known(tree: Tree, base: str) -> Iterator[Candidate]:
    folders = tree.names()
    for known in KNOWN:
        folder = known.folder
        within = [part for part in folder.image_pattern.split("/")[:-1] if "{" not in part]
        if not {*within} <= folders:
            continue
        placed = folder.model_copy(
            update={
                "images": joined(base, folder.images),
                "masks": joined(base, folder.masks),
                "lists": joined(base, folder.lists) if folder.lists else None,
            }
        )
        splits = _splits(tree, placed)
        if splits and splits[0] == splits[1] and "{split}" in placed.images:
            placed, splits = _of_one_split(placed, splits[0]), DRAWN
        if splits and all(tree.has(where.replace("{split}", splits[0])) for where in (placed.images, placed.masks)):
            yield Candidate(placed, *splits, labels=dict(known.labels or {}), known=known)


def _of_one_split(folder: FolderSpec, split: str) -> FolderSpec:
    """Return the folder of the only split there is."""
    texts = ("images", "masks", "pattern", "image_pattern", "mask_suffix")
    return folder.model_copy(update={key: text.replace("{split}", split) for key in texts if (text := getattr(folder, key))})


def _splits(tree: Tree, folder: FolderSpec) -> tuple[str, str] | None:
    if folder.lists is not None:
        return split_names(lists_there(tree.root, folder.lists))
    return _split_folders(tree, folder.images, folder.masks) if "{split}" in folder.images else DRAWN


def _split_folders(tree: Tree, images: str, masks: str) -> tuple[str, str] | None:
    """Return what the splits are called that both folders have."""
    names: list[set[str]] = []
    for where in (images, masks):
        parts = where.split("/")
        at = next(number for number, part in enumerate(parts) if "{split}" in part)
        before, _, after = parts[at].partition("{split}")
        there = tree.children("/".join(parts[:at]) or ".")
        fit = {name[len(before) : len(name) - len(after)] for name in there if name.startswith(before) and name.endswith(after)}
        names.append({name for name in fit if tree.has(where.replace("{split}", name))})
    return split_names(sorted(names[0] & names[1]))


def _folders(tree: Tree, base: str) -> Iterator[tuple[str, str]]:
    """Yield (images, masks) as folders that may fit, with ``{split}``, the most telling first."""
    there = {name.lower(): joined(base, name) for name in tree.children(base)}
    tops = [(there[i], there[m]) for i in IMAGES for m in MASKS if i in there and m in there]
    yield from ((f"{images}/{{split}}", f"{masks}/{{split}}") for images, masks in tops)
    train = (split_names(tree.children(base)) or ("", ""))[0]
    if train:
        inside = {name.lower(): name for name in tree.children(joined(base, train))}
        both = [(inside[i], inside[m]) for i in IMAGES for m in MASKS if i in inside and m in inside]
        split = joined(base, "{split}")
        yield from ((f"{split}/{images}", f"{split}/{masks}") for images, masks in both)
        yield from ((split, f"{split}{ending}") for ending in PAIRED_ENDINGS if f"{train}{ending}".lower() in there)
        yield from ((f"{split}/{i}", f"{split}/{m}") for i, m in _by_words(tree, joined(base, train)))
        yield split, split
    yield from tops
    yield from _splits_in_names(tree, base)
    yield from ((joined(base, images), joined(base, masks)) for images, masks in _by_words(tree, base))
    yield base, base


def _splits_in_names(tree: Tree, base: str) -> Iterator[tuple[str, str]]:
    """Yield folders with the split in their name, such as ``train_images`` and ``ISIC2018_Task1_Training_GroundTruth``."""
    found = {}
    for name in tree.children(base):
        match = re.search(r"(?i)(?<![a-z])(train(?:ing)?)(?![a-z])", name)
        if match and match[0] != name:
            found[joined(base, f"{name[: match.start()]}{{split}}{name[match.end() :]}")] = name
    yield from ((i, m) for i in found for m in found if mask_like(found[m]) and _image_like(found[i]) and i != m)


def _by_words(tree: Tree, base: str) -> list[tuple[str, str]]:
    """Return folders of which one is called as ground truth in some way; those within it too where it holds only folders."""
    names = tree.children(base)
    images = [name for name in names if _image_like(name)]
    masks = [name for name in names if mask_like(name) or name.lower() in MASKS]
    for name in tuple(masks):
        if not tree.direct(joined(base, name)):
            inner = [f"{name}/{deeper}" for deeper in tree.children(joined(base, name))]
            masks += [path for path in inner if not other_like(path)]
    return [(image, mask) for image in images for mask in masks if image != mask]


def _image_like(name: str) -> bool:
    return not mask_like(name) and not other_like(name)


def _named(tree: Tree, folders: Iterator[tuple[str, str]], change: Change | None) -> Iterator[Candidate]:
    for images, masks in dict.fromkeys(folders):  # several words suggest the same folders
        if ("{split}" in images) != ("{split}" in masks):
            continue
        splits = _split_folders(tree, images, masks) if "{split}" in images else DRAWN
        if splits is None:
            continue
        if splits[0] == splits[1]:  # nothing to measure on: it is drawn
            images, masks, splits = images.replace("{split}", splits[0]), masks.replace("{split}", splits[0]), DRAWN
        where = masks.removesuffix(CLASS_FOLDER)
        first = images.replace("{split}", splits[0]), where.replace("{split}", splits[0])
        if not tree.has(first[0]) or not tree.has(first[1]):
            continue
        plain = FolderSpec(images=images, masks=where)
        if change is not None:
            yield Candidate(change(plain), *splits)
            continue
        for folder, labels in _specs(tree, first, plain, by_class=where != masks):
            if "{split}" not in images:
                yield from _listed(tree, folder, images, labels)
            yield Candidate(folder, *splits, labels=labels)


def _listed(tree: Tree, folder: FolderSpec, images: str, labels: dict[str, object]) -> Iterator[Candidate]:
    """Yield the layout with lists of its splits that lie beside the images' folder."""
    for lists in (joined(_parent(images), where) for where in LISTS):
        listed = split_names(lists_there(tree.root, lists))
        if listed:
            yield Candidate(folder.model_copy(update={"lists": lists}), *listed, labels=labels)


def _parent(folder: str) -> str:
    return folder.rpartition("/")[0] or "."


def _specs(tree: Tree, first: tuple[str, str], plain: FolderSpec, by_class: bool) -> Specs:
    """Yield the ways in which names of two folders pair: equal paths, one file a class, a pattern; or a folder a class alone."""
    images, masks = (tree.below(where) for where in first)
    if by_class:
        yield from (found for found in class_layouts(images, masks, plain) if found[0].masks.endswith(CLASS_FOLDER))
        return
    if first[0] == first[1]:
        yield from _one_folder(images, plain)
        return
    keys = [{without_suffix(name) for name in names} for names in (images, masks)]
    if 2 * len(keys[0] & keys[1]) >= len(keys[0]):
        yield plain, {}
    yield from class_layouts(images, masks, plain)
    yield from ((_with(plain, *patterns), {}) for patterns in relations(images, _true_masks(masks))[:4])


def _one_folder(names: Sequence[str], plain: FolderSpec) -> Specs:
    """Yield the ways in which images and masks lie in one folder."""
    masks, others = _parted(names, lambda name: mask_like(stem_of(name)))
    if masks and others:
        yield from ((_with(plain, *patterns), {}) for patterns in relations(others, masks)[:2])
    photos, rest = _parted(names, lambda name: name.lower().endswith((".jpg", ".jpeg")))
    if photos and rest:
        yield from class_layouts(photos, rest, plain)
        few = 2 * len(photos) < len(rest)  # a stray photograph among images and masks is no layout
        for image, mask in () if few else relations(photos, rest)[:2]:
            suffixes = [suffix_of(group[0]) for group in (photos, rest)]
            yield plain.model_copy(update={"image_pattern": image + suffixes[0], "pattern": mask + suffixes[1]}), {}
    yield from ((_with(plain, "{stem}", "{stem}" + ending), {}) for ending in _extensions(names))


def _parted(names: Sequence[str], chosen: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """Return the names that are chosen, and the others."""
    parts: tuple[list[str], list[str]] = ([], [])
    for name in names:
        parts[not chosen(name)].append(name)
    return parts


def _extensions(names: Sequence[str]) -> list[str]:
    """Return what some names have after others, the commonest first."""
    stems = {stem_of(name) for name in names}
    places = ((stem, at) for stem in stems for at in range(1, len(stem)) if not stem[at].isalnum())
    ends = Counter(stem[at:] for stem, at in places if stem[:at] in stems)
    return sorted(ends, key=lambda end: (-ends[end], end))[:3]


def _true_masks(names: Sequence[str]) -> list[str]:
    """Return the masks without those that are drawn for people, where others are left."""
    kept = [name for name in names if not other_like(stem_of(name))]
    return kept or list(names)


def _with(plain: FolderSpec, image: str, mask: str) -> FolderSpec:
    """Return the folder with patterns, as a suffix where that says it."""
    if image == "{stem}" and mask.startswith("{stem}"):
        return plain.model_copy(update={"mask_suffix": mask.removeprefix("{stem}")})
    return plain.model_copy(update={"image_pattern": image, "pattern": mask})
