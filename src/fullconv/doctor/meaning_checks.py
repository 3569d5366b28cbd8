"""Faults of what masks are said to mean: palettes that differ, alpha that nobody reads, objects taken for void, shifted names.

All of them would train without a complaint, on wrong labels.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fullconv.data.folder.label_names import IGNORED, NameList, find_names, fit_names
from fullconv.data.folder.mask_look import HIDDEN
from fullconv.data.folder.void import SOLID_VOID, TOPS, evenly_spread
from fullconv.data.palettes import Palette, disagreement
from fullconv.doctor.context import Context
from fullconv.doctor.finding import Finding, counted, listed
from fullconv.errors import DataError
from fullconv.labelmap import ALPHA, COLOR, code_of_color, show_code
from fullconv.labels import VOID_COLOR, is_background

WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def palettes(context: Context) -> Iterator[Finding]:
    """Find palettes of which one index means different colours, or one colour different indices, from file to file."""
    found = [(fact, mask.palette) for fact, mask in context.masks() if mask.palette is not None]
    if not found:
        return
    by_value = context.label_map.has_values
    if by_value and all(palette.grey for _, palette in found):  # greys stand for values, also those of grey images
        found += [
            (fact, Palette({code: (code, code, code) for code in mask.pixels}, 256))
            for fact, mask in context.masks()
            if mask.palette is None and all(0 <= code <= 255 for code in mask.pixels)
        ]
    clash = disagreement([palette for _, palette in found], context.label_map.meaning.get if by_value else lambda index: index)
    if clash is None:
        return
    first, second, how = clash
    names = (found[first][0].name, found[second][0].name)
    what = f"the palettes of masks differ: {how} ({names[0]}, {names[1]})"
    if not by_value:
        yield Finding("note", "palettes that differ", len(found), f"{what}; their colours are read, not the indices", "", names)
        return
    fix = (
        "give colours in data.labels in place of indices, NAME: {color: [R, G, B]}, as `fullconv init` writes them anew; where "
        "the indices are right whatever the colours, save the masks as grey images"
    )
    yield Finding("error", "palettes that differ", len(found), what, fix, names)


def alpha(context: Context) -> Iterator[Finding]:
    """Find masks whose alpha channel tells apart what data.labels does not, and those without alpha where it is declared."""
    masks = list(context.masks())
    if context.label_map.has_alpha:
        opaque = [fact.name for fact, mask in masks if mask.mode not in WITH_ALPHA]
        if opaque:
            what = (
                f"{counted(len(opaque), 'mask')} without alpha, where data.labels speaks of it: {listed(opaque)}; all is visible"
            )
            yield Finding("warning", "masks without alpha", len(opaque), what, "export them as the others", tuple(opaque))
        return
    found = []
    for fact, mask in masks:
        both = sum(min(hidden, mask.pixels.get(code, 0) - hidden) for code, hidden in mask.hidden.items())
        if both >= HIDDEN * mask.total / 2:
            found.append(fact.name)
    if found:
        what = f"{counted(len(found), 'mask')} whose alpha channel tells apart what data.labels takes for one: {listed(found)}"
        fix = (
            "the object seems to be in the alpha channel: labels: {background: {alpha: 0-127}, object: {alpha: 128-255}}; where "
            "alpha means nothing, save the masks without it"
        )
        yield Finding("error", "classes in the alpha channel", len(found), what, fix, tuple(found))


def ignored_objects(context: Context) -> Iterator[Finding]:
    """Find 255 (or 65535) that is ignored though it fills areas and covers more than the classes, or ends a spread of greys."""
    label_map = context.label_map
    if context.spec.name != "folder":
        return
    pixels: Counter[int] = Counter()
    solid: Counter[int] = Counter()
    for _, mask in context.masks():
        if len(mask.pixels) > 1:  # masks of void alone are told of elsewhere
            pixels.update(mask.pixels)
            solid.update(mask.solid)
    values = sorted(code for code in pixels if code < ALPHA)
    top = next((code for code in TOPS if pixels[code] and code not in label_map.large), None)
    if top is None or label_map.meaning.get(top) != label_map.labels.ignore_index or set(values) <= {0, top}:
        return
    if set(values) <= {0, 1, top} and not any({1, top} <= mask.pixels.keys() for _, mask in context.masks()):
        return  # 0 and 1 in some masks, 0 and 255 in others: told already
    left_over = {label for label, name in enumerate(label_map.labels.names) if is_background(name)} | {label_map.meaning.get(0)}
    objects = sum(count for code, count in pixels.items() if code != top and label_map.meaning.get(code) not in left_over)
    fills = solid[top] > SOLID_VOID * pixels[top]
    spread = evenly_spread(values)
    drawn = any(mask.palette and mask.palette.used.get(top) == VOID_COLOR for _, mask in context.masks())
    if fills and not drawn and (spread or pixels[top] > objects):
        share = 100 * pixels[top] / sum(pixels.values())
        why = "it ends an even spread of greys" if spread else "more than all classes but the background together"
        what = f"{top} is ignored, but it covers {share:.1f} % of the pixels in whole areas, {why}: it may be a class"
        fix = f"name it in data.labels (foreground: {top}); or if it has no ground truth: void: {{ignore: {top}, large: true}}"
        yield Finding("error", "ignored objects", 1, what, fix)


def names(context: Context) -> Iterator[Finding]:
    """Find class names that belong to other values by the list beside the masks, and names that are no class."""
    label_map = context.label_map
    if IGNORED in label_map.labels.names:
        what = f"{IGNORED} is a class in data.labels; in LabelMe's lists it has the value -1, and the next name is that of 0"
        fix = "move every name by one value, or write the recipe anew with `fullconv init`; for no ground truth: void: ignore"
        yield Finding("error", "names of other values", 1, what, fix, (IGNORED,))
        return
    root = context.spec.root
    if context.spec.name != "folder" or root is None or context.spec.folder.annotations is not None:
        return
    try:
        found = find_names(Path(root))
    except DataError as error:
        yield Finding("note", "list of names", 1, str(error), "data.labels counts, not the list")
        return
    if found is not None:
        yield from _compared(context, found)


def _compared(context: Context, found: NameList) -> Iterator[Finding]:
    label_map = context.label_map
    held = {code for one in context.surveys() for code in one.pixels}
    own = {code: label_map.name_of(code) for code in label_map.meaning if code < ALPHA or code >= COLOR}
    used = [name for name in label_map.labels.names if name in found.names]
    if found.colors and label_map.has_colors:
        right = {code_of_color(color): name for color, name in found.colors.items()}
        why = f"{found.path.name} states the colours"
    else:
        values = sorted(code for code in held if 0 <= code < ALPHA and code not in TOPS)
        top = next((code for code in TOPS if code in held), None)
        try:
            fit = fit_names(found, values, top, None)
        except DataError as error:
            if not used:
                fix = "`fullconv init` writes the names when it is told which belong to which values"
                yield Finding("warning", "names that are not used", 1, str(error), fix)
            return
        right, why = fit.names, fit.why
    wrong = [
        (code, own[code], right[code])
        for code in sorted(held & own.keys() & right.keys())
        if own[code] != right[code] and own[code] in found.names and own[code] != "ignore"
    ]
    if wrong:
        code, mine, theirs = wrong[0]
        what = f"{show_code(code)} is called {mine} in data.labels, but {theirs} by {found.path.name}: {why}"
        fix = (
            "compare them with the masks; `fullconv init` writes the names anew; if data.labels is right, mend or remove the list"
        )
        yield Finding("error", "names of other values", len(wrong), what, fix, tuple(name for _, name, _ in wrong))
