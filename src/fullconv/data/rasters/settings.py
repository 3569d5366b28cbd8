"""Which bands of a map a net sees and which values become 0 and 255: decided once for a file, in numbers that can be repeated.

A window of a map must be read as every other one is, so nothing here looks at a window. What a recipe or the command line says
comes first; then what a file itself says: eight bits are 0 to 255, bands are colour where there are three of them, or one, or
one with a colour table. All else is asked for.

Letters: C bands, H height, W width, n pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fullconv.data.ranges import scaled
from fullconv.data.rasters.raster import Raster
from fullconv.errors import DataError, SpecError
from fullconv.spec import ImageSpec
from fullconv.spec.image import Limits

SAMPLED = 2**20
"""Pixels that percentiles are computed from, spread evenly over a file."""
PROPOSED = (2.0, 98.0)
"""Percentiles that messages name."""


@dataclass(frozen=True)
class Percentiles:
    """A range that is computed of each file and band, each 0 to 100: what lies below ``low`` becomes 0, above ``high`` 255."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise SpecError(f"percentiles from {self.low:g} to {self.high:g}; give two from 0 to 100, the smaller one first")

    def limits(self, raster: Raster, bands: Sequence[int]) -> tuple[Limits, ...]:
        """Return the range of each band, from pixels that :meth:`Raster.sample` takes; the same at every call.

        Raises
        ------
        DataError
            When a band has no measurements, or but one value.
        """
        sampled = raster.sample(bands, SAMPLED)
        if not len(sampled):
            raise DataError(f"{raster.path}: no pixel has a measurement, so it has no percentiles; give the range in numbers")
        found = []
        for band, column in zip(bands, sampled.T, strict=True):
            low, high = (float(value) for value in np.percentile(column.astype(np.float64), (self.low, self.high)))
            if not low < high:
                raise DataError(
                    f"{raster.path}: band {band} is {low:g} at both percentiles, {self.low:g} and {self.high:g}; give the "
                    "range in numbers, or leave the band out"
                )
            found.append((low, high))
        return tuple(found)


Range = tuple[Limits, ...] | Percentiles
"""The values that become 0 and 255: pairs, one for all bands or one for each; or percentiles of the file."""


