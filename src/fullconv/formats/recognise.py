"""Which format a file or a folder of annotations is of, and what it holds.

A format is a line in :data:`FORMATS`. JSON formats are told by what the file holds, never by its name.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fullconv.errors import DataError
from fullconv.formats.annotations import Annotations, merged
from fullconv.formats.coco import is_coco, read_coco
from fullconv.formats.cvat import is_cvat, read_cvat
from fullconv.formats.geojson import is_geojson, read_geojson
from fullconv.formats.label_studio import is_label_studio, read_label_studio
from fullconv.formats.labelbox import is_labelbox, read_labelbox
from fullconv.formats.labelme import is_labelme, read_labelme
from fullconv.formats.reading import parsing, read_json
from fullconv.formats.settle import settled
from fullconv.formats.supervisely import is_supervisely, read_supervisely
from fullconv.formats.via import is_via, read_via
from fullconv.formats.yolo import is_yolo_folder, is_yolo_list, read_yolo

FORMATS: dict[str, tuple[Callable[[Any], bool], Callable[[Any, Path], Annotations]]] = {
    "COCO": (is_coco, read_coco),
    "LabelMe": (is_labelme, read_labelme),
    "GeoJSON": (is_geojson, read_geojson),
    "Label Studio": (is_label_studio, read_label_studio),
    "VIA": (is_via, read_via),
}
"""JSON files: whether what one holds is of the format, and what it says."""
FILES: dict[str, tuple[tuple[str, ...], Callable[[Path], bool], Callable[[Path], Annotations]]] = {
    "YOLO": ((".yaml", ".yml"), is_yolo_list, read_yolo),
    "CVAT": ((".xml",), is_cvat, read_cvat),
    "Labelbox": ((".ndjson", ".jsonl", ".json"), is_labelbox, read_labelbox),
}
"""Other files: their suffixes, whether one is of the format, and what it says."""
FOLDERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Annotations]]] = {
    "Supervisely": (is_supervisely, read_supervisely),
    "YOLO": (is_yolo_folder, read_yolo),
}
"""Folders that are read as a whole; others may hold files of LabelMe or GeoJSON, one for each image."""
ONE_EACH = ("LabelMe", "GeoJSON")
"""Formats with a file for each image; a folder of other JSON files is several parts of one export."""


def recognise(path: Path) -> str | None:
    """Return the format of a file or a folder of annotations; ``None`` where it is of none.

    Of a folder of JSON files the first that is one counts.

    Raises
    ------
    DataError
        When the file is missing, or JSON that cannot be read.
    """
    if path.is_dir():
        return next((name for name, (fits, _) in FOLDERS.items() if fits(path)), None) or _format_in(path)
    suffix = path.suffix.lower()
    for name, (suffixes, fits, _) in FILES.items():
        if suffix in suffixes and fits(path):
            return name
    return format_of(read_json(path)) if suffix in (".json", ".geojson") else None


def format_of(content: Any) -> str | None:
    """Return the format of a JSON file's content."""
    return next((name for name, (fits, _) in FORMATS.items() if fits(content)), None)


def _format_in(folder: Path) -> str | None:
    return next((found for path in json_files(folder) if (found := format_of(read_json(path))) is not None), None)


def json_files(folder: Path) -> list[Path]:
    """Return the JSON files below a folder, without hidden ones."""
    files = (path for pattern in ("*.json", "*.geojson") for path in folder.rglob(pattern))
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def read_annotations(path: Path, attribute: str | None = None) -> Annotations:
    """Return what a file or a folder of annotations holds, of whatever format.

    Parameters
    ----------
    path
        The file, or a folder that is a project or holds a file for each image.
    attribute
        Which attribute of VIA's regions names the class.

    Raises
    ------
    DataError
        When it is missing, damaged, of no format that is known, or has corners in shares of an image where pixels belong.
    """
    return settled(_read(path, attribute), path)


def _read(path: Path, attribute: str | None) -> Annotations:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder of annotations; set data.folder.annotations")
    name = recognise(path)
    if name is None:
        raise DataError(
            f"{path}: annotations of no format that is read; they are {', '.join(dict.fromkeys([*FORMATS, *FILES, *FOLDERS]))}"
        )
    if path.is_dir() and name not in FOLDERS:
        parts = [(file, content) for file in json_files(path) if FORMATS[name][0](content := read_json(file))]
        return merged([_read_json(file, content, name, attribute) for file, content in parts])
    if not path.is_dir() and name not in FILES:
        return _read_json(path, read_json(path), name, attribute)
    with parsing(path, name):
        return FOLDERS[name][1](path) if path.is_dir() else FILES[name][2](path)


def _read_json(path: Path, content: Any, name: str, attribute: str | None) -> Annotations:
    read = functools.partial(read_via, attribute=attribute) if name == "VIA" else FORMATS[name][1]
    with parsing(path, name):
        return read(content, path)
