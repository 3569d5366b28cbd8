"""A map in a file, read window by window: GeoTIFF (also BigTIFF and cloud-optimised), mosaics (VRT), JPEG 2000, what GDAL knows.

Nothing is read but the window that is asked for, so a file may be larger than the memory. A window's pixels do not depend on
where other windows lie: what is decided about bands and ranges is decided once for the file (:mod:`.settings`).

Letters: C bands, H height, W width of a window.
"""

import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.data.rasters.library import geo, reading_map, without_georeference
from fullconv.errors import DataError

Transform = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): the corner of pixel (column x, row y) lies at (a x + b y + c, d x + e y + f) on the map."""
PIXELS: Transform = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Of a file that lies nowhere on the earth."""
SUFFIXES = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".img", ".gtiff"})
"""What counts as a map when a folder is searched; a file that is named itself may be called anything that GDAL reads."""
KEPT_OPEN = 16
"""Files that a thread keeps open; opening a mosaic of many parts takes long."""
STRIP = 2**23
"""Pixels that are read at once where a file is looked through."""
CACHE = 64 * 2**20
"""Bytes of blocks that GDAL may keep; by itself it takes a twentieth of the memory of the machine."""

_open_here = threading.local()


@dataclass(frozen=True)
class Raster:
    """A file of one or more bands on one grid of pixels.

    Parameters
    ----------
    path
        Of the file. It is opened when something is asked for, once in each thread and process.

    Examples
    --------
    >>> import rasterio, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "map.tif"
    >>> with rasterio.open(path, "w", driver="GTiff", width=5, height=4, count=1, dtype="uint16", crs="EPSG:32633",
    ...                    transform=rasterio.Affine(10, 0, 500000, 0, -10, 5600000)) as file:
    ...     file.write(np.arange(20, dtype=np.uint16).reshape(1, 4, 5))
    >>> raster = Raster(path)
    >>> raster.size, raster.bands, raster.dtype, raster.crs_name
    ((4, 5), 1, 'uint16', 'EPSG:32633')
    >>> raster.read([1], 1, 2, 2, 3)[..., 0].tolist()
    [[7, 8, 9], [12, 13, 14]]
    """

    path: Path

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self._file.height, self._file.width

    @cached_property
    def bands(self) -> int:
        """How many the file has, transparency among them."""
        return int(self._file.count)

    @cached_property
    def dtype(self) -> str:
        """Of the values, such as ``uint8``: of bands of different kinds, one that holds all."""
        return str(np.result_type(*self._file.dtypes))

    @cached_property
    def alpha(self) -> int | None:
        """The band that is transparency by the file's own word, counted from 1."""
        kinds = [interpretation.name for interpretation in self._file.colorinterp]
        return kinds.index("alpha") + 1 if "alpha" in kinds else None

    @cached_property
    def colors(self) -> NDArray[np.uint8] | None:
        """The colour table of a file of one band, uint8 (256, 3); ``None`` where it has none."""
        if self._file.colorinterp[0].name != "palette" or self.dtype != "uint8":
            return None
        table = np.zeros((256, 3), np.uint8)
        for value, color in self._file.colormap(1).items():
            table[value] = color[:3]
        return table

    @cached_property
    def transform(self) -> Transform:
        """Pixel corners to the map; :data:`PIXELS` where the file lies nowhere."""
        return tuple(self._file.transform)[:6]  # of a 3 x 3 matrix whose last row says nothing

    @cached_property
    def crs_wkt(self) -> str | None:
        """The coordinate system in words that GDAL reads; ``None`` where the file has none."""
        crs = self._file.crs
        return str(crs.to_wkt()) if crs else None

    @cached_property
    def crs_name(self) -> str:
        """The coordinate system by its number, such as ``EPSG:32633``, or its name; ``none``."""
        crs = self._file.crs
        if not crs:
            return "none"
        code = crs.to_epsg()
        return f"EPSG:{code}" if code else str(crs.to_wkt().split('"')[1])

    @cached_property
    def block(self) -> tuple[int, int]:
        """(height, width) of what the file compresses together: windows of multiples of it read the least."""
        height, width = self._file.block_shapes[0]
        return int(height), int(width)

    def read(self, bands: Sequence[int], top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Return the values (H, W, C) of a window, of bands counted from 1.

        Raises
        ------
        DataError
            When a part of the file cannot be read; it says which rows and columns.
        """
        with self._reading(top, left, height, width) as window:
            values = self._file.read(list(bands), window=window)
        return np.ascontiguousarray(values.transpose(1, 2, 0))

    def valid(self, bands: Sequence[int], top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
        """Return where each band of a window has a measurement, bool (H, W, C).

        That is where the file's nodata value, transparency or mask do not say otherwise; of floating point numbers, where they
        are finite too.
        """
        with self._reading(top, left, height, width) as window:
            masks = self._file.read_masks(list(bands), window=window)
            valid = masks.transpose(1, 2, 0) > 0
            if self.dtype.startswith("float"):
                valid &= np.isfinite(self._file.read(list(bands), window=window).transpose(1, 2, 0))
        return np.ascontiguousarray(valid)

    @cached_property
    def nodata(self) -> float | None:
        """The value of pixels without a measurement, where the file notes one."""
        value = self._file.nodata
        return None if value is None else float(value)

    @cached_property
    def may_lack(self) -> bool:
        """Whether pixels may be without a measurement, by what the file says of itself."""
        flags = {flag.name for each in self._file.mask_flag_enums for flag in each}
        return flags != {"all_valid"} or self.dtype.startswith("float")

    def sample(self, bands: Sequence[int], most: int) -> NDArray[Any]:
        """Return about ``most`` pixels (n, C), spread evenly over the file, without those that lack a measurement."""
        height, width = self.size
        step = max(1, round((height * width / most) ** 0.5))
        first = step // 2 if min(height, width) > step // 2 else 0
        strip = min(self.block[0], max(1, STRIP // width))  # of whole blocks, so that each is unpacked once
        found = []
        for top in range(0, height, strip):
            rows = np.arange(first, height, step)
            rows = rows[(rows >= top) & (rows < top + strip)] - top
            if rows.size:
                window = top, 0, min(strip, height - top), width
                # of the file itself, as overviews may hold mixtures of values
                values, valid = (
                    read(bands, *window)[rows, first::step].reshape(-1, len(bands)) for read in (self.read, self.valid)
                )
                found.append(values[valid.all(1)])
        return np.concatenate(found)

    @contextlib.contextmanager
    def _reading(self, top: int, left: int, height: int, width: int) -> Any:
        where = f"{self.path}: rows {top} to {top + height - 1}, columns {left} to {left + width - 1}"
        with reading_map(where), geo("rasterio").Env(GDAL_CACHEMAX=CACHE):
            yield geo("rasterio.windows").Window(left, top, width, height)

    @property
    def _file(self) -> Any:
        """The file as rasterio has it, opened in this thread of this process: neither may share one with another."""
        known: dict[tuple[int, Path, int, int], Any] = getattr(_open_here, "files", {})
        try:
            now = self.path.stat()
        except OSError as error:  # GDAL's own words are longer
            raise DataError(f"{self.path}: no such file") from error
        key = os.getpid(), self.path, now.st_mtime_ns, now.st_size  # a file that was written anew is another
        if key not in known:
            with reading_map(str(self.path)), without_georeference():
                opened = geo("rasterio").open(self.path)
            kept = [(each, file) for each, file in known.items() if each[0] == key[0] and each[1] != self.path]
            _open_here.files = known = {**dict(kept[-(KEPT_OPEN - 1) :]), key: opened}
        return known[key]
