"""A trained model, put to work on maps of any size: window by window, resumable, with the same grid as the map."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.data.rasters.raster import PIXELS, Raster
from fullconv.data.rasters.settings import MapReader, Percentiles, Range, open_map
from fullconv.data.sample import RGB
from fullconv.errors import DataError, GeometryError, SpecError
from fullconv.inference.digests import differences, ends_digest
from fullconv.inference.predictor import Predictor
from fullconv.inference.rasters.geotiff import NODATA, settings_of, write_labels
from fullconv.inference.rasters.polygons import crs_member, write_geopackage, write_map_geojson
from fullconv.inference.threshold import check_threshold
from fullconv.inference.tiled.begun import Begun, about_of, discard, has_rows
from fullconv.inference.tiled.jobs import PLAIN, Tiling
from fullconv.inference.tiled.plan import Cut, cut_within
from fullconv.inference.tiled.verify import Verifier
from fullconv.labels import LabelSet

SMALL, LONGEST = 1_000_000, 4096
"""Pixels, and pixels along a side, up to which maps are computed whole where nothing is said; nets widen thin ones."""

POLYGONS: dict[str, tuple[str, Callable[[Path, Path, LabelSet], int]]] = {
    "geojson": (".geojson", write_map_geojson),
    "gpkg": (".gpkg", write_geopackage),
}
"""What can be written beside the labels: how the file's name ends, and what writes it."""

Progress = Callable[[int, int], None]
"""Called with the rows that are finished and all rows."""


@dataclass(frozen=True)
class MapPlan:
    """How maps are predicted.

    Parameters
    ----------
    bands, limits
        Of the files, in place of the model's; see :func:`fullconv.data.rasters.settings.open_map`.
    head
        Which of the model's outputs; the first by default.
    tiling
        How maps are cut that are not computed whole: memory, tiles and so on. Whole are those of at most :data:`SMALL` pixels,
        or that fit into a tile where one is said.
    outputs
        Names of :data:`POLYGONS`.
    overwrite
        Begin again, whatever is there.
    weights
        What tells the model from others, see :func:`fullconv.inference.digests.weights_digest`.
    """

    bands: tuple[int, ...] | None = None
    limits: Range | None = None
    head: str | None = None
    tiling: Tiling = PLAIN
    outputs: Collection[str] = ()
    overwrite: bool = False
    weights: str = ""


@dataclass
class MapOutcome:
    """What became of a map.

    Attributes
    ----------
    labels
        The GeoTIFF.
    written
        All files that are new.
    went_on
        The row at which an earlier command had stopped, 0 where there was none.
    notes
        What a person should know.
    settings
        Bands, range and so on, in numbers.
    """

    labels: Path
    written: list[Path] = field(default_factory=list)
    went_on: int = 0
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def predict_map(
    predictor: Predictor, source: Path, result: Path, plan: MapPlan, progress: Progress = lambda done, of: None
) -> MapOutcome:
    """Label every pixel of a map; write a GeoTIFF on the same grid, and polygons where they are asked for.

    Parameters
    ----------
    predictor
        The model; it reads ``rgb``, of as many bands as it likes.
    source
        The map: GeoTIFF, VRT or what else GDAL reads.
    result
        The GeoTIFF of labels, uint8; 255 where the map has no measurement. Polygons have its name with another suffix.
    plan
        How.
    progress
        Called after each row of tiles.

    Raises
    ------
    DataError
        When the map cannot be read, or has other bands or values than the model reads; when labels are there that were computed
        in another way. What was computed before stays, and the same call goes on there.
    SpecError
        When the model reads other inputs than ``rgb``, or cannot be tiled and the map is large.
    FullconvError
        When a file cannot be written.
    """
    if tuple(predictor.engine.inputs) != (RGB,):
        raise SpecError(
            f"the model reads {', '.join(predictor.engine.inputs)}; of maps only models that read {RGB} alone are run"
        )
    head = predictor.head(plan.head)
    check_threshold(predictor.threshold, predictor.labels[head], head)
    raster = Raster(source)
    reader = open_map(raster, predictor.image, plan.bands, plan.limits)
    outcome = MapOutcome(result, settings=_settings(predictor, reader, head, plan), notes=_notes(raster, plan))
    if plan.overwrite or not _is_there(result, outcome.settings):
        _compute(predictor, reader, head, plan, outcome, progress)
    discard(_bands(result))
    for name in (name for name in POLYGONS if name in plan.outputs):
        suffix, write = POLYGONS[name]
        path = result.with_suffix(suffix)
        if plan.overwrite or result in outcome.written or not path.exists():
            write(path, result, predictor.labels[head])
            outcome.written.append(path)
    return outcome


