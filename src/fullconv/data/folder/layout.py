"""Guess how a folder of images and masks is laid out and what its masks hold, for ``fullconv init`` to write down.

Nothing here decides anything at training time: the guess goes into a recipe, where a person sees and corrects it.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.data.folder.folder import match_files
from fullconv.data.images import SUFFIXES, decode
from fullconv.data.masks import MASK_SUFFIXES, undeclared_in
from fullconv.data.pairs import Pair
from fullconv.data.text import read_text
from fullconv.errors import DataError
from fullconv.labelmap import COLOR, codes_of, color_of
from fullconv.spec import FolderSpec

IMAGES = ("images", "image", "imgs", "img", "jpegimages", "photos", "pictures", "rgb", "frames", "input", "inputs", "x", "data")
MASKS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "segmentationclass", "segmentation"),
    *("gt", "groundtruth", "ground_truth", "targets", "annot", "y"),
)
TRAIN, VAL, TEST = ("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing")
PAIRED_ENDINGS = ("annot", "_annot", "_labels", "-labels", "_masks", "-masks", "_mask", "_gt")
SAMPLE = 400
"""Masks that are looked into, spread over the folder."""
MOST_CODES = 255


@dataclass(frozen=True)
class Layout:
    """A folder as it was understood: where its pairs are, and what its splits are called."""

    folder: FolderSpec
    train: str
    val: str

    @property
    def drawn(self) -> bool:
        """Whether the splits are drawn, as the folder has none."""
        return "{split}" not in self.folder.images


def guess_layout(root: Path) -> Layout:
    """Return the layout of a folder: the first in which every image has a mask, else the first in which at least half have.

    Raises
    ------
    DataError
        When no layout has masks for at least half of the images; it says what was looked for.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the one that holds your images and masks")
    partial: list[Layout] = []
    for images, masks in _candidates(root):
        train, val = _split_names(root, images)
        pattern = (_with_split(images, train), _with_split(masks, train))
        for ending in _endings(root, *(part.format(split=train) for part in (images, masks))):
            folder = FolderSpec(images=pattern[0], masks=pattern[1], mask_suffix=ending, val_share=0.2)
            try:
                match = match_files(root, folder, train)
            except DataError:
                continue
            if not match.images:
                return Layout(folder, train, val)
            if len(match.images) <= len(match.pairs):
                partial.append(Layout(folder, train, val))
    if partial:
        return partial[0]
    raise DataError(
        f"no images with masks of the same names in {root}; looked for a folder such as images, photos, JPEGImages beside one "
        "such as masks, labels, annotations, with or without train and val in or around them, and for NAME_mask beside NAME; "
        "arrange the files like this, or write pairs.csv with the columns image,mask,split"
    )


def _with_split(pattern: str, train: str) -> str:
    return pattern if train else pattern.replace("{split}", "")


def _candidates(root: Path) -> Iterable[tuple[str, str]]:
    """Yield (images, masks) as patterns that may fit, the most telling first."""
    folders = {path.name.lower(): path.name for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "."}
    tops = [(folders[i], folders[m]) for i in IMAGES for m in MASKS if i in folders and m in folders]
    for images, masks in tops:
        if _first(TRAIN, _names(root / images)) and _first(TRAIN, _names(root / masks)):
            yield f"{images}/{{split}}", f"{masks}/{{split}}"
    train = _first(TRAIN, folders)
    if train:
        inner = _names(root / folders[train])
        for images, masks in [(inner[i], inner[m]) for i in IMAGES for m in MASKS if i in inner and m in inner]:
            yield f"{{split}}/{images}", f"{{split}}/{masks}"
        for ending in PAIRED_ENDINGS:
            if f"{train}{ending}" in folders:
                yield "{split}", f"{{split}}{ending}"
        yield "{split}", "{split}"
    yield from tops
    yield ".", "."


