"""Guess how a folder of images and masks is laid out and what its masks hold, for ``fullconv init`` to write down.

Nothing here decides anything at training time: the guess goes into a recipe, where a person sees and corrects it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fullconv.data.folder.annotated_layout import annotations_in
from fullconv.data.folder.folder import match_files
from fullconv.data.images import SUFFIXES
from fullconv.data.masks import MASK_SUFFIXES
from fullconv.errors import DataError
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
    """A folder as it was understood: where its pairs are, and what its splits are called.

    Of annotations also the ``labels``, and what is ``said`` of them to people.
    """

    folder: FolderSpec
    train: str
    val: str
    labels: dict[str, object] = field(default_factory=dict)
    said: str = ""

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
    annotated = annotations_in(root)
    if annotated is not None:
        return Layout(*annotated)
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
