"""Windows of maps as images and masks: they go where the paths of files go, and read no more than themselves.

Letters: C bands, H height, W width of a window.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.opening import Opened
from fullconv.data.rasters.raster import PIXELS, Raster
from fullconv.data.rasters.settings import open_map
from fullconv.data.rasters.vectors import Burn
from fullconv.data.stored import Stored
from fullconv.errors import DataError
from fullconv.spec import ImageSpec

NO_DATA = 255
"""The value of masks where the map has no measurement."""


@dataclass(frozen=True)
class MapWindow:
    """A window of a map as an image: :func:`fullconv.data.images.read_image` and its like read it as they read a file.

    Parameters
    ----------
    raster
        The map.
    top, left, height, width
        In pixels.
    """

    raster: Raster
    top: int
    left: int
    height: int
    width: int

    def __str__(self) -> str:
        bottom, right = self.top + self.height - 1, self.left + self.width - 1
        return f"{self.raster.path} (rows {self.top} to {bottom}, columns {self.left} to {right})"

    def __fspath__(self) -> str:
        return str(self)

    @property
    def name(self) -> str:
        """The map's."""
        return self.raster.path.name

    @property
    def stem(self) -> str:
        """The map's name without its suffix."""
        return self.raster.path.stem

    @property
    def suffix(self) -> str:
        """The map's."""
        return self.raster.path.suffix

    @property
    def source(self) -> Path:
        """The file that it is a part of."""
        return self.raster.path

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, height and width."""
        return self.top, self.left, self.height, self.width

    def is_file(self) -> bool:
        """Return whether the map is there."""
        return self.raster.path.is_file()

    def open_image(self) -> Opened:
        """Return what :func:`fullconv.data.opening.opened` gives of a file."""
        return _OpenedWindow(None, 1, 1, None, "map", (self.height, self.width), self)

    def measured(self) -> NDArray[np.bool_]:
        """Return where the map has a measurement in any band, bool (H, W)."""
        if not self.raster.may_lack:
            return np.ones((self.height, self.width), bool)
        bands = [band for band in range(1, self.raster.bands + 1) if band != self.raster.alpha]
        return np.asarray(self.raster.valid(bands, *self.box).any(2))


@dataclass(frozen=True)
class _OpenedWindow(Opened):
    window: MapWindow | None = None

    def stored(self) -> Stored:
        assert self.window is not None  # a default only as those before have some
        raster = self.window.raster
        bands = [band for band in range(1, raster.bands + 1) if band != raster.alpha]
        return Stored(raster.read(bands, *self.window.box), nodata=raster.nodata)

    def prepared(self, how: ImageSpec) -> NDArray[np.uint8]:
        assert self.window is not None
        return open_map(self.window.raster, how, key="data.image.").read(*self.window.box)


@dataclass(frozen=True)
class WindowMask:
    """The mask of a window: of a raster on the same grid, or drawn from a vector file; 255 where the map has no measurement.

    It goes where the path of a mask goes: :func:`fullconv.data.images.decode` draws it.

    Parameters
    ----------
    window
        Of the image.
    truth
        A raster with one band, or what is drawn.
    """

    window: MapWindow
    truth: Raster | Burn

    def __hash__(self) -> int:
        return hash((self.window, str(self.source)))

    def __str__(self) -> str:
        return f"{self.source} (rows {self.window.top} and columns {self.window.left} on of {self.window.name})"

    def __fspath__(self) -> str:
        return str(self)

    @property
    def source(self) -> Path:
        """The file of the truth."""
        return self.truth.path

    @property
    def name(self) -> str:
        """What its file would be called."""
        return f"{self.window.stem}{self.suffix}"

    @property
    def suffix(self) -> str:
        """Of the file that it would be."""
        return ".png"

    def is_file(self) -> bool:
        """Return whether the truth's file is there."""
        return self.source.is_file()

    def draw(self) -> Image.Image:
        """Return the mask as an image of mode ``L``, or of more bits where a value needs them.

        Raises
        ------
        DataError
            When the truth cannot be read or drawn.
        """
        window = self.window
        if isinstance(self.truth, Raster):
            values = self.truth.read([1], *window.box)[..., 0]
            known = self.truth.valid([1], *window.box)[..., 0] if self.truth.may_lack else np.ones(values.shape, bool)
            # many programs note 0, the background, as nodata of a mask
            values = np.where(known | (values == 0), values, NO_DATA).astype(values.dtype)
        else:
            values = self.truth.draw(window.raster, *window.box)
        values = np.where(window.measured(), values, NO_DATA)
        if values.dtype.kind == "f":
            if (values != values.round()).any():
                raise DataError(f"{self.source}: the mask has values that are no whole numbers; save one with classes")
            values = values.astype(np.int64)
        least, most = int(values.min()), int(values.max())
        if least >= 0 and most < 2**16:
            return Image.fromarray(values.astype(np.uint8 if most < 256 else np.uint16))
        return Image.fromarray(values.astype(np.int32))


