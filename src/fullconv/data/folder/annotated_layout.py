"""Find the export of an annotation tool in a folder, for ``fullconv init`` to write down: its files, its splits, its images."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fullconv.data.folder.annotations import TRAIN, AnnotatedPairs, annotated_pairs, annotations_path, labels_of, load, splits_of
from fullconv.errors import DataError, some
from fullconv.formats.annotations import Annotations, special_value
from fullconv.formats.cvat import is_cvat
from fullconv.formats.labelbox import is_labelbox
from fullconv.formats.reading import read_json
from fullconv.formats.recognise import FOLDERS, ONE_EACH, format_of, json_files, recognise
from fullconv.formats.settle import same_but_case
from fullconv.formats.yolo import is_yolo_list
from fullconv.spec import FolderSpec

VAL, TEST = ("val", "valid", "validation", "dev"), ("test", "testing")
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages", "photos", "data")
SPLIT_PLACES = ("{split}", "annotations/{split}", "labels/{split}", "json/{split}", "{split}/annotations", "{split}/labels")
"""Where a split's folder of files, one for each image, may be."""
MOST_FILES = 50
"""JSON files in one folder that are opened to see what they are; more are of one kind."""
NO_MASKS = ("captions_", "person_keypoints_")
"""What COCO's files of other tasks begin with."""


class Annotated(NamedTuple):
    """An export as it was understood: where it is, what its splits are called, the labels, and what to know of it."""

    folder: FolderSpec
    train: str
    val: str
    labels: dict[str, object]
    said: str


def annotations_in(root: Path) -> Annotated | None:
    """Return the export in a folder; ``None`` when there is none.

    Raises
    ------
    DataError
        When there are several that do not belong together, one is damaged, or its images are not there.
    """
    where = next(_places(root), None)
    if where is None:
        return None
    annotations, named = where
    images = _images(root, named[0] if named else "train")
    folder = FolderSpec(images=images, annotations=annotations, val_share=0.2)
    parts = [load(annotations_path(root, folder, split)) for split in named or ["train"]]
    train, val = _splits(named or splits_of(parts[0]))
    said = _said(root, folder, train, val)
    _refuse_no_shapes(root, folder, parts)
    return Annotated(folder, train, val, labels_of(parts), said)


def _refuse_no_shapes(root: Path, folder: FolderSpec, parts: list[Annotations]) -> None:
    """Stop where no shape of a class is left: every pixel would be background."""
    if any(special_value(name) is None for part in parts for name in part.used()):
        return
    left = Counter[str]()
    for part in parts:
        left.update(part.notes)
    came = f"only {', '.join(told((), 0, left))}" if left else "no shapes at all"
    raise DataError(
        f"{root / str(folder.annotations)}: {sum(len(part.images) for part in parts)} images and no shape of a class that can be "
        f"drawn; {came}; export segmentations (polygons or masks), not boxes, of images that were annotated"
    )


def annotations_beside(root: Path) -> str:
    """Return the path below a folder of annotations that lie there beside masks; empty when there are none, or none that fit."""
    try:
        where = next(_places(root), None)
    except DataError:
        return ""
    return "" if where is None or where[0] == "." else where[0]


def _splits(names: list[str]) -> tuple[str, str]:
    """Return the splits to train and to measure on; drawn ones are ``train`` and ``val``."""
    if not names:
        return "train", "val"
    found = {_kind(name): name for name in reversed(names)}
    train = found["train"]
    return train, found.get("val") or found.get("test") or train


def _kind(name: str) -> str:
    """Return ``train``, ``val`` or ``test`` for what a split is called, such as ``train2017``; else an empty text."""
    plain = name.lower().rstrip("0123456789")
    kinds = {"train": TRAIN, "val": VAL, "test": TEST}
    return next((kind for kind, names in kinds.items() if plain in names), "")


