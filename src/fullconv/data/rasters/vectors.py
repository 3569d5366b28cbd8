"""Vector files (GeoPackage, GeoJSON, Shapefile and so on) burnt into masks of maps: polygons, and lines and points of a width.

A pixel belongs to a polygon where its middle does, GDAL's rule. Of shapes that overlap the later one in the file lies on top.
Coordinates are brought from the file's coordinate system to the map's.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fullconv.data.rasters.library import geo
from fullconv.data.rasters.raster import Raster, Transform
from fullconv.errors import DataError, some

CLASS = "class"
"""The attribute that names a shape's class where nothing is said, as fullconv writes it."""


class Shapes(NamedTuple):
    """The shapes of a file in one coordinate system.

    Parameters
    ----------
    names
        The class of each; empty texts where the file has no attribute that says it.
    areas
        Polygons of shapely.
    tree
        Finds those in a window.
    attributes
        Of the file.
    """

    names: tuple[str, ...]
    areas: NDArray[Any]
    tree: Any
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Burn:
    """A vector file that is drawn.

    Parameters
    ----------
    path
        Of the file.
    attribute
        That names the class of each shape; :data:`CLASS` where nothing is said and there is such, else all are of one class.
    line_width
        Of lines, and the diameter of points, in units of the map.
    values
        Of every class by name.
    """

    path: Path
    attribute: str | None = None
    line_width: float | None = None
    values: Mapping[str, int] = field(default_factory=dict)

    def shapes(self, crs_wkt: str | None) -> Shapes:
        """Return the shapes in a map's coordinate system; of a map without one, as they are in the file.

        Raises
        ------
        DataError
            When the file cannot be read, has several layers, no such attribute, or lines while no width is known.
        """
        try:
            version = self.path.stat().st_mtime_ns
        except OSError as error:
            raise DataError(f"{self.path}: no such file; set data.folder.labels_from") from error
        return _shapes(self.path, version, self.attribute, self.line_width, crs_wkt)

    def draw(self, raster: Raster, top: int, left: int, height: int, width: int) -> NDArray[np.integer]:
        """Return the values (height, width) of a window of a map; 0 where no shape is.

        Raises
        ------
        DataError
            As :meth:`shapes`, and when a shape has a class without a value.
        """
        found = self.shapes(raster.crs_wkt)
        shapely = geo("shapely")
        grid = shifted(raster.transform, top, left)
        a, b, c, d, e, f = grid
        corners = [(a * x + b * y + c, d * x + e * y + f) for x, y in ((0, 0), (width, 0), (width, height), (0, height))]
        inside = sorted(found.tree.query(shapely.Polygon(corners), predicate="intersects").tolist())
        kind = np.uint8 if max(self.values.values(), default=0) < 256 else np.uint16
        if not inside:
            return np.zeros((height, width), kind)
        pairs = [(found.areas[place], self.value_of(found.names[place])) for place in inside]
        drawn: NDArray[np.integer] = geo("rasterio.features").rasterize(
            pairs, (height, width), transform=geo("rasterio").Affine(*grid), dtype=np.dtype(kind).name
        )
        return drawn

    def value_of(self, name: str) -> int:
        """Return the value of a class; of a file that names none, that of the only class beside the background.

        Raises
        ------
        DataError
            When it is not known.
        """
        if name in self.values:
            return self.values[name]
        classes = {value for label, value in self.values.items() if value not in (0, 255) and label != "background"}
        if not name and len(classes) == 1:
            return classes.pop()
        if name:
            raise DataError(
                f"{self.path}: shapes of the class {name!r}, which data.labels does not have; there are "
                f"{some(list(self.values))}; add it there, or say what it counts as: data.folder.rename: {{{name}: ignore}}"
            )
        raise DataError(
            f"{self.path}: nothing says of which of {len(classes)} classes its shapes are; set data.folder.class_attribute to "
            f"one of {some(self.shapes(None).attributes) or 'its attributes, of which it has none'}"
        )


def shifted(transform: Transform, top: int, left: int) -> Transform:
    """Return the transform of a window that begins at row ``top`` and column ``left``.

    Examples
    --------
    >>> shifted((10, 0, 500, 0, -10, 800), 2, 3)
    (10, 0, 530, 0, -10, 780)
    """
    a, b, c, d, e, f = transform
    return a, b, a * left + b * top + c, d, e, d * left + e * top + f


@functools.lru_cache(maxsize=8)
def _shapes(path: Path, version: int, attribute: str | None, line_width: float | None, crs_wkt: str | None) -> Shapes:
    shapely = geo("shapely")
    about, content, columns = _read(path)
    attributes = tuple(str(name) for name in about["fields"])
    named = attribute if attribute is not None else CLASS if CLASS in attributes else None
    if named is not None and named not in attributes:
        raise DataError(f"{path}: no attribute {named!r}; data.folder.class_attribute is one of {some(attributes) or 'none'}")
    geometries = shapely.force_2d(shapely.from_wkb(content, on_invalid="fix"))
    there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    geometries = geometries[there]
    if not len(geometries):
        raise DataError(f"{path}: no shapes; draw some, or give another file")
    names = ("",) * len(geometries) if named is None else tuple(_name(value) for value in columns[attributes.index(named)][there])
    if about["crs"] and crs_wkt:
        geometries = _moved(geometries, about["crs"], crs_wkt)
    areas = _with_areas(path, geometries, line_width)
    return Shapes(names, areas, shapely.STRtree(areas), attributes)


def _read(path: Path) -> tuple[dict[str, Any], NDArray[Any], list[NDArray[Any]]]:
    """Return what a file says of itself, its geometries as WKB, and its attributes, one array each."""
    pyogrio = geo("pyogrio")
    try:
        layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        if len(layers) != 1:
            raise DataError(f"{path}: {len(layers)} layers with shapes ({some(layers) or 'none'}); give a file with one")
        about, _, content, columns = pyogrio.raw.read(path, layer=layers[0])
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as a vector file ({' '.join(str(error).split())}); give a GeoPackage, GeoJSON or Shapefile"
        ) from error
    return about, content, columns


def _name(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)  # a column with holes is one of floating point numbers
    return str(value).strip()


def _moved(geometries: NDArray[Any], source: str, target: str) -> NDArray[Any]:
    """Return shapes brought from one coordinate system to another."""
    crs = geo("rasterio.crs").CRS
    before, after = crs.from_user_input(source), crs.from_user_input(target)
    if before == after:
        return geometries

    def move(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = geo("rasterio.warp").transform(before, after, corners[:, 0], corners[:, 1])
        return np.column_stack([x, y])

    moved: NDArray[Any] = geo("shapely").transform(geometries, move)
    return moved


def _with_areas(path: Path, geometries: NDArray[Any], line_width: float | None) -> NDArray[Any]:
    shapely = geo("shapely")
    thin = ~np.isin(shapely.get_type_id(geometries), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    if thin.any() and line_width is None:
        kinds = sorted({geometry.geom_type for geometry in geometries[thin]})
        raise DataError(
            f"{path}: {int(thin.sum())} shapes without an area ({', '.join(kinds)}); set data.folder.line_width (init: "
            "--line-width), in units of the map, such as 6 for metres"
        )
    found = geometries.copy()
    if line_width is not None:
        found[thin] = shapely.buffer(geometries[thin], line_width / 2)
    return found
