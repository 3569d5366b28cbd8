"""Guess how a folder of images and masks is laid out, for ``fullconv init`` to write down.

Nothing here decides anything at training time: the guess goes into a recipe, where a person sees and corrects it. The order is:
a list of pairs (``pairs.csv``), layouts that are known by their folders (:mod:`fullconv.data.folder.known_layouts`), folders by
their names, names that differ by a pattern. Masks come first, files of annotations are looked for where there are none.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from fullconv.data.folder.annotated_layout import annotations_beside, annotations_in
from fullconv.data.folder.candidates import CLASS_FOLDER, Candidate, candidates
from fullconv.data.folder.class_contents import MEND, are_classes, class_contents
from fullconv.data.folder.class_masks import parts_by_key
from fullconv.data.folder.files import files_by_key
from fullconv.data.folder.listed_layout import listed_layout
from fullconv.data.folder.map_layout import maps_in
from fullconv.data.folder.pairing import Match, match_files
from fullconv.data.folder.tree import Tree
from fullconv.data.images import SUFFIXES
from fullconv.errors import DataError, SpecError
from fullconv.labelmap import parse_label_map
from fullconv.spec import FolderSpec

MOST_SHOWN = 8
NUMBERED = "the masks of every class hold several numbers"


@dataclass(frozen=True)
class Layout:
    """A folder as it was understood.

    Attributes
    ----------
    folder
        Where its pairs are.
    train, val
        What its splits are called.
    labels
        What the masks' values mean where the layout says so; empty where they must be looked at.
    said
        What was chosen, and from how many, for people.
    doubt
        What of it may be wrong, for people; mostly empty.
    """

    folder: FolderSpec
    train: str
    val: str
    labels: dict[str, object] = field(default_factory=dict)
    said: str = ""
    doubt: str = ""

    @property
    def drawn(self) -> bool:
        """Whether the splits are drawn, as the folder has none."""
        return "{split}" not in self.folder.images and self.folder.lists is None and self.folder.pairs is None

    def meanings(self, codes: Iterable[int]) -> dict[str, object]:
        """Return ``labels`` where they have a meaning for every code that masks hold, else nothing."""
        if self.folder.annotations is not None or self.folder.labels_from is not None:  # masks are drawn with these
            return self.labels
        known = parse_label_map(self.labels).meaning if self.labels else {}
        return self.labels if all(code in known for code in codes) else {}


@dataclass(frozen=True)
class Wanted:
    """What a person says of a layout that nothing guesses; ``None`` and empty texts are guessed.

    Attributes
    ----------
    images, masks
        Folders below the root.
    mask_suffix, pattern, image_pattern
        As in :class:`~fullconv.spec.FolderSpec`.
    class_attribute, line_width
        Likewise, of the vector file that is the ground truth of maps.
    """

    images: str | None = None
    masks: str | None = None
    mask_suffix: str = ""
    pattern: str | None = None
    image_pattern: str | None = None
    class_attribute: str | None = None
    line_width: float | None = None

    @property
    def anything(self) -> bool:
        """Whether something is said of folders and names."""
        return self != Wanted(class_attribute=self.class_attribute, line_width=self.line_width)

    @property
    def of_vectors(self) -> bool:
        """Whether something is said of a vector file."""
        return self.class_attribute is not None or self.line_width is not None


def guess_layout(root: Path, wanted: Wanted = Wanted()) -> Layout:  # frozen
    """Return the layout of a folder: the first in which every image has a mask, else the first in which at least half have.

    Parameters
    ----------
    root
        The folder.
    wanted
        What is known of it; only layouts that fit are taken.

    Raises
    ------
    DataError
        When no layout has masks for at least half of the images; it says what was seen, what was tried and what to give.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the one that holds your images and masks")
    if not wanted.anything:
        listed = listed_layout(root)
        if listed is not None:
            folder, train, val = listed
            return Layout(folder, train, val, said=f"the pairs are those of {folder.pairs}")
    if wanted.of_vectors and (maps := maps_in(root, wanted.class_attribute, wanted.line_width)) is not None:
        return Layout(*maps)
    tree = Tree.of(root)
    fits, partial, faults = _tried(root, _wanted(tree, wanted), CLASS_FOLDER in (wanted.masks or ""))
    if not fits and not wanted.anything and (annotated := annotations_in(root)) is not None:
        return Layout(*annotated)
    if not fits and not wanted.anything and (maps := maps_in(root)) is not None:
        return Layout(*maps)
    if not fits and not partial:
        _refuse_cvat_without_images(root)
        raise DataError(_nothing(tree, root, wanted, faults))
    chosen, match = (fits or partial)[0]
    return _layout(root, chosen, match, fits or partial)


_Found = list[tuple[Candidate, Match]]


def _wanted(tree: Tree, wanted: Wanted) -> Iterator[Candidate]:
    if not wanted.anything:
        yield from candidates(tree)
        return
    yield from candidates(tree, wanted.images, wanted.masks, _changed(wanted))


def _changed(wanted: Wanted) -> Callable[[FolderSpec], FolderSpec] | None:
    """Return what puts the names that a person says into a candidate; ``None`` where only folders are said."""
    said = {key: value for key in ("mask_suffix", "pattern", "image_pattern") if (value := getattr(wanted, key))}
    if not said:
        return None

    def change(folder: FolderSpec) -> FolderSpec:
        try:
            return FolderSpec.model_validate(folder.model_dump() | said)
        except ValidationError as error:
            raise SpecError("; ".join(entry["msg"].removeprefix("Value error, ") for entry in error.errors())) from error

    return change