def _names(folder: Path) -> dict[str, str]:
    return {path.name.lower(): path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else {}


def _first(wanted: Sequence[str], there: Iterable[str]) -> str:
    known = set(there)
    return next((name for name in wanted if name in known), "")


def _split_names(root: Path, pattern: str) -> tuple[str, str]:
    """Return what the training and validation splits are called; drawn ones are ``train`` and ``val``."""
    before, marker, _ = pattern.partition("{split}")
    if not marker:
        return "train", "val"
    names = _names(root / before)
    train, val = names[_first(TRAIN, names)], _first(VAL, names) or _first(TEST, names)
    return train, names.get(val, train)


def _endings(root: Path, images: str, masks: str) -> list[str]:
    """Return what masks' names may have after their images', the most common first; nothing is tried first."""
    stems = [path.stem for path in (root / images).rglob("*") if path.suffix.lower() in SUFFIXES]
    others = [path.stem for path in (root / masks).rglob("*") if path.suffix.lower() in MASK_SUFFIXES]
    known = sorted(stems, key=len)
    found: Counter[str] = Counter()
    for other in others[:SAMPLE]:
        found.update(other.removeprefix(stem) for stem in known if other.startswith(stem) and other != stem)
    return [*([""] if images != masks else []), *(ending for ending, _ in found.most_common(5))]


def refuse_swapped(root: Path, folder: FolderSpec, pairs: Sequence[Pair]) -> None:
    """Stop where the folder of masks holds photographs and that of images what masks look like.

    Raises
    ------
    DataError
        When of the first, the last and a pair between them every mask has more values than labels can and no image does.
    """
    for pair in {0: pairs[0], 1: pairs[len(pairs) // 2], 2: pairs[-1]}.values():
        try:
            found = [len(np.unique(codes_of(undeclared_in(decode(path))))) for path in (pair.image, pair.mask)]
        except DataError:
            return  # a damaged file is told of elsewhere
        if not found[0] <= MOST_CODES < found[1]:
            return
    raise DataError(
        f"{root}: {folder.masks} holds photographs and {folder.images} what looks like masks; are the two swapped? Rename them"
    )


@dataclass(frozen=True)
class Contents:
    """What the masks that were looked into hold: pixels of every code (see :mod:`fullconv.labelmap`), and their sizes."""

    pixels: dict[int, int]
    masks: int
    sizes: list[tuple[int, int]]

    @property
    def colors(self) -> bool:
        """Whether the masks store colours."""
        return any(code >= COLOR for code in self.pixels)


def look_into(masks: Sequence[Path]) -> Contents:
    """Return what masks hold: palette images by their indices, equal channels as grey.

    Raises
    ------
    DataError
        When a mask cannot be read, or they hold so many values that they cannot be labels.
    """
    chosen = [masks[int(i)] for i in np.unique(np.linspace(0, len(masks) - 1, min(SAMPLE, len(masks))).round())]
    pixels: Counter[int] = Counter()
    sizes = []
    for path in chosen:
        stored = undeclared_in(decode(path))
        codes, counts = np.unique(codes_of(stored), return_counts=True)
        pixels.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        sizes.append((stored.shape[0], stored.shape[1]))
        if len(pixels) > MOST_CODES + 1:
            raise DataError(
                f"{path}: the masks hold more than {MOST_CODES} different {'colours' if stored.ndim == 3 else 'values'}, so they "
                "are no labels as they are: saved as JPEG, resized with smoothing, or instance numbers? Save them without "
                "loss, one value a class"
            )
    return Contents(dict(sorted(pixels.items())), len(chosen), sizes)


def guess_labels(root: Path, contents: Contents) -> dict[str, object]:
    """Return a declaration for :func:`fullconv.labelmap.parse_label_map`: a class for every code, named by a list where one is.

    255 among smaller values becomes void; where there is nothing but 0 and 255, 255 is the foreground. A list of names is
    ``classes.txt``, ``labels.txt`` or ``names.txt`` (one a line, numbered from the smallest value), CVAT's ``labelmap.txt``
    or Roboflow's ``_classes.csv``.
    """
    codes = list(contents.pixels)
    if codes == [0, 255]:
        return {"background": 0, "foreground": 255}
    named = _named_codes(root, codes)
    void = 255 in codes and len(codes) > 1 and 255 not in named and not contents.colors
    entries: dict[str, object] = {}
    for number, code in enumerate(code for code in codes if not (void and code == 255)):
        value = list(color_of(code)) if code >= COLOR else code
        entries[named.get(code) or f"class {number if code >= COLOR else code}"] = value
    return entries | ({"void": "ignore"} if void else {})


def _named_codes(root: Path, codes: Sequence[int]) -> dict[int, str]:
    cvat, roboflow = root / "labelmap.txt", next(iter(sorted(root.rglob("_classes.csv"))), None)
    if cvat.is_file():
        rows = [line.split(":") for line in read_text(cvat).splitlines() if line and line[0] != "#"]
        found = {}
        for name, color, *_ in (row for row in rows if len(row) >= 2 and row[1].count(",") == 2):
            try:
                red, green, blue = (int(part) for part in color.split(","))
            except ValueError as error:
                raise DataError(
                    f"{cvat}: the color of {name} is {color!r}; write it as three numbers, such as 128,64,0"
                ) from error
            found[COLOR + (red << 16) + (green << 8) + blue] = name
        return found
    if roboflow is not None:
        lines = read_text(roboflow).splitlines()
        rows = [row for row in csv.reader(lines) if len(row) == 2 and row[0].strip().isdigit()]
        return {int(value): name.strip() for value, name in rows}
    lists = (root / name for name in ("classes.txt", "labels.txt", "names.txt"))
    path = next((path for path in lists if path.is_file()), None)
    if path is None:
        return {}
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    values = [code for code in codes if code < COLOR and code != 255]
    start = 1 if values and min(values) > 0 else 0
    return {start + i: name for i, name in enumerate(names)} if values else {}
