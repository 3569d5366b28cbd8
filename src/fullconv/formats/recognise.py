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
"""Formats with a file for each image."""


def recognise(path: Path) -> str | None:
    """Return the format of a file or a folder of annotations; ``None`` where it is of none.

    Of a folder with a file for each image, the first that is one counts.

    Raises
    ------
    DataError
        When the file is missing, or JSON that cannot be read.
    """
    if path.is_dir():
        return next((name for name, (fits, _) in FOLDERS.items() if fits(path)), None) or _one_each_in(path)
    suffix = path.suffix.lower()
    for name, (suffixes, fits, _) in FILES.items():
        if suffix in suffixes and fits(path):
            return name
    return format_of(read_json(path)) if suffix in (".json", ".geojson") else None


def format_of(content: Any) -> str | None:
    """Return the format of a JSON file's content."""
    return next((name for name, (fits, _) in FORMATS.items() if fits(content)), None)


def _one_each_in(folder: Path) -> str | None:
    for path in json_files(folder):
        found = format_of(read_json(path))
        if found in ONE_EACH:
            return found
    return None


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
        When it is missing, damaged, or of no format that is known.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder of annotations; set data.folder.annotations")
    name = recognise(path)
    if name is None:
        raise DataError(
            f"{path}: annotations of no format that is read; they are {', '.join(dict.fromkeys([*FORMATS, *FILES, *FOLDERS]))}"
        )
    if path.is_dir() and name in ONE_EACH:
        return _read_each(path, name)
    with parsing(path, name):
        if path.is_dir():
            return FOLDERS[name][1](path)
        if name in FILES:
            return FILES[name][2](path)
        read = functools.partial(read_via, attribute=attribute) if name == "VIA" else FORMATS[name][1]
        return read(read_json(path), path)


def _read_each(folder: Path, name: str) -> Annotations:
    fits, read = FORMATS[name]
    parts = []
    for path in json_files(folder):
        content = read_json(path)
        if fits(content):
            with parsing(path, name):
                parts.append(read(content, path))
    return merged(parts)