def _places(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield annotations below a folder, ``{split}`` where they have a file or folder a split, and those splits."""
    for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml"), *root.glob("*/data.yaml")]):
        if is_yolo_list(path):
            yield path.relative_to(root).as_posix(), []
    xml = [path for path in sorted([*root.glob("*.xml"), *root.glob("*/*.xml")])[:MOST_FILES] if is_cvat(path)]
    lines = [path for path in sorted([*root.glob("*.ndjson"), *root.glob("*.jsonl")]) if is_labelbox(path)]
    for files in (xml, lines):
        if files:
            yield _together(root, files)
    if any(name == "Supervisely" and fits(root) for name, (fits, _) in FOLDERS.items()):
        yield ".", []
    whole = _whole_exports(root)
    if whole:
        yield _together(root, whole)
    yield from _one_each(root)
    if any(name == "YOLO" and fits(root) for name, (fits, _) in FOLDERS.items()):
        yield ".", []


def _whole_exports(root: Path) -> list[Path]:
    """Return the JSON files of a format that has all images in one file; of COCO's tasks that with instances, if there is one."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted([*root.glob("*.json"), *root.glob("*/*.json")]):
        if path.name[0] != "." and path.parent.name[0] != "." and not path.name.startswith(NO_MASKS):
            folders.setdefault(path.parent, []).append(path)
    found: dict[Path, str] = {}
    for files in folders.values():
        kinds = {path: kind for path in files[:MOST_FILES] if (kind := _kind_of_file(path)) not in (None, *ONE_EACH)}
        found |= kinds
    instances = [path for path in found if path.name.startswith("instances")]
    return instances or list(found)


def _kind_of_file(path: Path) -> str | None:
    return "Labelbox" if is_labelbox(path) else format_of(read_json(path))


def _together(root: Path, files: list[Path]) -> tuple[str, list[str]]:
    """Return one file, or a pattern with the splits for files whose names differ by them.

    Raises
    ------
    DataError
        When there are several files and no such pattern.
    """
    names = [path.relative_to(root).as_posix() for path in files]
    if len(names) == 1:
        return names[0], []
    for name in names:
        for match in re.finditer(r"(?<![A-Za-z])train(?:ing)?[0-9]*(?![A-Za-z])", name, re.IGNORECASE):
            pattern = name.replace(match[0], "{split}")
            first, *rest = map(re.escape, pattern.split("{split}"))
            form = re.compile(first + "(?P<split>[^/]+?)" + "(?P=split)".join(rest))
            found = [other["split"] for path in names if (other := form.fullmatch(path)) and _kind(other["split"])]
            if len(found) == len(names) and len(found) > 1:
                return pattern, found
    raise DataError(
        f"{len(names)} files of annotations in {root}: {some(names, 4)}; move those away that are not meant, or write "
        "data.folder.annotations into a recipe: a file, a folder of which all count, or a name with {split}"
    )


def _one_each(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the folder of files of LabelMe or GeoJSON, one for each image."""
    for place in SPLIT_PLACES:
        before, _, after = place.partition("{split}")
        base = root / before
        names = sorted(path.name for path in base.iterdir() if path.is_dir()) if base.is_dir() else []
        named = [name for name in names if _kind(name) and _is_one_each(root / f"{before}{name}{after}")]
        if len(named) > 1 and "train" in map(_kind, named):
            yield place, named
    if _is_one_each(root):
        yield ".", []


def _is_one_each(folder: Path) -> bool:
    return folder.is_dir() and bool(json_files(folder)) and recognise(folder) in ONE_EACH


def _images(root: Path, split: str) -> str:
    """Return where the images are, as a pattern: a folder a split, a folder of all, or anywhere below the root."""
    patterns = [f"{name}/{{split}}" for name in IMAGE_FOLDERS] + [f"{{split}}/{name}" for name in IMAGE_FOLDERS] + ["{split}"]
    names = {path.name.lower(): path.name for path in root.iterdir() if path.is_dir()}
    there = [names[name.lower()] for name in IMAGE_FOLDERS if name.lower() in names]
    return next((name for name in patterns if (root / name.replace("{split}", split)).is_dir()), there[0] if there else ".")


def _said(root: Path, folder: FolderSpec, train: str, val: str) -> str:
    """Return what a person should know: the format, how many images, and what was left out."""
    source = annotations_path(root, folder, train)
    found = {split: annotated_pairs(root, folder, split) for split in (train,)}
    if found[train].has_splits and val != train:
        found[val] = annotated_pairs(root, folder, val)
    place = folder.annotations if folder.annotations != "." else root.resolve().name
    parts = [
        f"{recognise(source)} annotations in {place}: {_counts(found, train, val, folder.val_share)}",
        "masks are drawn from them",
    ]
    of_test = annotations_path(root, folder, "test")
    if val in found and "test" not in found and of_test != source and of_test.exists():
        parts.append("there is a split test as well: `fullconv evaluate MODEL --data RECIPE --split test`")
    names: dict[str, None] = {}
    for split, pairs in found.items():
        read = load(annotations_path(root, folder, split))
        parts += told(pairs.missing, pairs.unlisted, read.notes)
        names |= dict.fromkeys(read.classes)
    for first, *others in same_but_case(names):
        one = ", ".join(f"{other}: {first}" for other in others)
        parts.append(
            f"the classes {some([first, *others])} differ by case only: if they are one, say so by data.folder.rename: {{{one}}}"
        )
    return "; ".join(dict.fromkeys(parts))


def _counts(found: dict[str, AnnotatedPairs], train: str, val: str, share: float) -> str:
    first = len(found[train].pairs)
    if not found[train].has_splits:
        return f"{first} images, of which {100 * share:.0f} % are drawn to validate on"
    return f"{first} images to train on, {len(found[val].pairs) if val != train else 'none'} to validate on"


def told(missing: tuple[str, ...], unlisted: int, notes: object) -> list[str]:
    """Return in words what became of images and shapes that are not as they should be."""
    parts = []
    if missing:
        parts.append(f"{len(missing)} images that it lists are not there, such as {missing[0]}")
    if unlisted:
        parts.append(f"{unlisted} images that it does not list are left out")
    parts += [f"{count} × {what}" for what, count in dict(notes).items()] if isinstance(notes, dict) else []
    return parts
