"""What of an export of an annotation tool is not drawn, or drawn coarsely: images that are missing, shapes without area."""

from collections.abc import Iterator
from pathlib import Path

from fullconv.data.folder.annotations import annotated_pairs, annotations_path, load
from fullconv.doctor.context import Context
from fullconv.doctor.finding import Finding, counted, listed
from fullconv.formats.settle import same_but_case


def annotations(context: Context) -> Iterator[Finding]:
    """Find listed images that are not there, images that nobody annotated, and shapes that are left out or drawn as boxes."""
    folder, root = context.spec.folder, Path(str(context.spec.root))
    if context.spec.name != "folder" or folder.annotations is None:
        return
    missing: dict[str, None] = {}
    unlisted = 0
    told: dict[str, int] = {}
    names: dict[str, None] = {}
    for split in (source.split for source in context.sources):
        found = annotated_pairs(root, folder, split)
        missing |= dict.fromkeys(found.missing)
        unlisted = unlisted + found.unlisted if "{split}" in folder.images else found.unlisted
        read = load(annotations_path(root, folder, split), folder.class_attribute)
        told |= read.notes
        names |= dict.fromkeys(folder.rename.get(name, name) for name in read.classes)
    for group in same_but_case(names):
        what = f"classes that differ by case only: {listed([*group])}"
        fix = f"if they are one, say so by data.folder.rename: {{{group[1]}: {group[0]}}}"
        yield Finding("warning", "classes that differ by case", len(group), what, fix, group)
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        what = f"{counted(len(missing), 'image')} that the annotations list and that {verb} not there: {listed([*missing])}"
        yield Finding("warning", "annotated images missing", len(missing), what, "put them back", (*missing,))
    if unlisted:
        what = f"{counted(unlisted, 'image')} that the annotations do not list, left out"
        yield Finding("note", "images without annotations", unlisted, what, "")
    for what, count in told.items():
        yield Finding("note", "annotated shapes", count, f"{count} × {what}", "")
