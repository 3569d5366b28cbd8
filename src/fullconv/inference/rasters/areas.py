"""How much of a map every class covers, in pixels and in square units of its coordinate system."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.rasters.raster import Raster
from fullconv.files import replacing
from fullconv.labels import LabelSet

ROWS = 1024
"""That are read at a time."""


def class_areas(labelled: Path, label_set: LabelSet) -> dict[str, tuple[int, float | None]]:
    """Return of every class its pixels, and its area in square units of the map; ``None`` where it has no coordinate system."""
    raster = Raster(labelled)
    height, width = raster.size
    counts: NDArray[np.int64] = np.zeros(256, np.int64)
    for top in range(0, height, ROWS):
        rows = raster.read([1], top, 0, min(ROWS, height - top), width)
        counts += np.bincount(rows.ravel(), minlength=256)
    a, b, _, d, e, _ = raster.transform
    pixel = abs(a * e - b * d) if raster.crs_wkt else None
    return {
        name: (int(counts[label]), None if pixel is None else float(counts[label] * pixel))
        for label, name in enumerate(label_set.names)
    }


def write_map_areas(path: Path, labelled: Iterable[Path], label_set: LabelSet) -> None:
    """Write a CSV table with a row for each map and class: pixels, share of the measured pixels (0 to 1), and area.

    The area is in square units of the map, such as square metres, and empty where it has no coordinate system.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["map", "class", "pixels", "share", "area"])
        for each in labelled:
            found = class_areas(each, label_set)
            total = max(1, sum(pixels for pixels, _ in found.values()))
            table.writerows(
                [each.stem, name, pixels, f"{pixels / total:.6f}", "" if area is None else _written(area)]
                for name, (pixels, area) in found.items()
            )


def _written(area: float) -> str:
    """Return an area with six digits at least: where the map's unit is a degree, a whole field is less than 0.01."""
    return f"{area:.2f}" if area >= 1000 else f"{area:.6g}"
