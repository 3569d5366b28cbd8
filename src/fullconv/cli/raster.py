"""The command ``raster``: a trained model, put to work on maps."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from fullconv.cli.engine import NOT_SAID, Computing
from fullconv.cli.model_options import AsJson, Checkpoint, Device, Head, Overwrite, Threshold
from fullconv.cli.output import log, log_head, progress_bar, show
from fullconv.cli.tiling import AS_NEEDED, Parts

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from fullconv.data.rasters.settings import Range


@Parameter(name="*", negative="")
@dataclass(frozen=True)
class Files:
    """How a map's bands and values are read, and what is written beside the labels.

    Parameters
    ----------
    bands
        Which bands of the files the model sees, counted from 1, in its order: 4,3,2; the model's own by default.
    range
        The values that become 0 and 255: LOW,HIGH of all bands, LOW:HIGH,LOW:HIGH,… of each, or 2%,98% for percentiles of each
        file; the model's own by default.
    geojson
        Also write polygons in the map's coordinates: NAME.geojson.
    gpkg
        Also write them as a GeoPackage: NAME.gpkg.
    areas
        Also write a table of all maps with every class's pixels, share and area: areas.csv.
    """

    bands: str | None = None
    range: str | None = None
    geojson: bool = False
    gpkg: bool = False
    areas: bool = False


def raster(
    checkpoint: Checkpoint,
    /,
    *maps: str,
    out: Path = Path("labels"),
    files: Files = Files(),
    parts: Parts = AS_NEEDED,
    overwrite: Overwrite = False,
    head: Head = None,
    threshold: Threshold = None,
    device: Device = "auto",
    computing: Computing = NOT_SAID,
    as_json: AsJson = False,
) -> int:
    """Label every pixel of maps of any size; write GeoTIFFs on the same grid, in tiles, with overviews and colours.

    Maps are read and computed window by window, with the labels that the whole map would give. A command that was stopped goes on
    when it is given again. A map that cannot be read is reported and the others go on; the exit code is then 1.

    Parameters
    ----------
    maps
        GeoTIFF, cloud-optimised or not, VRT mosaics, JPEG 2000 and what else GDAL reads; or folders of them.
    out
        Folder of the results: NAME.tif for each map.
    files
        How they are read, and what is written beside the labels.
    parts
        How large maps are cut.
    computing
        By which engine.

    Examples
    --------
    fullconv raster run/model.safetensors scene.tif --bands 4,3,2 --gpkg
    fullconv raster run/model.safetensors maps/ --out labels
    """
    from fullconv.errors import DataError
    from fullconv.inference.digests import weights_digest
    from fullconv.inference.engines.choose import pixels_of
    from fullconv.inference.load import load
    from fullconv.inference.rasters.areas import write_map_areas
    from fullconv.inference.rasters.inputs import find_maps
    from fullconv.inference.rasters.predict import MapPlan, predict_map

    if not maps:
        raise DataError("no maps are given; give GeoTIFF or other files, or folders of them, after the checkpoint")
    bands, limits = read_bands(files.bands), read_range(files.range)
    found = find_maps(maps, out)
    predictor = load(checkpoint, device, threshold)
    log_head(predictor.labels, head)
    computing.prepare([predictor], lambda: pixels_of(source for source, _ in found), "eager")
    outputs = [name for name in ("geojson", "gpkg") if getattr(files, name)]
    plan = MapPlan(bands, limits, head, parts.tiling(log), outputs, overwrite, weights_digest(predictor, checkpoint))
    done: dict[str, object] = {}
    failed: dict[str, str] = {}
    for source, result in found:
        try:
            with progress_bar(source.name) as bar:
                task = bar.add_task("rows", total=None)
                outcome = predict_map(predictor, source, result, plan, functools.partial(_step, bar, task))
        except DataError as error:
            failed[str(source)] = str(error)
            log(f"error: {' '.join(str(error).split())}")
            continue
        except KeyboardInterrupt:
            again = " without --overwrite" if overwrite else ""
            raise KeyboardInterrupt(f"stopped; what is finished is kept in {out}, the same command{again} goes on") from None
        for note in outcome.notes:
            log(f"note: {note}")
        if outcome.went_on:
            log(f"{source}: went on at row {outcome.went_on}, where an earlier command had stopped")
        log(_said(source, result, [path.name for path in outcome.written], outcome.settings))
        done[str(source)] = {"labels": str(result), "written": [str(path) for path in outcome.written], **outcome.settings}
    if files.areas and done:
        write_map_areas(
            out / "areas.csv", [result for source, result in found if str(source) in done], predictor.labels[predictor.head(head)]
        )
        log(f"{out / 'areas.csv'}: areas of {len(done)} map{'s' * (len(done) != 1)}")
    if as_json:
        show(json.dumps({"predicted": done, "failed": failed}))
    return 1 if failed else 0


def _step(bar: "Progress", task: "TaskID", rows: int, of: int) -> None:
    bar.update(task, completed=rows, total=of)


def _said(source: Path, result: Path, written: list[str], settings: dict) -> str:
    """Return in one line what became of a map, with what was decided for it."""
    pairs = [f"{low:g}:{high:g}" for low, high in settings["range"]]
    how = f"bands {','.join(map(str, settings['bands']))}, {','.join(pairs)} to 0:255"
    if not written:
        return f"{source}: {result} is there already, of {how} (--overwrite predicts it again)"
    return f"{source}: {how}; {', '.join(written)} written into {result.parent}"


def read_bands(text: str | None) -> tuple[int, ...] | None:
    """Return the bands that an option names.

    Raises
    ------
    SpecError
        When it is no list of numbers from 1 on.

    Examples
    --------
    >>> read_bands("4,3,2")
    (4, 3, 2)
    """
    from fullconv.errors import SpecError

    if text is None:
        return None
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise SpecError(f"--bands {text} is no list of bands; give their numbers, counted from 1, such as 4,3,2")
    return found


def read_range(text: str | None) -> "Range | None":
    """Return the range that an option states.

    Raises
    ------
    SpecError
        When it is none.

    Examples
    --------
    >>> read_range("0,3000"), read_range("0:10,0:20"), read_range("2%,98%")
    (((0.0, 3000.0),), ((0.0, 10.0), (0.0, 20.0)), Percentiles(low=2.0, high=98.0))
    """
    from fullconv.data.rasters.settings import Percentiles
    from fullconv.errors import SpecError
    from fullconv.spec import ImageSpec

    if text is None:
        return None
    parts = text.split(",")
    try:
        if "%" in text:
            low, high = (float(part.strip().removesuffix("%")) for part in parts)
            return Percentiles(low, high)
        pairs = [tuple(map(float, part.split(":"))) for part in parts] if ":" in text else [tuple(map(float, parts))]
        return ImageSpec.model_validate({"range": pairs}).limits
    except ValueError as error:
        raise SpecError(
            f"--range {text} is none; give LOW,HIGH of all bands, LOW:HIGH,LOW:HIGH of each, or percentiles such as 2%,98%"
        ) from error
