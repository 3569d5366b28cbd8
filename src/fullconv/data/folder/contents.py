"""What the masks of a folder hold: values or colours with their pixels, specks that smoothing leaves, alpha, palettes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fullconv.data.drawn_mask import DrawnMask
from fullconv.data.folder.areas import JPEG_ERROR, REST, areas, lost_in_jpeg, with_ends
from fullconv.data.folder.mask_look import HIDDEN, MOST_CODES, MaskLook, grey_as_colors, look_at, to_colors
from fullconv.data.palettes import Palette, disagreement
from fullconv.data.rasters.windows import WindowMask
from fullconv.data.stored_mask import stored_at
from fullconv.errors import DataError
from fullconv.labelmap import ALPHA, COLOR, color_of, show_codes

SAMPLE = 400
"""Masks that are looked into, spread over the folder."""
MOST_SPECKS = 8
"""Values that occur only as specks and still may be classes; more of them are what smoothing leaves."""
BLENDS, BLEND_SHARE = 20, 0.3
"""So many runs, and this share of all edges, are values between their neighbours where masks are smooth; 3 % at most on VOC and
NYUDv2."""


@dataclass(frozen=True)
class Contents:
    """What the masks that were looked into hold.

    Attributes
    ----------
    pixels
        Of every code (see :mod:`fullconv.labelmap`), in the order that classes are to have.
    masks
        How many were looked into.
    sizes
        (height, width) of each.
    solid
        Of every code the pixels whose four neighbours have it too.
    blends, edges
        See :class:`~fullconv.data.mask_runs.Runs`.
    total
        How many masks there are.
    lossy
        How many of those looked into are JPEG.
    palette
        The colour of every index, where palettes agree.
    by_color
        Why indices are not to be trusted and colours are taken in their place; empty where they are.
    apart
        Whether no mask holds both 1 and 255.
    """

    pixels: dict[int, int]
    masks: int
    sizes: list[tuple[int, int]]
    solid: dict[int, int] = field(default_factory=dict)
    blends: int = 0
    edges: int = 0
    total: int = 0
    lossy: int = 0
    palette: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    by_color: str = ""
    apart: bool = False

    @property
    def colors(self) -> bool:
        """Whether the masks store colours."""
        return any(code >= COLOR for code in self.pixels)

    @property
    def specks(self) -> list[int]:
        """Codes whose pixels rarely have neighbours of their own."""
        filled = set(areas(self.pixels, self.solid))
        return [code for code in self.pixels if code not in filled]

    @property
    def classes(self) -> list[int]:
        """Of smooth masks the codes that are no specks, and values far beyond them."""
        filled = areas(self.pixels, self.solid)
        return filled if self.colors else with_ends(filled, self.pixels)

    @property
    def lost(self) -> tuple[int, int] | None:
        """Two values that JPEG has turned into each other; see :func:`~fullconv.data.folder.areas.lost_in_jpeg`."""
        return lost_in_jpeg(self.pixels, self.solid) if self.lossy else None

    @property
    def smooth(self) -> bool:
        """Whether codes lie along the borders of others, as JPEG and smooth resizing leave them."""
        specks = self.specks
        blended = self.blends >= BLENDS and self.blends > BLEND_SHARE * self.edges
        many = len(specks) > MOST_SPECKS or (len(specks) >= 3 and (blended or self.lossy > 0))
        return many and sum(self.pixels[code] for code in specks) < sum(self.pixels.values()) / 2

    @property
    def two_ends(self) -> tuple[int, int] | None:
        """The two values of masks that are smooth, or JPEG, and otherwise black and white; ``None`` where they are not."""
        codes = sorted(self.pixels)
        if not (self.smooth or self.lossy) or len(codes) < 3 or codes[0] < 0 or codes[-1] > 65535 or codes[-1] - codes[0] < 16:
            return None
        common = max(codes, key=lambda code: self.pixels[code])
        far = [code for code in codes if 2 * abs(code - common) >= codes[-1] - codes[0]]
        if not far:
            return None
        low, high = sorted((common, max(far, key=lambda code: self.pixels[code])))
        near = min((high - low) / 4, JPEG_ERROR if self.lossy else REST)
        others = [code for code in self.classes if min(abs(code - low), abs(code - high)) > near]
        return None if others or with_ends((low, high), self.pixels) != [low, high] else (low, high)


def look_into(masks: Sequence[Path | DrawnMask | WindowMask], lenient: bool = False, pages: str | None = None) -> Contents:
    """Return what masks hold: palette images by their indices where palettes agree, equal channels as grey.

    Parameters
    ----------
    masks
        Their files.
    lenient
        Pass over masks that cannot be read and over kinds of which there are fewer: what is wrong with them is told elsewhere.

    pages
        As ``FolderSpec.mask_pages``.

    Raises
    ------
    DataError
        When a mask cannot be read, or they hold so many values that they cannot be labels.
    """
    chosen = [masks[int(i)] for i in np.unique(np.linspace(0, len(masks) - 1, min(SAMPLE, len(masks))).round())]
    looks: list[tuple[Path | DrawnMask | WindowMask, MaskLook]] = []
    for path in chosen:
        try:
            looks.append((path, look_at(stored_at(path, pages))))
        except DataError:
            if not lenient:
                raise
    if not looks:
        raise DataError(f"none of the {len(masks)} masks beside {masks[0]} can be read; they are damaged or no images")
    found = _by_alpha([look for _, look in looks], lenient) or _by_kind(looks, lenient)
    if not lenient and len(found.pixels) > MOST_CODES + 1 and not found.smooth:
        raise DataError(_too_many(looks[-1][0], looks[-1][1].kind))
    return replace(found, total=len(masks))


def _by_alpha(looks: Sequence[MaskLook], lenient: bool) -> Contents | None:
    """Return what masks hold where their alpha says it: alone, or beside colours that hide and show; ``None`` elsewhere."""
    seen = [look for look in looks if look.hidden and sum(look.hidden.values()) < sum(look.pixels.values())]
    if not seen:
        return None
    total = sum(sum(look.pixels.values()) for look in looks)
    hidden = sum(sum(look.hidden.values()) for look in looks)
    all_codes = {code for look in looks for code in look.pixels}
    sizes = [look.size for look in looks]
    if len(all_codes) == 1 or any(look.cut_out for look in seen):
        return Contents({ALPHA: hidden, ALPHA + 255: total - hidden}, len(looks), sizes)
    counts = [(look.hidden.get(code, 0), count) for look in seen for code, count in look.pixels.items()]
    both = sum(min(hides, count - hides) for hides, count in counts)
    covered = {code for look in seen for code, count in look.hidden.items() if 2 * count > look.pixels[code]}
    if both < HIDDEN * total and len(covered) < 2:
        return None  # one colour under alpha 0 says what alpha says
    if both < HIDDEN * total and any(look.hides_several for look in seen):
        if lenient:
            return None
        raise DataError(
            f"alpha 0 hides several colours of one mask ({show_codes(sorted(covered), 4)}): save the masks without alpha where "
            "they are classes, or with one colour under alpha 0 where they are not"
        )
    shown: Counter[int] = Counter()
    for look in looks:
        shown.update({code: count - look.hidden.get(code, 0) for code, count in look.pixels.items()})
    kept = {code: count for code, count in sorted(shown.items()) if count}
    return Contents({ALPHA: hidden} | kept, len(looks), sizes, {**kept, ALPHA: hidden})


def _by_kind(looks: Sequence[tuple[Path | DrawnMask | WindowMask, MaskLook]], lenient: bool) -> Contents:
    grey_as_colors(looks)
    kinds = Counter(look.kind for _, look in looks)
    palettes = [(path, look.palette) for path, look in looks if look.palette is not None]
    if palettes and all(palette.grey for _, palette in palettes):  # greys stand for values, also those of grey images
        palettes += [
            (path, Palette({code: (code, code, code) for code in look.pixels}, 256))
            for path, look in looks
            if look.kind == "values" and all(0 <= code <= 255 for code in look.pixels)
        ]
    clash = disagreement([palette for _, palette in palettes])
    reason = ""
    if clash:
        first, second, how = clash
        reason = f"the palettes of {palettes[first][0].name} and {palettes[second][0].name} differ: {how}"
    elif {"palette", "colours"} <= kinds.keys() and not lenient:
        reason = f"{kinds['colours']} of {len(looks)} masks store colours, the others indices"
    most = kinds.most_common(1)[0][0]
    kept = [(path, look) for path, look in looks if reason or not lenient or look.kind == most]
    if reason and not all(look.palette or look.kind == "colours" or palettes[-1][1].grey for _, look in kept):
        if lenient:
            return _summed(kept, "", {}, lenient)
        raise DataError(
            f"{palettes[0][0]}: {reason}; and other masks store values without a palette, so neither indices nor colours say "
            "which class is which; save all masks in one way"
        )
    if reason:
        for _, look in kept:
            to_colors(look)
    return _summed(kept, reason, {} if reason else _common_palette(palette for _, palette in palettes), lenient)


def _common_palette(palettes: Iterable[Palette]) -> dict[int, tuple[int, int, int]]:
    found: dict[int, tuple[int, int, int]] = {}
    for palette in palettes:
        found = {**palette.used, **found}
    return found


def _summed(
    looks: Sequence[tuple[Path | DrawnMask | WindowMask, MaskLook]],
    reason: str,
    palette: dict[int, tuple[int, int, int]],
    lenient: bool,
) -> Contents:
    pixels: Counter[int] = Counter()
    solid: Counter[int] = Counter()
    for path, look in looks:
        pixels.update(look.pixels)
        solid.update(look.solid)
        if look.photograph and not lenient:
            raise DataError(_too_many(path, look.kind))
    # colours of palettes keep the order that the first masks have them in, unless they are greys, which have one themselves
    grey = all(len(set(color_of(code))) == 1 for code in pixels if code >= COLOR)
    order = sorted(pixels) if not reason or grey else list(pixels)
    return Contents(
        {code: pixels[code] for code in order},
        len(looks),
        [look.size for _, look in looks],
        dict(solid),
        sum(look.blends for _, look in looks),
        sum(look.edges for _, look in looks),
        lossy=sum(look.lossy for _, look in looks),
        palette=palette,
        by_color=reason,
        apart=not any({1, 255} <= look.pixels.keys() for _, look in looks),
    )


def _too_many(path: Path | DrawnMask | WindowMask, kind: str) -> str:
    return (
        f"{path}: the masks hold more than {MOST_CODES} different {'colours' if kind == 'colours' else 'values'}, so they "
        "are no labels as they are: saved as JPEG, resized with smoothing, or instance numbers? Save them without loss, "
        "one value a class"
    )
