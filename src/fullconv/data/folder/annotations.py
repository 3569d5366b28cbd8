"""Images with the annotations of a tool in place of masks: found on disk, split, and drawn by the names of their classes.

``data.folder.annotations`` names a file or a folder of :mod:`fullconv.formats.recognise`, ``{split}`` in it the split. What the
shapes of a class are drawn as is the value that ``data.labels`` gives its name, so a class that is added to an export moves no
other. Images that the export does not list are left out: nobody annotated them.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fullconv.data.drawn_mask import DrawnMask
from fullconv.data.folder.image_index import ImageIndex
from fullconv.data.folder.maps import burnt, is_burnt
from fullconv.data.pairs import Pair
from fullconv.errors import DataError, SpecError, nearest, some
from fullconv.formats.annotations import IGNORE, AnnotatedImage, Annotations, numbered, special_value
from fullconv.formats.recognise import read_annotations
from fullconv.labelmap import COLOR, LabelMap, parse_label_map, read_codes
from fullconv.spec import DataSpec, FolderSpec

TRAIN = ("train", "training")
"""What a split that is trained on is called; an export whose subsets are none of these has no splits."""
BACKGROUND, IGNORED = "background", "__ignore__"


@dataclass(frozen=True)
class AnnotatedPairs:
    """The pairs of an export.

    Attributes
    ----------
    pairs
        Images that are there, with their masks, sorted by name.
    has_splits
        Whether they are those of a split; else splits are drawn.
    missing
        Images that the export lists and that are not there.
    unlisted
        How many images are there that the export does not list.
    """

    pairs: list[Pair]
    has_splits: bool
    missing: tuple[str, ...]
    unlisted: int


def load(path: Path, attribute: str | None = None) -> Annotations:
    """Return what a file or a folder of annotations holds; read once while it stays the same."""
    return _load(path, attribute, _version(path))


@functools.lru_cache(maxsize=4)
def _load(path: Path, attribute: str | None, version: object) -> Annotations:
    return read_annotations(path, attribute)


def _version(path: Path) -> object:
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file())


def annotations_path(root: Path, folder: FolderSpec, split: str) -> Path:
    """Return where the annotations of a split are."""
    return root / str(folder.annotations).replace("{split}", split)


def annotated_pairs(root: Path, folder: FolderSpec, split: str) -> AnnotatedPairs:
    """Return the pairs of a split, or all of them where the export has no splits.

    Raises
    ------
    DataError
        When the annotations cannot be read, list no image that is there, have no such split, or call two images by one name.
    """
    path = annotations_path(root, folder, split)
    found = load(path, folder.class_attribute)
    chosen, has_splits = _of_split(path, found, folder, split)
    index = ImageIndex.of(image_base(root, folder, split))
    values = numbered(found.classes)
    pairs: dict[Path, Pair] = {}
    named: dict[Path, str] = {}
    missing = []
    for image in chosen:
        file = index.find(image.file)
        if file is None:
            missing.append(image.file)
            continue
        if file in pairs:
            how = "" if named[file] == image.file else f", as {named[file]!r} and as {image.file!r}"
            raise DataError(f"{path}: lists {file} twice{how}; keep one of them")
        named[file] = image.file
        pairs[file] = Pair(_name(file, index.base), file, DrawnMask(path, image, file, values))
    if not pairs:
        raise DataError(_why_none(path, chosen, index))
    ordered = sorted(pairs.values(), key=lambda pair: pair.name)
    apart = "{split}" in folder.images and index.base != root  # a folder of its own; below the root those of other splits lie too
    others = index.count - len(pairs) if not has_splits or apart else 0
    return AnnotatedPairs(ordered, has_splits, tuple(missing), max(0, others))


def _why_none(path: Path, chosen: Iterable[AnnotatedImage], index: ImageIndex) -> str:
    names = [image.file for image in chosen]
    if not names:
        return f"{path}: lists no images; export it again, with images that were annotated"
    return (
        f"{path}: none of its {len(names)} images is among the {index.count} in {index.base}: {some(names, 3)}; put them there "
        "or set data.folder.images"
    )


def image_base(root: Path, folder: FolderSpec, split: str) -> Path:
    """Return where images are looked for: ``folder.images`` where that is there, else the root."""
    base = root / folder.images.replace("{split}", split)
    return base if base.is_dir() else root


def _name(file: Path, base: Path) -> str:
    return (file.relative_to(base) if file.is_relative_to(base) else Path(file.name)).with_suffix("").as_posix()


def _of_split(path: Path, found: Annotations, folder: FolderSpec, split: str) -> tuple[list[AnnotatedImage], bool]:
    """Return the images of a split, and whether they are; all where the export has none."""
    if "{split}" in str(folder.annotations):
        return list(found.images), True
    splits = splits_of(found)
    if not splits:
        return list(found.images), False
    chosen = [image for image in found.images if image.split.casefold() == split.casefold()]
    if not chosen:
        raise DataError(f"{path}: no split {split!r}; there are {', '.join(splits)}")
    return chosen, True


def splits_of(found: Annotations) -> list[str]:
    """Return the splits of an export; none where no subset is called as one to train on."""
    splits = list(dict.fromkeys(image.split for image in found.images if image.split))
    return splits if any(split.casefold() in TRAIN for split in splits) else []


def labels_of(parts: Iterable[Annotations]) -> dict[str, object]:
    """Return a declaration for :func:`fullconv.labelmap.parse_label_map`: 0 is the background, then every class in order."""
    parts = list(parts)
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    shapes = (shape for part in parts for image in part.images for shape in image.shapes)
    ignored = any(shape.crowd or special_value(shape.name) == IGNORE for shape in shapes)
    return {BACKGROUND: 0, **numbered(classes), **({IGNORED: "ignore"} if ignored else {})}


def valued(pairs: Iterable[Pair], labels: Mapping[str, Any], rename: Mapping[str, str]) -> list[Pair]:
    """Return pairs whose drawn masks have the values that ``labels`` gives the names of the classes; others as they are.

    Parameters
    ----------
    pairs
        Of files or annotations.
    labels
        ``data.labels``.
    rename
        Classes that count as a label of another name, as ``background`` or as ``ignore``.

    Raises
    ------
    DataError
        When shapes have a class that is in neither; with their number.
    SpecError
        When a class is to count as a label that there is not, or a label has colours only.
    """
    pairs = list(pairs)
    drawn = [pair.mask for pair in pairs if isinstance(pair.mask, DrawnMask)]
    if not drawn:
        return burnt(pairs, values_of(labels, rename)) if any(is_burnt(pair) for pair in pairs) else pairs
    values = values_of(labels, rename)
    _refuse_unknown(drawn, values)
    return [replace(pair, mask=replace(pair.mask, values=values)) if isinstance(pair.mask, DrawnMask) else pair for pair in pairs]


def label_map_of(spec: DataSpec) -> LabelMap:
    """Return the label map of a folder; of annotations and of maps 255 has no ground truth, whether or not ``labels`` says so."""
    found = parse_label_map(spec.labels)
    if spec.folder.cut is not None and found.meaning.get(IGNORE, IGNORE) != IGNORE:
        raise DataError(
            f"data.labels gives {IGNORE} to a class, and in masks of maps that is where the map has no measurement; give the "
            "class another value there"
        )
    if (spec.folder.annotations is None and spec.folder.cut is None) or IGNORE in found.meaning:
        return found
    return LabelMap(found.labels, {**found.meaning, IGNORE: IGNORE})


def values_of(labels: Mapping[str, Any], rename: Mapping[str, str]) -> dict[str, int]:
    """Return the value of each name; errors are those of :func:`valued`.

    Examples
    --------
    >>> values_of({"background": 0, "pet": [1, 2], "border": "ignore"}, {"cat": "pet", "sign": "ignore"})
    {'background': 0, 'pet': 1, 'border': 255, 'cat': 1, 'sign': 255}
    """
    values = {name.strip(): _value(name, entry) for name, entry in labels.items()}  # as the names of shapes are
    known = {BACKGROUND: 0, "ignore": IGNORE, **values}
    rename = {name.strip(): target.strip() for name, target in rename.items()}
    for name, target in rename.items():
        if target not in known:
            raise SpecError(
                f"data.folder.rename: {name} counts as {target!r}, which is not in data.labels; there are {some(list(known))}"
            )
    return values | {name: known[target] for name, target in rename.items()}


def _value(name: str, entry: Any) -> int:
    inner = entry["ignore"] if isinstance(entry, Mapping) and "ignore" in entry else entry
    value = IGNORE if inner == "ignore" else read_codes(name, inner)[0]
    if value >= COLOR:
        raise SpecError(f"data.labels.{name} is a colour, and annotations are drawn as values; give it a number, such as 1")
    return value


def _refuse_unknown(masks: Iterable[DrawnMask], values: Mapping[str, int]) -> None:
    unknown: dict[str, int] = {}
    source = None
    for mask in masks:
        for shape in mask.shapes.shapes:
            if not shape.crowd and shape.name not in values and special_value(shape.name) is None:
                unknown[shape.name] = unknown.get(shape.name, 0) + 1
                source = source or mask.source
    if unknown:
        name, count = next(iter(unknown.items()))
        near = nearest(name, values, 1)
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise DataError(
            f"{source}: {count} shapes of the class {name!r}{more}, which data.labels does not have; add it there, or say "
            f"what it counts as: data.folder.rename: {{{name}: {near[0] if near else 'ignore'}}}"
        )
