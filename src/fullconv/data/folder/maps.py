"""A folder of maps: cut into windows, which are its samples, with the masks that lie on them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fullconv.data.pairs import Pair
from fullconv.data.rasters.raster import Raster
from fullconv.data.rasters.vectors import Burn
from fullconv.data.rasters.windows import MapGrid, MapWindow, WindowMask, check_same_grid
from fullconv.spec import FolderSpec


def cut_maps(pairs: Iterable[Pair], folder: FolderSpec) -> list[Pair]:
    """Return the windows of maps with their masks, where a folder says how large they are; other pairs as they are.

    A window is called ``NAME@ROW+COLUMN`` after its first pixel. Where there are several maps and splits are drawn, all windows
    of one fall to one side, as neighbours are too much alike to be measured on; of a single map windows are drawn.

    Raises
    ------
    DataError
        When a map cannot be read, or a mask lies on other pixels than its map.
    """
    pairs = list(pairs)
    if folder.cut is None:
        return pairs
    several = len({pair.image for pair in pairs}) > 1
    found = []
    for pair in pairs:
        if isinstance(pair.image, MapWindow):
            found.append(pair)
            continue
        raster = Raster(pair.image)
        truth: Raster | Burn
        if folder.labels_from is not None:
            truth = Burn(Path(pair.mask), folder.class_attribute, folder.line_width)
            truth.shapes(raster.crs_wkt)  # what is wrong with the file is told before anything is trained
        else:
            truth = Raster(Path(pair.mask))
            check_same_grid(raster, truth)
        group = pair.group or (pair.name if several and folder.group is None else "")
        for window in MapGrid(raster, folder.cut).windows():
            name = f"{pair.name}@{window.top}+{window.left}"
            found.append(Pair(name, window, WindowMask(window, truth), group=group))
    return found


def is_burnt(pair: Pair) -> bool:
    """Return whether a mask is drawn from a vector file."""
    return isinstance(pair.mask, WindowMask) and isinstance(pair.mask.truth, Burn)


def burnt(pairs: Iterable[Pair], values: Mapping[str, int]) -> list[Pair]:
    """Return pairs whose masks are burnt from vectors with the values of the classes; others as they are.

    Raises
    ------
    DataError
        When shapes have a class without a value.
    """
    found = list(pairs)
    known: dict[tuple[Path, str | None], Burn] = {}
    for place, pair in enumerate(found):
        if isinstance(pair.mask, WindowMask) and isinstance(pair.mask.truth, Burn):  # as is_burnt, in words that mypy reads
            key = pair.mask.truth.path, pair.mask.window.raster.crs_wkt
            if key not in known:
                known[key] = replace(pair.mask.truth, values=dict(values))
                for name in dict.fromkeys(known[key].shapes(key[1]).names):
                    known[key].value_of(name)
            found[place] = replace(pair, mask=replace(pair.mask, truth=known[key]))
    return found
