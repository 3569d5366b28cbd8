"""One mask as it is looked at before anything says what it means: its codes, its areas, its palette, what its alpha hides."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.data.drawn_mask import DrawnMask
from fullconv.data.folder.areas import SOLID
from fullconv.data.mask_runs import Runs, inner_pixels
from fullconv.data.palettes import Palette
from fullconv.data.rasters.windows import WindowMask
from fullconv.data.stored_mask import LOSSY, OPAQUE, Stored
from fullconv.labelmap import COLOR, code_of_color, codes_of

MOST_CODES = 255
"""That masks of one data set may hold."""
HIDDEN = 0.05
"""The share of pixels that a colour hides and shows at once, from which on alpha tells apart what colours do not."""
PHOTOGRAPH = 4096
"""Codes in one mask that nothing but a photograph has."""


@dataclass
class MaskLook:
    """One mask."""

    size: tuple[int, int]
    kind: str
    lossy: bool
    pixels: dict[int, int]
    solid: dict[int, int]
    palette: Palette | None
    hidden: dict[int, int]
    blends: int
    edges: int
    photograph: bool = False
    channels: bool = False

    @property
    def hides_several(self) -> bool:
        """Whether alpha hides areas of several colours."""
        return sum(count > HIDDEN * sum(self.pixels.values()) for count in self.hidden.values()) > 1

    @property
    def cut_out(self) -> bool:
        """Whether what alpha shows is a photograph: many colours, of which few pixels have neighbours of their own."""
        shown = {code: count for code, count in self.pixels.items() if 2 * self.hidden.get(code, 0) < count}
        return len(shown) > MOST_CODES and sum(self.solid.get(code, 0) for code in shown) < SOLID * sum(shown.values())


def look_at(stored: Stored) -> MaskLook:
    """Return what one mask shows; of a photograph without transparency its codes alone."""
    plain = stored.undeclared()
    codes = plain if plain.ndim == 2 else codes_of(plain)
    runs = Runs.of(codes)
    kind = "palette" if stored.palette is not None else "values" if plain.ndim == 2 else "colours"
    pixels = dict(zip(runs.codes.tolist(), runs.pixels.tolist(), strict=True))
    look = MaskLook(stored.size, kind, stored.kind in LOSSY, pixels, {}, None, {}, runs.blends(), runs.edges)
    look.photograph = len(pixels) > PHOTOGRAPH
    look.channels = stored.plain.ndim == 3
    if look.photograph and stored.alpha is None:
        return look
    look.solid = inner_pixels(codes)
    if stored.palette is not None:
        table = stored.palette.tolist()
        used = {index: tuple(table[index]) for index in pixels if 0 <= index < len(table)}
        look.palette = Palette(used, len(table))
    if stored.alpha is not None:
        found, counts = np.unique(codes[stored.alpha < OPAQUE], return_counts=True)
        look.hidden = dict(zip(found.tolist(), counts.tolist(), strict=True))
    return look


def grey_as_colors(looks: Sequence[tuple[Path | DrawnMask | WindowMask, MaskLook]]) -> None:
    """Take masks of three equal channels for colours where others have colours: one may be black all over."""
    if not any(look.kind == "colours" for _, look in looks):
        return
    for _, look in looks:
        if look.channels and look.kind == "values":
            to_colors(look)
            look.kind = "colours"


def to_colors(look: MaskLook) -> None:
    """Put colours in the place of indices and of greys."""
    if look.kind == "colours":
        return
    used = look.palette.used if look.palette else {code: (code, code, code) for code in look.pixels}
    turned = {index: code_of_color(color) for index, color in used.items()}
    for part in (look.pixels, look.solid):
        moved: Counter[int] = Counter()
        for index, count in part.items():
            moved[turned.get(index, COLOR)] += count
        part.clear()
        part.update(moved)