@dataclass(frozen=True)
class MapGrid:
    """How a map is cut: windows of one size side by side from the top left corner on, those at the far edges as small as is left.

    Parameters
    ----------
    raster
        The map.
    window
        (height, width) in pixels.

    Examples
    --------
    >>> import tempfile, rasterio
    >>> path = Path(tempfile.mkdtemp()) / "map.tif"
    >>> with rasterio.open(path, "w", driver="GTiff", width=5, height=4, count=1, dtype="uint8", crs="EPSG:32633",
    ...                    transform=rasterio.Affine(10, 0, 500000, 0, -10, 5600000)) as file: pass
    >>> [window.box for window in MapGrid(Raster(path), (3, 3)).windows()]
    [(0, 0, 3, 3), (0, 3, 3, 2), (3, 0, 1, 3), (3, 3, 1, 2)]
    """

    raster: Raster
    window: tuple[int, int]
    size: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", self.raster.size)

    def windows(self) -> Iterator[MapWindow]:
        """Yield the windows, row by row; together they cover the map once."""
        (height, width), (down, across) = self.size, self.window
        for top in range(0, height, down):
            for left in range(0, width, across):
                yield MapWindow(self.raster, top, left, min(down, height - top), min(across, width - left))


def check_same_grid(image: Raster, mask: Raster) -> None:
    """Make sure that a mask lies on the pixels of its map.

    Raises
    ------
    DataError
        When it has another size, transform or coordinate system, or several bands.
    """
    if mask.bands != 1:
        raise DataError(f"{mask.path}: a mask of {mask.bands} bands; one band with a value for each class is read")
    if mask.size != image.size:
        (height, width), (high, wide) = mask.size, image.size
        raise DataError(
            f"{mask.path}: the mask is {height}×{width} but its map {image.path.name} is {high}×{wide} (H×W); bring it to the "
            f"map's grid, such as by `rio warp --like {image.path.name}`"
        )
    if mask.transform == PIXELS and mask.crs_wkt is None:
        return  # a plain image of the map's size
    a, b, _, d, e, _ = image.transform
    step = max(abs(a) + abs(b), abs(d) + abs(e))
    apart = max(abs(one - other) for one, other in zip(mask.transform, image.transform, strict=True))
    if apart > 0.01 * step or (mask.crs_wkt and image.crs_wkt and mask.crs_name != image.crs_name):
        raise DataError(
            f"{mask.path}: the mask lies elsewhere than its map {image.path.name}: transform {_shown(mask)}, the map's "
            f"{_shown(image)}; bring it to the map's grid, such as by `rio warp --like {image.path.name}`"
        )


def _shown(raster: Raster) -> str:
    return f"({', '.join(f'{number:.10g}' for number in raster.transform)}) in {raster.crs_name}"
