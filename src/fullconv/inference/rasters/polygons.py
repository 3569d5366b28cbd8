"""Regions of a labelled map as polygons in its coordinates: GeoJSON and GeoPackage, which every GIS opens.

A polygon runs along the edges of pixels, so its corners are pixel corners brought to the map by the file's transform: half a
pixel from their middles. Regions hang together by their sides; nothing is smoothed. Left out are pixels without a measurement and
what is called background.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fullconv.data.rasters.library import geo, reading_map, without_georeference
from fullconv.data.rasters.raster import Raster
from fullconv.errors import FullconvError
from fullconv.files import replacing
from fullconv.inference.rasters.geotiff import NODATA
from fullconv.labels import LabelSet

NOWHERE = 'LOCAL_CS["unknown",UNIT["unknown",1]]'
"""The coordinate system of a map that has none."""
Shape = Any
"""A polygon of shapely."""


class MapRegion(NamedTuple):
    """A region of one label.

    Parameters
    ----------
    label
        Of its pixels.
    pixels
        How many there are.
    polygon
        In the map's coordinates, with holes; the outer ring runs counterclockwise (RFC 7946).
    """

    label: int
    pixels: int
    polygon: Shape


def map_regions(path: Path, label_set: LabelSet) -> Iterator[MapRegion]:
    """Yield the regions of a file of labels, from top to bottom.

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    shapely = geo("shapely.geometry")
    left_out = {NODATA, *(label for label, name in enumerate(label_set.names) if name == "background")}
    with reading_map(str(path)), without_georeference(), geo("rasterio").open(path) as file:
        a, b, _, d, e, _ = tuple(file.transform)[:6]
        pixel = abs(a * e - b * d)
        found = geo("rasterio.features").shapes(geo("rasterio").band(file, 1), connectivity=4, transform=file.transform)
        for geometry, value in found:
            if int(value) not in left_out:
                polygon = shapely.polygon.orient(shapely.shape(geometry))
                yield MapRegion(int(value), round(polygon.area / pixel), polygon)


def write_map_geojson(path: Path, labelled: Path, label_set: LabelSet) -> int:
    """Write the regions of a file of labels as GeoJSON in the map's coordinates; return how many there are.

    The coordinate system is named as GDAL and QGIS read it (the member ``crs`` of GeoJSON 2008), unless it has no number.
    """
    raster = Raster(labelled)
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        crs = crs_member(raster)
        file.write('{"type": "FeatureCollection", ' + (f'"crs": {json.dumps(crs)}, ' if crs else "") + '"features": [')
        for region in map_regions(labelled, label_set):  # one at a time, as there may be millions
            feature = {
                "type": "Feature",
                "properties": _properties(region, label_set, raster),
                "geometry": geo("shapely.geometry").mapping(region.polygon),
            }
            file.write(f"{',' if count else ''}\n{json.dumps(feature)}")
            count += 1
        file.write("\n]}\n")
    return count


def crs_member(raster: Raster) -> dict[str, Any] | None:
    """Return how GeoJSON names a map's coordinate system; ``None`` where it has none, or none with a number."""
    authority, _, code = raster.crs_name.partition(":")
    if authority != "EPSG" or not code.isdigit():
        return None
    name = "urn:ogc:def:crs:OGC:1.3:CRS84" if code == "4326" else f"urn:ogc:def:crs:EPSG::{code}"
    return {"type": "name", "properties": {"name": name}}


def write_geopackage(path: Path, labelled: Path, label_set: LabelSet) -> int:
    """Write the regions of a file of labels as a GeoPackage with the layer ``regions``; return how many there are."""
    pyogrio, shapely = geo("pyogrio"), geo("shapely")
    raster = Raster(labelled)
    regions = list(map_regions(labelled, label_set))
    rows = [_properties(region, label_set, raster) for region in regions]
    kinds: dict[str, Any] = {"class": object, "label": np.int32, "pixels": np.int64} | (
        {"area": np.float64} if raster.crs_wkt else {}
    )
    with replacing(path) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            pyogrio.raw.write(
                temporary,
                np.array([shapely.to_wkb(region.polygon) for region in regions], object),
                [np.array([row[name] for row in rows], kind) for name, kind in kinds.items()],
                list(kinds),
                layer="regions",
                driver="GPKG",
                geometry_type="Polygon",
                crs=raster.crs_wkt or NOWHERE,
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as error:
            raise FullconvError(
                f"cannot write {path}: {' '.join(str(error).split())}; free space or choose another --out"
            ) from error
    return len(regions)


def _properties(region: MapRegion, label_set: LabelSet, raster: Raster) -> dict[str, Any]:
    """Return what is said of a region; its area is in square units of the map, such as square metres."""
    area = {"area": region.polygon.area} if raster.crs_wkt else {}
    return {"class": label_set.names[region.label], "label": region.label, "pixels": region.pixels, **area}
