"""Guess how the images of a folder are read where they are no 8-bit colour, for ``fullconv init`` to write down.

Bands are proposed as they are. A range is that of the bits that are used, or where images lie in a small part of it from a low
to a high percentile. What several pages are is never guessed of images; of masks it is where each page marks a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import Bands, bands_of, read_image
from fullconv.data.mask_pages import marks_classes
from fullconv.data.ranges import DEEP, prepared, used_bands
from fullconv.data.rasters.windows import MapWindow
from fullconv.errors import DataError
from fullconv.spec import ImageSpec
from fullconv.spec.image import PLAIN, Limits

SAMPLE = 24
"""Images that are looked into, spread over the folder."""
MASKS = 6
PERCENTILES = (0.5, 99.5)
BITS = (8, 10, 12, 14, 16)
FILLED = 0.3
"""Share of a range of bits that the upper percentile must reach for that range to be proposed."""


@dataclass(frozen=True)
class ImageGuess:
    """How images are read, mean and standard deviation of bands that are no colour, and what a person should know of it."""

    spec: ImageSpec = PLAIN
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pages: int = 1
    bands_note: str = ""
    range_note: str = ""

    @property
    def remarks(self) -> list[str]:
        """What a person must decide before training."""
        if self.pages == 1:
            return []
        return [
            f"image files have {self.pages} pages or frames, and training stops until data.image.pages says what they are: first "
            "reads the first, bands takes each for a band"
        ]

    @property
    def lines(self) -> list[str]:
        """The lines of a recipe below ``data``; none for usual images."""
        spec, found = self.spec, []
        if spec.bands is not None:
            found.append(f"    bands: {list(spec.bands)}  # {self.bands_note}")
        if spec.range is not None:
            limits = spec.limits or ()
            pairs = [[_number(value) for value in pair] for pair in limits]
            found.append(f"    range: {pairs if len(pairs) > 1 else pairs[0]}  # become 0 and 255; {self.range_note}")
        if self.pages > 1:
            found.append(
                f"    pages: null  # files have {self.pages}: first reads the first, bands takes each for a band; say which"
            )
        if found:
            found.insert(0, "  image:  # how files are read that are not 8-bit colour; the trained model keeps it")
        if self.mean:
            found.append(
                f"  mean: {{rgb: {list(self.mean)}}}  # of each band, as 0 to 255, over the images that were looked into"
            )
            found.append(f"  std: {{rgb: {list(self.std)}}}")
        return found


@dataclass
class _Found:
    """What the images of a folder store; ``names`` are those of ``deep``, ``shallow`` have 8 bits."""

    counts: list[int] = field(default_factory=list)
    shallow: list[Path | MapWindow] = field(default_factory=list)
    plain: int = 0
    pages: int = 1
    deep: list[Bands] = field(default_factory=list)
    names: list[Path | MapWindow] = field(default_factory=list)


def guess_image(images: Sequence[Path | MapWindow]) -> ImageGuess:
    """Return how the images of a folder are read; damaged ones are passed over, they are told of elsewhere.

    Raises
    ------
    DataError
        When some have 8 bits and others more, whose range has to be declared: no range serves both.
    """
    found = _Found()
    chosen = [images[int(at)] for at in np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).round())]
    for path in chosen:
        try:
            looked = bands_of(path)
        except DataError:
            continue
        found.pages = max(found.pages, looked.pages)
        if looked.stored is None:
            found.plain += 1
            found.shallow.append(path)
            found.counts.append(3)
            continue
        found.counts.append(used_bands(looked.stored))
        found.deep.append(looked)
        found.names.append(path)
        if looked.stored.values.dtype in (np.uint8, np.bool_):
            found.shallow.append(path)
    bands, bands_note = _bands(found.counts)
    _refuse_mixed(found, bands)
    limits, range_note = _range(found.deep, bands) if not found.plain else (None, "")
    spec = ImageSpec(bands=bands, range=limits)
    mean, std = _statistics(chosen, spec) if spec.channels != 3 and found.pages == 1 else ((), ())
    return ImageGuess(spec, mean, std, found.pages, bands_note, range_note)


def _refuse_mixed(found: _Found, bands: tuple[int, ...] | None) -> None:
    """Stop where images of 8 bits lie beside deeper ones that are not read without a range."""
    for path, looked in zip(found.names, found.deep, strict=True):
        if not found.shallow or path in found.shallow or looked.stored is None or looked.pages > 1:
            continue
        try:
            prepared(looked.stored, ImageSpec(bands=bands), str(path))
        except DataError as error:
            kind = looked.stored.values.dtype
            raise DataError(
                f"images of 8 bits ({found.shallow[0]}) beside others of {8 * kind.itemsize} bits ({path}), for which no "
                "data.image.range serves both; save all at one depth, or give those of one depth"
            ) from error


def guess_mask_pages(masks: Sequence[Path]) -> str | None:
    """Return ``classes`` where the masks are files of several pages that mark a class each; ``None`` where they have one page.

    Raises
    ------
    DataError
        When they have several pages and those are something else.
    """
    chosen = [masks[int(at)] for at in np.unique(np.linspace(0, len(masks) - 1, min(MASKS, len(masks))).round())]
    marked = []
    for path in chosen:
        if path.suffix.lower() not in (".tif", ".tiff"):
            return None
        try:
            if bands_of(path).pages == 1:
                return None
            marked.append(marks_classes(path))
        except DataError:
            continue
    if not marked:
        return None
    if not all(marked):
        raise DataError(
            f"{chosen[0]}: a mask of several pages that do not each mark one class (0 and one other value, no pixel twice); save "
            "the page that holds the labels as a file of its own"
        )
    return "classes"


def _bands(counts: Sequence[int]) -> tuple[tuple[int, ...] | None, str]:
    """Return the bands that are read, where they are not colour or grey in every file."""
    several = sorted(set(counts))
    if not several or all(count in (1, 3) for count in several):
        return None, ""
    if len(several) == 1:
        every = tuple(range(1, several[0] + 1))
        shorter = "[1, 2, 3] reads the first three as colour" if len(every) > 3 else "[1] reads the first as grey"
        return every, f"all of them, counted from 1; {shorter}, if {several[0]} is transparency or not wanted"
    if several[0] >= 3:
        said = " or ".join(map(str, several))
        return (1, 2, 3), f"files have {said} bands, and these three are in all"
    return None, ""


def _range(deep: Sequence[Bands], bands: tuple[int, ...] | None) -> tuple[Limits | tuple[Limits, ...] | None, str]:
    """Return the range of values and why; ``None`` for 8 bits."""
    stored = [looked.stored for looked in deep if looked.stored is not None]
    if not stored or all(each.values.dtype == np.uint8 for each in stored):
        return None, ""
    declared = {each.declared for each in stored}
    if len(declared) == 1 and None not in declared:
        (said,) = declared
        return said, "as the files' tags say"
    columns = _columns([(each.values, each.nodata) for each in stored], bands)
    least, most = (float(f(np.array([f(column) for column in columns]))) for f in (np.min, np.max))
    span = f"found: {_number(least)} to {_number(most)}"
    whole = stored[0].values.dtype.kind in "iub"
    upper = float(max(np.percentile(column, PERCENTILES[1]) for column in columns))
    if least >= 0 and not whole and most <= 1:
        return (0.0, 1.0), span
    if least >= 0 and whole and most <= DEEP:
        bits = next(bits for bits in BITS if most <= (1 << bits) - 1)
        if upper >= FILLED * (1 << bits):
            return (0.0, float((1 << bits) - 1)), f"{bits} bits; {span}"
    pairs = tuple(_percentiles(column) for column in columns)
    note = f"percentiles {PERCENTILES[0]:g} and {PERCENTILES[1]:g} of {len(stored)} images; {span}"
    return (pairs[0] if len(pairs) == 1 else pairs), note


def _columns(
    stored: Sequence[tuple[NDArray[np.generic], float | None]], bands: tuple[int, ...] | None
) -> list[NDArray[np.float64]]:
    """Return the numbers of each band over all images, without holes."""
    least = min(values.shape[2] for values, _ in stored)
    places = [band - 1 for band in bands] if bands is not None else list(range(3 if least >= 3 else 1))
    found = []
    for place in places:
        parts = []
        for values, nodata in stored:
            if place < values.shape[2]:
                numbers = values[..., place].astype(np.float64).ravel()
                parts.append(numbers[np.isfinite(numbers) & (numbers != nodata if nodata is not None else True)])
        column = np.concatenate(parts)
        found.append(column if column.size else np.zeros(1))
    return found


def _percentiles(column: NDArray[np.float64]) -> Limits:
    low, high = (float(f"{value:.3g}") for value in np.percentile(column, PERCENTILES))
    if 0 <= low < 0.05 * high:
        low = 0.0
    return (low, high) if low < high else (low, low + 1)


def _statistics(images: Sequence[Path | MapWindow], spec: ImageSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    total, squares, count = np.zeros(spec.channels), np.zeros(spec.channels), 0
    for path in images:
        try:
            pixels = read_image(path, spec).reshape(-1, spec.channels).astype(np.float64)
        except DataError:
            continue
        total, squares, count = total + pixels.sum(0), squares + (pixels**2).sum(0), count + len(pixels)
    if not count:
        return (), ()
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return tuple(mean.round(1).tolist()), tuple(np.maximum(deviation, 1).round(1).tolist())


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else float(f"{value:.5g}")
