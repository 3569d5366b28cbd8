"""Find maps and the vector file that is their truth in a folder, for ``fullconv init`` to write down."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fullconv.data.rasters.raster import SUFFIXES
from fullconv.data.rasters.vectors import CLASS, Burn
from fullconv.errors import DataError, some
from fullconv.formats.annotations import special_value
from fullconv.spec import FolderSpec

VECTORS = frozenset({".gpkg", ".shp", ".fgb", ".geojson"})
"""Suffixes of vector files that are looked for."""
FOLDERS = ("maps", "images", "image", "rasters", "tiles", "imagery", "data", ".")
"""Where maps are looked for."""
MOST = 100
"""Classes of an attribute; more are names or numbers of the shapes themselves."""


class Maps(NamedTuple):
    """Maps with a vector file as they were understood: where they are, splits, labels, and what to know of it."""

    folder: FolderSpec
    train: str
    val: str
    labels: dict[str, object]
    said: str


def maps_in(root: Path, attribute: str | None = None, line_width: float | None = None) -> Maps | None:
    """Return the maps in a folder whose truth is a vector file; ``None`` where there are none.

    Parameters
    ----------
    root
        The folder.
    attribute
        That names the class of each shape, where a person says it.
    line_width
        Of lines, where a person says it.

    Raises
    ------
    DataError
        When there are several vector files, or several attributes that may name classes; when the file cannot be read.
    """
    vectors = sorted(path for path in root.iterdir() if path.suffix.lower() in VECTORS and not path.name.startswith("."))
    place = next((found for name in FOLDERS if (found := _maps(root, name))), None)
    if not vectors or place is None:
        return None
    if len(vectors) > 1:
        raise DataError(
            f"{root}: {len(vectors)} vector files ({some([path.name for path in vectors])}); keep the one that is the ground "
            "truth of the maps here, or write data.folder.labels_from into a recipe"
        )
    images, count = place
    named = attribute or _attribute(vectors[0], line_width)
    burn = Burn(vectors[0], named, line_width)
    names = [name for name in dict.fromkeys(burn.shapes(None).names) if name and special_value(name) is None]
    names = sorted(names) if named else [vectors[0].stem]
    labels: dict[str, object] = {"background": 0}
    labels |= {name: number + (number >= 255) for number, name in enumerate(names, start=1)}
    folder = FolderSpec(images=images, labels_from=vectors[0].name, class_attribute=named, line_width=line_width)
    own = "{split}" in images
    shapes = len(burn.shapes(None).names)
    said = (
        f"{count} maps to train on in {images.replace('{split}', 'train')}, cut into windows of "
        f"{folder.cut[0] if folder.cut else 0} px"
        f"{'' if own else ', of which 20 % are drawn to validate on'}; masks are burnt from the {shapes} shapes in "
        f"{vectors[0].name}" + (f", whose attribute {named} names their class" if named else f", all of one class, {names[0]}")
    )
    return Maps(folder, "train", "val", labels, said)


def _maps(root: Path, name: str) -> tuple[str, int] | None:
    """Return the pattern of a folder that holds maps, of the split train where it has splits, and how many."""
    for pattern in (f"{name}/{{split}}", name):
        folder = root / pattern.replace("{split}", "train")
        if folder.is_dir():
            count = sum(path.suffix.lower() in SUFFIXES and not path.name.startswith(".") for path in folder.iterdir())
            if count:
                return pattern, count
    return None


def _attribute(path: Path, line_width: float | None) -> str | None:
    """Return the attribute that names the class of shapes; ``None`` where there is none."""
    attributes: Sequence[str] = Burn(path, None, line_width).shapes(None).attributes
    if CLASS in attributes or not attributes:
        return CLASS if attributes else None
    likely = [name for name in attributes if 1 <= len(set(Burn(path, name, line_width).shapes(None).names)) <= MOST]
    if len(likely) == 1:
        return likely[0]
    raise DataError(
        f"{path}: {len(attributes)} attributes ({some(attributes)}), and nothing says which names the class of a shape; give "
        "it by --class-attribute"
    )
