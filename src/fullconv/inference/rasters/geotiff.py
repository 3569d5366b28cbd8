"""Labels as a GeoTIFF on the grid of the map that they are of: tiled, compressed, with overviews and the classes' colours.

What was decided for a map (bands, range, head and so on) stands in the file's tag ``FULLCONV`` as JSON, and the names of the
classes in ``CLASS_0``, ``CLASS_1`` and so on, which QGIS and gdalinfo show.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fullconv.data.rasters.library import geo, reading_map, without_georeference
from fullconv.data.rasters.raster import PIXELS, Raster
from fullconv.errors import FullconvError
from fullconv.files import replacing
from fullconv.labels import LabelSet

NODATA = 255
"""The label of pixels without a measurement; classes end below it."""
TAG = "FULLCONV"
BLOCK = 512
"""Side of the tiles of the file, in pixels."""
FEWEST = 256
"""Pixels along the longer side of the coarsest overview, at most twice as many."""


class Rows(Protocol):
    """Labels uint8 (height, width), of which a slice of rows is an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width)."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.uint8]:
        """Return rows."""


def write_labels(path: Path, labels: Rows, like: Raster, label_set: LabelSet, settings: Mapping[str, Any], band: str) -> None:
    """Write labels (height, width) as a GeoTIFF: the whole file, or none.

    Parameters
    ----------
    path
        Of the file.
    labels
        :data:`NODATA` where the map has no measurement; read row by row, so they may lie on a disk.
    like
        The map whose grid and coordinate system the file has.
    label_set
        Names and colours of the classes.
    settings
        How they were computed, as JSON has it.
    band
        What the band is called: the head's name.

    Raises
    ------
    FullconvError
        When the folder cannot be written, the disk is full, or the file does not hold what was written.
    """
    height, width = labels.shape
    with replacing(path) as temporary:
        try:
            with _created(temporary, like, (height, width)) as file:
                file.write_colormap(1, dict(enumerate(label_set.colors)) | {NODATA: (0, 0, 0, 0)})
                file.set_band_description(1, band)
                names = {f"CLASS_{number}": name for number, name in enumerate(label_set.names)}
                file.update_tags(**{TAG: json.dumps(dict(settings))}, **names)
                for top in range(0, height, BLOCK):
                    rows = np.ascontiguousarray(labels[top : top + BLOCK])
                    file.write(rows, 1, window=geo("rasterio.windows").Window(0, top, width, len(rows)))
            _add_overviews(temporary, (height, width))
            _check(temporary, labels)
        except geo("rasterio.errors").RasterioError as error:
            raise FullconvError(
                f"cannot write {path}: {' '.join(str(error).split())}; free space or choose another --out"
            ) from error


@contextlib.contextmanager
def _created(path: Path, like: Raster, size: tuple[int, int]) -> Iterator[Any]:
    rasterio = geo("rasterio")
    tiles = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK} if min(size) >= BLOCK else {}
    place = {} if like.transform == PIXELS else {"transform": rasterio.Affine(*like.transform)}
    with (
        without_georeference(),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=size[0],
            width=size[1],
            count=1,
            dtype="uint8",
            nodata=NODATA,
            crs=like.crs_wkt,
            photometric="palette",
            compress="deflate",
            bigtiff="if_safer",
            **tiles,
            **place,
        ) as file,
    ):
        yield file


def _add_overviews(path: Path, size: tuple[int, int]) -> None:
    """Add copies of half the size, a quarter and so on, each pixel the label that is most frequent in what it covers."""
    levels = [2**power for power in range(1, 31) if max(size) // 2**power >= FEWEST]
    if levels:
        with without_georeference(), geo("rasterio").open(path, "r+") as file:
            file.build_overviews(levels, geo("rasterio.enums").Resampling.mode)


def _check(path: Path, labels: Rows) -> None:
    """Read what was written: a disk that is full at the very end makes GDAL lose blocks without an error."""
    raster = Raster(path)
    height, width = labels.shape
    for top in range(0, height, BLOCK):
        rows = labels[top : top + BLOCK]
        if not np.array_equal(raster.read([1], top, 0, len(rows), width)[..., 0], rows):
            raise FullconvError(
                f"cannot write {path}: rows from {top} on are not as they were written; the disk may be full or broken"
            )


def settings_of(path: Path) -> dict[str, Any] | None:
    """Return how a file of labels was computed; ``None`` where it was not written here, or is none."""
    try:
        with reading_map(str(path)), without_georeference(), geo("rasterio").open(path) as file:
            text = file.tags().get(TAG)
        found = json.loads(text) if text else None
    except (FullconvError, ValueError):
        return None
    return found if isinstance(found, dict) else None
