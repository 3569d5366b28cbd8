"""Maps: GeoTIFF and what else GDAL reads, window by window, and the vector files that are burnt into masks of them."""
