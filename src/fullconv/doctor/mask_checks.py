"""Faults of masks' values: what is not in the label map, and how it may have come there.

Each mask with a fault is counted under the first cause that explains it: colours in place of indices, 255 in place of 1, classes
that are nothing but the specks of smoothing, a format with losses, smoothing, and only then values that are simply not known.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from fullconv.data.folder.areas import SOLID, lost_in_jpeg
from fullconv.data.folder.contents import BLEND_SHARE, BLENDS, MOST_SPECKS
from fullconv.data.stored_mask import LOSSY
from fullconv.doctor.context import Context
from fullconv.doctor.facts import Facts, MaskFacts
from fullconv.doctor.finding import Finding, Level, counted, listed
from fullconv.doctor.palette import palette_greys, palette_of
from fullconv.labelmap import COLOR, LabelMap, color_of

Masks = Sequence[tuple[Facts, MaskFacts]]
FRAYED_CODES, FRAYED_SHARE = 6, 0.7
"""A mask is frayed when it has so many unknown codes, and this share of their pixels has neighbours of another code."""


def values(context: Context) -> Iterator[Finding]:
    """Find what masks hold that they should not, each mask once."""
    rest: Masks = list(context.masks())
    for check in (_colors, _greys, _black_and_white, _specks, _lossy, _frayed, _unknown, _smooth, _ranged):
        for finding, masks in check(context, rest):
            yield finding
            told = {(fact.split, fact.name) for fact, _ in masks}
            rest = [(fact, mask) for fact, mask in rest if (fact.split, fact.name) not in told]


def _about(level: Level, kind: str, masks: Masks, what: str, fix: str) -> tuple[Finding, Masks]:
    """Return a finding about some masks; ``{}`` in ``what`` stands for a few of their names."""
    names = tuple(fact.name for fact, _ in masks)
    return Finding(level, kind, len(masks), f"{counted(len(masks), 'mask')} {what.format(listed(names))}", fix, names), masks


def _colors(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find masks of colours where numbers are declared: palette images saved as what their palette shows."""
    found = [(fact, mask) for fact, mask in masks if any(code >= COLOR for code in mask.pixels)]
    if found and not context.label_map.has_colors:
        palette = set(palette_of(context).values())
        known = all(color_of(code) in palette for _, mask in found for code in mask.pixels)
        source = "the palette's colours in place of its indices" if known else "colours of no known palette"
        what = f"with colours, where data.labels has numbers: {{}}; {source}"
        fix = "save the indices (--fix DIR does where other masks hold the palette), or declare the colours in data.labels"
        yield _about("error", "colours for indices", found, what, fix)


