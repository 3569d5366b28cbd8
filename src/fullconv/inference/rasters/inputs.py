"""Which maps are meant, and where the labels of each go."""

from collections.abc import Sequence
from pathlib import Path

from fullconv.data.rasters.raster import SUFFIXES
from fullconv.errors import DataError


def find_maps(inputs: Sequence[str], out: Path) -> list[tuple[Path, Path]]:
    """Return maps and the GeoTIFF of each one's labels: ``NAME.tif`` in ``out``; folders are looked through, one level deep.

    Raises
    ------
    DataError
        When a folder holds no maps, two maps have one name, or a result would overwrite a map.
    """
    found: list[Path] = []
    for item in inputs:
        path = Path(item)
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and not each.name.startswith("."))
        if not inside:
            raise DataError(f"{item}: no maps in this folder; looked for {', '.join(sorted(SUFFIXES))}")
        found += inside
    results: dict[Path, Path] = {}
    for path in dict.fromkeys(found):
        result = out / f"{path.stem}.tif"
        if result in results:
            raise DataError(f"{results[result]} and {path} would both be written to {result}; predict them into two folders")
        if any(result.resolve() == each.resolve() for each in found):
            raise DataError(f"{result} is one of the maps and would be overwritten; choose another --out")
        results[result] = path
    return [(path, result) for result, path in results.items()]