def _compute(predictor: Predictor, reader: MapReader, head: str, plan: MapPlan, outcome: MapOutcome, progress: Progress) -> None:
    size, tiling = reader.raster.size, plan.tiling
    about = (reader.raster, predictor.labels[head], outcome.settings, head)
    if plan.overwrite:
        discard(_bands(outcome.labels))
    _check_begun(outcome)
    if _is_whole(size, tiling):
        labels = predictor.predict_batch([{RGB: reader.read(0, 0, *size)}], head)[0].labels
        write_labels(outcome.labels, _measured(reader, 0, labels), *about)
        progress(size[0], size[0])
    else:
        how, say = partial(_cut, predictor, reader, head, tiling), partial(_say, tiling, reader)
        begun = Begun(_bands(outcome.labels), size, {"layers": ["labels"], "settings": outcome.settings}, how, say)
        outcome.went_on = begun.bands.rows
        verifier = Verifier(size, tiling.verify, begun.bands.rows) if tiling.verify and begun.bands.rows < size[0] else None
        try:
            for layers in begun.further_rows(predictor, reader.read, head=head, look=verifier.look if verifier else None):
                begun.bands.add({"labels": _measured(reader, begun.bands.rows, layers["labels"])})
                progress(begun.bands.rows, size[0])
            if verifier is not None:
                found = verifier.largest_difference(predictor, reader.read, head, begun.how)
                tiling.say(f"logits of {tiling.verify} windows, computed once more by themselves, differ by {found:.1e} at most")
            write_labels(outcome.labels, begun.bands.layer("labels", size[1]), *about)
        finally:
            begun.close()
    outcome.written.append(outcome.labels)


def _bands(result: Path) -> Path:
    """Return where finished rows are kept."""
    return result.with_name(f".{result.name}.bands")


def _check_begun(outcome: MapOutcome) -> None:
    """Stop where labels were begun in another way, which the message says."""
    path, now = _bands(outcome.labels), json.loads(json.dumps(outcome.settings))
    before = about_of(path) or {}
    if has_rows(path) and "settings" in before and before["settings"] != now:
        raise DataError(
            f"{outcome.labels} was begun with {differences(before['settings'], now)}; choose another --out, or --overwrite it"
        )


def _is_whole(size: tuple[int, int], tiling: Tiling) -> bool:
    """Return whether a map is so small that it is computed in one piece."""
    if tiling.tile is not None:
        return max(size) <= tiling.tile
    return max(size) <= LONGEST and size[0] * size[1] <= SMALL and tiling.memory is None


def _measured(reader: MapReader, top: int, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return whole rows of labels without those of pixels that were not measured."""
    return np.where(reader.valid(top, 0, *labels.shape), labels, np.uint8(NODATA))


def _cut(predictor: Predictor, reader: MapReader, head: str, tiling: Tiling) -> Cut:
    size = reader.raster.size
    try:
        return cut_within(predictor, size, tiling.memory, head, tiling.tile, tiling.approximate)
    except (GeometryError, SpecError) as error:
        raise SpecError(f"{error}; or let the map be computed whole, where memory allows: --tile {max(size)}") from error


def _say(tiling: Tiling, reader: MapReader, line: str) -> None:
    tiling.say(f"{reader.raster.path}: {line}")


def _is_there(result: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether a map's labels are there, computed in this way; stop where they were computed in another."""
    if not result.exists():
        return False
    before = settings_of(result)
    if before is None:
        raise DataError(f"{result} was not written by fullconv and would be overwritten; choose another --out, or move it away")
    if before != json.loads(json.dumps(dict(settings))):
        raise DataError(f"{result} was predicted with {differences(before, settings)}; choose another --out, or --overwrite it")
    return True


def _settings(predictor: Predictor, reader: MapReader, head: str, plan: MapPlan) -> dict[str, Any]:
    """Return what the labels depend on, as JSON has it, in numbers that give them again."""
    size = reader.raster.size
    percent = plan.limits if isinstance(plan.limits, Percentiles) else None
    found: dict[str, Any] = {"map": reader.raster.path.name, "size": list(size), "content": ends_digest(reader.raster.path)}
    found |= reader.settings() | {"head": head, "weights": plan.weights}
    found |= {"percentiles": [percent.low, percent.high]} if percent else {}
    found |= {"threshold": predictor.threshold} if predictor.threshold is not None else {}
    found |= {"precision": predictor.precision} if predictor.precision != "fp32" else {}
    return found


def _notes(raster: Raster, plan: MapPlan) -> list[str]:
    polygons = bool(set(plan.outputs) & set(POLYGONS))
    notes = []
    if raster.transform == PIXELS:
        notes.append(
            f"{raster.path} does not say where on the earth it lies: labels lie on its pixels"
            + (", and polygons are in pixels, y down" if polygons else "")
        )
    elif raster.crs_wkt is None:
        notes.append(f"{raster.path} has no coordinate system: the labels have its grid, and none either")
    elif "geojson" in plan.outputs and crs_member(raster) is None:
        notes.append(
            f"GeoJSON cannot name the coordinate system {raster.crs_name}, which has no number; --gpkg writes a GeoPackage "
            "that has it"
        )
    return notes