def _tried(root: Path, found: Iterator[Candidate], sure: bool) -> tuple[_Found, _Found, list[str]]:
    """Return the candidates in which every image has a mask, those in which half have, and what was wrong with others.

    Raises
    ------
    DataError
        When names say that there is one mask a class and what is in them says otherwise, unless a person is ``sure`` of it.
    """
    fits: _Found = []
    partial: _Found = []
    torn: list[tuple[Candidate, str]] = []
    faults: list[str] = []
    taken = set()
    for candidate in found:
        if repr(candidate.folder) in taken:
            continue
        taken.add(repr(candidate.folder))
        try:
            if candidate.folder.classes and not sure:
                _refuse_numbers(root, candidate)
            match = match_files(root, candidate.folder, candidate.train)
        except DataError as error:
            faults.append(str(error))
            torn += [(candidate, str(error))] if candidate.folder.classes else []
            continue
        if not match.images:
            fits.append((candidate, match))
        elif len(match.images) <= len(match.pairs):
            partial.append((candidate, match))
    for candidate, fault in torn:
        _refuse_torn(root, candidate, fault, fits or partial)
    return fits, partial, faults


def _refuse_numbers(root: Path, candidate: Candidate) -> None:
    """Stop where the masks of every class hold several numbers: of classes or of objects, which nothing decides."""
    found = class_contents(parts_by_key(root, candidate.folder, candidate.train))
    if found.numbered >= {*candidate.folder.classes}:
        raise DataError(
            f"{root / candidate.folder.masks}: the masks of every class hold several numbers, of classes or of objects"
        )


def _refuse_torn(root: Path, candidate: Candidate, fault: str, others: _Found) -> None:
    """Stop with what is wrong with masks of one class each, where otherwise those of one class would be all."""
    folder = candidate.folder
    if others and (others[0][0].known or others[0][0].folder.classes):
        return
    try:
        parts = parts_by_key(root, folder, candidate.train)
        images = files_by_key(root, folder.images, candidate.train, SUFFIXES, folder.image_pattern)
    except DataError:
        return
    own = {path for files in parts.values() for path in files.values()}
    if not are_classes(folder.classes, parts, [*images]) or (others and not own & {pair.mask for pair in others[0][1].pairs}):
        return
    one = folder.masks.replace("{class}", folder.classes[0])
    each = f"--masks {shlex.quote(folder.masks)} where it numbers objects, " if NUMBERED in fault else ""
    way = f"{each}--masks {shlex.quote(one)} for that alone" if CLASS_FOLDER in folder.masks else "--masks, --pattern"
    raise DataError(
        f"{fault}; by their names there is one mask for each of {', '.join(folder.classes)}: mend it, or say how it is ({way})"
    )


def _layout(root: Path, chosen: Candidate, match: Match, others: _Found) -> Layout:
    """Return the layout that was chosen, and say from how many with other masks."""
    own = {pair.mask for pair in match.pairs}
    rivals = [other for other, found in others if not own & {pair.mask for pair in found.pairs}]
    alone = f", {len(match.images)} images have none" if match.images else ""
    said = f"{chosen.described}: {len(match.pairs)} pairs to train on{alone}"
    if rivals:
        said += (
            f"; the first of {1 + len(rivals)} layouts that fit, another is {rivals[0].described}: if it is that, say so with "
            "--masks or --pattern"
        )
    if chosen.known and chosen.known.name:
        said += f"; its official splits and names: --data {chosen.known.name} (fullconv data sets {chosen.known.name})"
    beside = "" if chosen.known else annotations_beside(root)
    if beside:
        said += (
            f"; the annotations {beside} are there too and are not used: to have masks drawn from them, move "
            f"{chosen.folder.masks} out of the folder and run init again"
        )
    doubt = class_contents(parts_by_key(root, chosen.folder, chosen.train)).doubt if chosen.folder.classes else ""
    return Layout(chosen.folder, chosen.train, chosen.val, dict(chosen.labels), said, f"{doubt}; {MEND}" if doubt else "")


def _refuse_cvat_without_images(root: Path) -> None:
    """Stop at an export of CVAT's masks that was made without *Save images*."""
    if (root / "SegmentationClass").is_dir() and (root / "labelmap.txt").is_file() and not (root / "JPEGImages").is_dir():
        raise DataError(
            f"{root}: masks as CVAT exports them (SegmentationClass, labelmap.txt) and no images; export the task again with "
            f"*Save images* ticked, or put its images into {root / 'JPEGImages'}"
        )


def _nothing(tree: Tree, root: Path, wanted: Wanted, faults: list[str]) -> str:
    """Return what was seen, what was tried and what helps."""
    seen = sorted(tree.counts().items(), key=lambda item: (item[0].count("/"), -item[1]))
    shown = ", ".join(f"{folder or '.'} ({count})" for folder, count in seen[:MOST_SHOWN])
    more = f" and {len(seen) - MOST_SHOWN} more folders" if len(seen) > MOST_SHOWN else ""
    what = "no images with masks of the same names" if not wanted.anything else "no images with masks as you said"
    doubled = next((fault for fault in faults if "would both be" in fault or "could both be" in fault), "")
    tried = f"; {doubled}" if doubled else f"; {len(faults)} layouts were tried" if faults else ""
    options = "--images DIR --masks DIR --mask-suffix _mask --pattern '{stem}_mask.png' --image-pattern 'img_{stem}'"
    return (
        f"{what} in {root}: there are images in {shown or 'no folder'}{more}{tried}; looked for a folder such as images, photos, "
        "JPEGImages beside one such as masks, labels, annotations, with or without train and val in or around them, and for "
        f"NAME_mask beside NAME; say how it is with {options}, or write pairs.csv with the columns image,mask,split"
    )
