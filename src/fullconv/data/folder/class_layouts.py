"""Layouts in which an image has one mask a class: in folders, by the end of the name, or in a folder of the image's own."""

from collections.abc import Iterator, Sequence

from fullconv.data.folder.names import stem_of, without_suffix
from fullconv.data.folder.relations import class_endings, mask_like, relations
from fullconv.labels import is_background
from fullconv.spec import FolderSpec

MOST_CLASSES = 60
Specs = Iterator[tuple[FolderSpec, dict[str, object]]]
"""Folders, and what the values of their masks mean where that is known."""


def class_layouts(images: Sequence[str], masks: Sequence[str], plain: FolderSpec) -> Specs:
    """Yield the layouts of one file a class that fit names below the folders of ``plain``."""
    found = class_endings(images, masks)
    if found is not None:
        separator, classes = found
        yield _spec(plain, classes, {"pattern": f"{{stem}}{separator}{{class}}"})
    tops = sorted({name.split("/")[0] for name in masks if "/" in name})
    if not len(tops) >= 1 or any("/" not in name for name in masks):
        return
    by_top: dict[str, list[str]] = {top: [] for top in tops}
    for name in masks:
        top, _, rest = name.partition("/")
        by_top[top].append(rest)
    keys = {without_suffix(name) for name in images}
    if 2 <= len(tops) <= MOST_CLASSES and all(_among(names, keys) for names in by_top.values()):
        yield _spec(plain, tops, {"masks": f"{plain.masks}/{{class}}"})
    elif 2 <= len(tops) <= MOST_CLASSES:
        shared = [relations(images, names)[:1] for names in by_top.values()]
        if all(shared) and len({pair for pairs in shared for pair in pairs}) == 1:
            image, mask = shared[0][0]
            yield _spec(plain, tops, {"masks": f"{plain.masks}/{{class}}", "image_pattern": image, "pattern": mask})
    classes = tuple(sorted({stem_of(name) for names in by_top.values() for name in names}))
    own = len({*tops} & {stem_of(name) for name in images})
    if 2 * own >= len(keys) and len(classes) <= MOST_CLASSES and not any(mask_like(name) for name in classes):
        yield _spec(plain, classes, {"pattern": "{stem}/{class}"})


def _among(names: Sequence[str], keys: set[str]) -> bool:
    own = {without_suffix(name) for name in names}
    return bool(own) and own <= keys


def _spec(plain: FolderSpec, classes: Sequence[str], update: dict[str, object]) -> tuple[FolderSpec, dict[str, object]]:
    named = tuple(name for name in classes if not is_background(name))
    folder = plain.model_copy(update={**update, "classes": named})
    labels: dict[str, object] = {"background": 0}
    labels.update({name: value for value, name in enumerate(named, start=1)})
    return folder, labels
