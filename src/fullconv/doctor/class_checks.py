"""Masks of one file a class that overlap as no classes do, such as inverted ones."""

from collections.abc import Iterator
from pathlib import Path

from fullconv.data.folder.class_contents import MEND, class_contents
from fullconv.data.folder.class_masks import parts_by_key
from fullconv.doctor.context import Context
from fullconv.doctor.finding import Finding
from fullconv.errors import DataError


def class_masks(context: Context) -> Iterator[Finding]:
    """Find splits in which the masks of classes cover each other nearly everywhere."""
    folder = context.spec.folder
    if context.spec.name != "folder" or not folder.classes:
        return
    for split in dict.fromkeys(
        source.split if "{split}" in f"{folder.masks}{folder.pattern}" else "" for source in context.sources
    ):
        try:
            found = class_contents(parts_by_key(Path(str(context.spec.root)), folder, split))
        except DataError:  # told where the masks are put together
            continue
        if found.doubt:
            yield Finding("warning", "masks of classes overlap", found.images, found.doubt, MEND)
