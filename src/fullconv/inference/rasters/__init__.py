"""Maps in, labelled maps out: GeoTIFF with the same grid, polygons in the map's coordinates; see docs/rasters.md."""