def _greys(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find palette images that were converted to grey: the brightness of the palette's colours in place of indices."""
    greys = palette_greys(context)
    indexed = {code for _, mask in masks if mask.mode == "P" for code in mask.pixels}
    found = []
    for fact, mask in masks:
        odd = set(mask.pixels) - {0, 255}
        strange = odd - indexed if indexed else odd - context.label_map.meaning.keys()
        if mask.mode == "L" and strange and odd <= greys:
            found.append((fact, mask))
    if found:
        shown = ", ".join(map(str, sorted({code for _, mask in found for code in mask.pixels})[:6]))
        what = f"with the grey of a palette's colours ({shown}) in place of its indices: {{}}"
        fix = "export them again as palette images or as indices; converting to grey has lost the indices"
        yield _about("error", "grey for indices", found, what, fix)


def _black_and_white(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find masks of 0 and 255 where 255 is no class: a foreground that would be ignored, or is not known."""
    label_map = context.label_map
    ignored = label_map.labels.ignore_index
    if 0 not in label_map.meaning or label_map.meaning.get(255, ignored) != ignored:
        return
    found = [(fact, mask) for fact, mask in masks if set(mask.pixels) == {0, 255}]
    others = [set(mask.pixels) for _, mask in masks]
    alike = all(codes <= {0, 255} for codes in others) or all(codes <= {0, 1} or codes <= {0, 255} for codes in others)
    sure = alike or 255 not in label_map.meaning
    # among masks of many classes one with nothing but background and void may be meant so
    if found and (sure or len(label_map.labels) == 2):
        what = f"with 0 and 255 only, where 255 is {'ignored' if 255 in label_map.meaning else 'not in data.labels'}: {{}}"
        fix = "if 255 is the foreground, say so in data.labels: foreground: 255, or [1, 255] where others have 1"
        yield _about("error" if sure else "warning", "0 and 255 only", found, what, fix)


def _specks(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find masks whose classes are in great part nothing but specks along borders, as a recipe has them that names every grey."""
    meaning = context.label_map.meaning
    pixels: Counter[int] = Counter()
    solid: Counter[int] = Counter()
    for _, mask in masks:
        for part, counts in ((mask.pixels, pixels), (mask.solid, solid)):
            for code, count in part.items():
                if code in meaning:
                    counts[meaning[code]] += count
    specks = {label for label, count in pixels.items() if solid[label] < SOLID * count}
    if len(specks) <= MOST_SPECKS or 2 * sum(pixels[label] for label in specks) > sum(pixels.values()):
        return
    found = [(fact, mask) for fact, mask in masks if len({meaning.get(code) for code in mask.pixels} & specks) > 1]
    if found:
        jpeg = ", saved as JPEG" if all(mask.kind in LOSSY for _, mask in found) else ""
        what = (
            f"whose borders are smooth{jpeg}: {len(specks)} of {len(pixels)} classes occur only as specks along borders, "
            "which are mixtures of the classes beside them: {}"
        )
        fix = (
            "give each real class its range of values, such as background: 0-127 and foreground: 128-255, as `fullconv init` "
            "writes it; or name the real classes only, and --fix DIR gives each speck the nearest of them"
        )
        yield _about("error", "classes of specks", found, what, fix)


def _lossy(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find masks in a format with losses; those that came through unharmed are but a risk."""
    found = [(fact, mask) for fact, mask in masks if mask.kind in LOSSY]
    lost = lost_values(context)
    if found and lost:
        what = (
            f"saved as JPEG, with the values {lost[0]} and {lost[1]}, so near each other that JPEG turns one into the other: {{}}"
        )
        fix = "nothing can undo it, --fix copies them as they are; export them again as PNG from what they were drawn with"
        yield _about("error", "masks lost in JPEG", found, what, fix)
    elif found:
        harmed = any(mask.unknown(context.label_map) for _, mask in found)
        what = f"saved as JPEG, which changes values: {{}}; up to {max(mask.codes for _, mask in found):,} values in one"
        again = (
            "export them again as PNG from what they were drawn with; or --fix DIR gives each speck the nearest class beside it"
        )
        fix = again if harmed else "their values are still known; save them as PNG before that changes (--fix DIR does)"
        yield _about("error" if harmed else "warning", "masks saved as JPEG", found, what, fix)


def lost_values(context: Context) -> tuple[int, int] | None:
    """Return two values that JPEG has turned into each other; see :func:`~fullconv.data.folder.areas.lost_in_jpeg`."""
    pixels: Counter[int] = Counter()
    solid: Counter[int] = Counter()
    for _, mask in context.masks():
        if mask.kind in LOSSY:
            pixels.update(mask.pixels)
            solid.update(mask.solid)
    return lost_in_jpeg(pixels, solid) if pixels else None


def _frayed(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find masks with many unknown values along their borders, between those on either side or scattered."""
    found = [(fact, mask) for fact, mask in masks if is_frayed(mask, context.label_map)]
    for kind, part, cause in (
        ("anti-aliased masks", [(f, m) for f, m in found if _is_smooth(m)], "between those beside them, as smoothing leaves"),
        ("masks through JPEG", [(f, m) for f, m in found if not _is_smooth(m)], "scattered along borders, as JPEG leaves"),
    ):
        if part:
            most = max(len(mask.unknown(context.label_map)) for _, mask in part)
            what = f"with up to {most:,} unknown values {cause}: {{}}"
            fix = (
                "export them again without loss and without smoothing; resize masks by the nearest value; or --fix DIR gives "
                "each speck the nearest class beside it"
            )
            yield _about("error", kind, part, what, fix)


def is_frayed(mask: MaskFacts, label_map: LabelMap) -> bool:
    """Return whether a mask has many unknown codes, nearly all of whose pixels border on pixels of another code."""
    unknown = mask.unknown(label_map)
    not_kept = mask.total - sum(mask.pixels.values())
    return len(unknown) >= FRAYED_CODES and mask.frayed > FRAYED_SHARE * (sum(unknown.values()) + not_kept)


def _is_smooth(mask: MaskFacts) -> bool:
    return mask.blends >= BLENDS and mask.blends > BLEND_SHARE * mask.edges


def _unknown(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find values and colours without a meaning, counted over all masks."""
    pixels: Counter[int] = Counter()
    holders: Counter[int] = Counter()
    first: dict[int, str] = {}
    found = [(fact, mask) for fact, mask in masks if mask.unknown(context.label_map)]
    for fact, mask in found:
        for code, count in mask.unknown(context.label_map).items():
            pixels[code] += count
            holders[code] += 1
            first.setdefault(code, fact.where)
    if found:
        everything = list(context.masks())
        worst = max(pixels, key=lambda code: pixels[code])
        explained = context.label_map.explain(list(pixels.items()), sum(mask.total for _, mask in everything))
        what = f"{explained}; the first is in {first[worst]}, {holders[worst]} of {len(everything)} masks have it"
        fix = "name them in data.labels, or ignore them: NAME: {ignore: VALUE}"
        yield Finding("error", "unknown values", len(found), what, fix, tuple(fact.name for fact, _ in found)), found


def _smooth(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find masks of known values only whose edges pass through the values in between: other classes."""
    found = [(fact, mask) for fact, mask in masks if _is_smooth(mask)]
    if found:
        what = "whose edges run through the values in between, which are other classes, as if they were resized smoothly: {}"
        fix = "look at the contact sheet (--out DIR); if so, resize the masks by the nearest value"
        yield _about("warning", "smooth edges", found, what, fix)


def _ranged(context: Context, masks: Masks) -> Iterator[tuple[Finding, Masks]]:
    """Find smooth masks whose specks have the class of a range."""
    found = [(fact, mask) for fact, mask in masks if not mask.unknown(context.label_map) and has_specks(mask, context.label_map)]
    if found:
        what = f"whose borders are smooth, up to {max(mask.codes for _, mask in found):,} values in one: {{}}"
        fix = "each value has the class of its range in data.labels, the nearer one; --fix DIR writes masks without them"
        yield _about("warning", "smooth borders", found, what, fix)


def has_specks(mask: MaskFacts, label_map: LabelMap) -> bool:
    """Return whether a mask has more than a few values along borders that share their class with others."""
    specks = [code for code, count in mask.pixels.items() if mask.solid.get(code, 0) < SOLID * count]
    return len(specks) > MOST_SPECKS and mask.codes > len({label_map.meaning.get(code) for code in mask.pixels})
