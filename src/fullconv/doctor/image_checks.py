"""What sort of files images are: transparency, palettes, CMYK, pages, depths, suffixes that lie, files passed over."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from fullconv.data.folder.names import suffix_of
from fullconv.data.images import SUFFIXES, UNREAD, Glance, Kind, is_image
from fullconv.doctor.context import Context
from fullconv.doctor.finding import Finding, Level, counted, listed

NAMES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
}
"""What files of a format are called."""
KNOWN = SUFFIXES | {".npy"}
LOOKED_INTO = 20
"""Files of one unknown suffix that are opened to see whether they are images."""


def kinds(context: Context) -> Iterator[Finding]:
    """Find images whose pixels a person may see otherwise than the net does."""
    found = [(fact.name, fact.image.kind) for fact in context.facts if isinstance(fact.image, Glance)]

    def of(chosen: list[str], kind: str, level: Level, what: str, fix: str) -> Iterator[Finding]:
        if chosen:
            said = f"{counted(len(chosen), 'image')} {what}: {listed(chosen)}"
            yield Finding(level, kind, len(chosen), said, fix, tuple(chosen))

    clear = [name for name, kind in found if kind.transparent and context.spec.image.bands is None]
    yield from of(
        clear, "transparency", "warning", "partly transparent, and laid on white", "save them without, if white is not meant"
    )
    cmyk = [name for name, kind in found if kind.mode == "CMYK"]
    yield from of(cmyk, "CMYK", "note", "in CMYK, converted without a colour profile", "save them as RGB for exact colours")
    palette = [name for name, kind in found if kind.mode == "P" and kind.format != "GIF"]
    yield from of(palette, "palette images", "note", "of at most 256 colours (palette)", "see whether they are masks")
    bilevel = [name for name, kind in found if kind.mode == "1"]
    yield from of(bilevel, "1-bit images", "note", "of 1 bit a pixel", "see whether they are masks")
    stacks = [name for name, kind in found if kind.pages > 1 and context.spec.image.pages == "first"]
    yield from of(stacks, "several pages", "note", "of several pages, of which the first is read", "")
    yield from _mixed(found)


def _mixed(found: list[tuple[str, Kind]]) -> Iterator[Finding]:
    """Find folders of several depths or numbers of bands, transparency left out."""
    counts = Counter(
        (kind.bands - (kind.mode in ("LA", "RGBA", "PA")), kind.bits) for _, kind in found if kind.mode not in ("P", "1", "CMYK")
    )
    if len(counts) > 1:
        parts = [f"{count} of {counted(bands, 'band')} and {bits} bits" for (bands, bits), count in counts.most_common(4)]
        few = {sort for sort, _ in counts.most_common()[1:]}
        names = [name for name, kind in found if (kind.bands, kind.bits) in few]
        deep = len({bits for _, bits in counts}) > 1
        level: Level = "warning" if deep else "note"
        what = f"images of several kinds: {', '.join(parts)}"
        yield Finding(level, "mixed images", len(names), what, "see whether all look alike on the contact sheet", tuple(names))


def suffixes(context: Context) -> Iterator[Finding]:
    """Find files that are called as another format than they are."""
    wrong = []
    for fact in context.facts:
        if isinstance(fact.image, Glance) and fact.pair is not None and fact.image.kind.format in NAMES:
            suffix = fact.pair.image.suffix.lower()
            if suffix not in NAMES[fact.image.kind.format] and suffix in SUFFIXES:
                wrong.append((fact.name, fact.image.kind.format, fact.pair.image.name))
    if wrong:
        _, format_, file = wrong[0]
        what = f"{counted(len(wrong), 'image')} called as another format than the file is; the first: {file} is {format_}"
        fix = "read by what they are; other programs may fail, so rename them"
        yield Finding("note", "suffix of another format", len(wrong), what, fix, tuple(name for name, *_ in wrong))


def passed_over(context: Context) -> Iterator[Finding]:
    """Find files beside the images that are images too, but not of a suffix that is looked for."""
    spec = context.spec
    if spec.name != "folder" or spec.root is None or spec.folder.pairs is not None:
        return
    for suffix, files in sorted(unseen(Path(spec.root), [spec.folder.images, spec.folder.masks]).items()):
        called = f"called {suffix}" if suffix else "without a suffix"
        names = [path.name for path in files]
        what = f"{counted(len(files), 'file')} {called} passed over: {listed(names)}"
        fix = f"save them as PNG, TIFF or JPEG; read are {', '.join(sorted(SUFFIXES))}"
        if suffix not in UNREAD:
            fix = "they are images that could be read: give them the suffix of their format"
        yield Finding("warning", "files passed over", len(files), what, fix, tuple(names))


def unseen(root: Path, patterns: list[str]) -> dict[str, list[Path]]:
    """Return the files below the folders of ``patterns`` that are images of a suffix that is not looked for, by suffix."""
    tops = {root / pattern.partition("{split}")[0] for pattern in patterns}
    by_suffix: dict[str, set[Path]] = defaultdict(set)
    for top in tops:
        for path in _not_looked_for(top):
            if not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(root).parts):
                by_suffix[path.suffix.lower()].add(path)
    found = {suffix: sorted(paths) for suffix, paths in by_suffix.items()}
    return {suffix: paths for suffix, paths in found.items() if suffix in UNREAD or any(map(is_image, paths[:LOOKED_INTO]))}


def _not_looked_for(top: Path) -> Iterator[Path]:
    """Yield the files below a folder that are neither images nor arrays by their suffix."""
    for folder, _, names in os.walk(top):
        for name in names:
            if suffix_of(name).lower() not in KNOWN and (path := Path(folder, name)).is_file():
                yield path