@dataclass(frozen=True)
class MapReader:
    """A map with all that is decided about it: reads windows as a net takes them.

    Attributes
    ----------
    raster
        The file.
    bands
        Counted from 1, in the order in which the net sees them.
    limits
        The values that become 0 and 255, for all bands or for each.
    channels
        Of what is read: that of a single band comes three times.
    colors
        uint8 (256, 3), where the values of the only band are looked up in a colour table.
    """

    raster: Raster
    bands: tuple[int, ...]
    limits: tuple[Limits, ...]
    channels: int
    colors: NDArray[np.uint8] | None = None

    def read(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a window as uint8 (H, W, C), 0 to 255; pixels without a measurement are 0 where values are scaled.

        Raises
        ------
        DataError
            When a part of the file cannot be read; it says which rows and columns.
        """
        window = top, left, height, width
        values = self.raster.read(self.bands, *window)
        if self.colors is not None:
            return self.colors[values[..., 0]]
        image = scaled(values, self.limits)
        if image is not values and self.raster.may_lack:
            image[~self.raster.valid(self.bands, *window)] = 0
        return np.repeat(image, self.channels, axis=2) if image.shape[2] == 1 else image

    def valid(self, top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
        """Return where any of the bands has a measurement, bool (H, W)."""
        if not self.raster.may_lack:
            return np.ones((height, width), bool)
        return np.asarray(self.raster.valid(self.bands, top, left, height, width).any(2))

    def settings(self) -> dict[str, object]:
        """Return what was decided, as JSON has it: ``bands`` and ``range``, which give the same image again."""
        return {"bands": list(self.bands), "range": [list(pair) for pair in self.limits]}


def open_map(
    raster: Raster, how: ImageSpec, bands: Sequence[int] | None = None, limits: Range | None = None, *, key: str = "--"
) -> MapReader:
    """Return a reader of a map for a net that learned its images as ``how`` says.

    Parameters
    ----------
    raster
        The file.
    how
        Bands and range of the net's images.
    bands
        In their place, for this file: as many as the net's, counted from 1.
    limits
        In place of its range.
    key
        What stands before ``bands`` and ``range`` where messages say what to set: ``--``, or ``data.image.`` of a recipe.

    Raises
    ------
    DataError
        When the file has other bands or values than the net reads, and nothing says which are meant.
    """
    chosen, colors = _bands(raster, how, bands, key)
    if colors is not None:
        return MapReader(raster, chosen, ((0.0, 255.0),), how.channels, colors)
    if isinstance(limits, Percentiles):
        return MapReader(raster, chosen, limits.limits(raster, chosen), how.channels)
    decided = limits or how.limits or _undeclared(raster, chosen, key)
    if len(decided) not in (1, len(chosen)):
        raise DataError(
            f"{raster.path}: {len(chosen)} bands are read, and {key}range has {len(decided)} pairs; give one, or one a band"
        )
    if raster.dtype == "uint8" and limits is None and max(high for _, high in decided) > 255:
        raise DataError(
            f"{raster.path}: 8 bits a band, and the model learned values up to {max(high for _, high in decided):g}; give the "
            f"file that it was made from, or {key}range with the values that are to become 0 and 255"
        )
    return MapReader(raster, chosen, decided, how.channels)


def _bands(
    raster: Raster, how: ImageSpec, bands: Sequence[int] | None, key: str
) -> tuple[tuple[int, ...], NDArray[np.uint8] | None]:
    """Return the bands that are read, and the colours that their values stand for."""
    name, count = raster.path, raster.bands
    chosen = tuple(bands) if bands is not None else how.bands
    if chosen is None:
        used = tuple(band for band in range(1, count + 1) if band != raster.alpha)
        if len(used) == 1 and raster.colors is not None:
            return used, raster.colors
        if len(used) not in (1, 3):
            raise DataError(
                f"{name}: {_counted(len(used))}, and the model reads {_counted(how.channels)}; say which they are by "
                f"{key}bands, such as {_such_as(key, used[: how.channels] if how.channels <= len(used) else used[:1])}"
            )
        return used, None
    if len(chosen) != how.channels and not (len(chosen) == 1 and how.channels == 3):
        raise DataError(
            f"{name}: {key}bands names {_counted(len(chosen))}, and the model reads {_counted(how.channels)}; name as many"
        )
    if max(chosen) > count or min(chosen) < 1:
        raise DataError(f"{name}: {_counted(count)}, and bands {list(chosen)} are to be read; choose others by {key}bands")
    return chosen, None


def _such_as(key: str, bands: Sequence[int]) -> str:
    return ",".join(map(str, bands)) if key == "--" else str(list(bands))


def _counted(count: int) -> str:
    return f"{count} band{'s' * (count != 1)}"


def _undeclared(raster: Raster, bands: Sequence[int], key: str) -> tuple[Limits, ...]:
    if raster.dtype == "uint8":
        return ((0.0, 255.0),)
    try:
        found = Percentiles(*PROPOSED).limits(raster, bands)
    except DataError:
        found = ()
    shown = ""
    if found:
        low, high = (float(f"{value:.3g}") for value in (min(pair[0] for pair in found), max(pair[1] for pair in found)))
        value = f"{low:g},{high:g}" if key == "--" else f"[{low:g}, {high:g}]"
        shown = f", such as {key}range {value}" if key == "--" else f", such as {key}range: {value}"
        shown += " (its percentiles 2 and 98)" + (" or --range 2%,98%" if key == "--" else "")
    raise DataError(f"{raster.path}: values of the type {raster.dtype} have no agreed range; say which become 0 and 255{shown}")
