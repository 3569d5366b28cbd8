"""Maps for tests: small files that rasterio writes."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

TURNED = rasterio.Affine.translation(500_000, 5_600_000) @ rasterio.Affine.rotation(-20) @ rasterio.Affine.scale(10, -10)
"""Ten metres a pixel, in UTM, turned by 20 degrees."""


def write_map(path: Path, values: np.ndarray, *, colors: dict[int, tuple[int, int, int]] | None = None, **options: Any) -> Path:
    """Write (H, W, C) as a GeoTIFF in tiles of 16 px, on a turned grid of UTM unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crs": "EPSG:32633", "transform": TURNED, "tiled": True, "blockxsize": 16, "blockysize": 16} | options
    height, width, count = values.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": values.dtype}
    with warnings.catch_warnings():
        if options["transform"] is None:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile, **options) as file:
            if colors:
                file.write_colormap(1, colors)
            file.write(values.transpose(2, 0, 1))
    return path
