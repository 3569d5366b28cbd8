"""Maps labelled: the grid, the nodata and the labels of the whole image, through a kill, with polygons where they belong."""

import json
import multiprocessing
import os
import signal
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
import tifffile
import torch

from fullconv.data.images import read_image
from fullconv.data.rasters.settings import Percentiles
from fullconv.errors import DataError, SpecError
from fullconv.inference.digests import weights_digest
from fullconv.inference.predictor import Predictor
from fullconv.inference.rasters.geotiff import settings_of, write_labels
from fullconv.inference.rasters.inputs import find_maps
from fullconv.inference.rasters.predict import MapPlan, predict_map
from fullconv.inference.tiled.jobs import Tiling
from fullconv.labels import LabelSet
from fullconv.nn.build import build_model
from fullconv.spec import ImageSpec, ModelSpec
from made_maps import TURNED, write_map

CLASSES = LabelSet(("background", "water", "forest"), ((0, 0, 0), (0, 90, 255), (0, 140, 30)))
BANDS = ImageSpec(bands=(4, 3, 2, 1), range=(0, 3000))


def blobs(height: int, width: int, channels: int) -> np.ndarray:
    """16-bit values that change slowly, so that labels have regions."""
    random = np.random.default_rng(0)
    coarse = random.integers(1, 3000, (height // 16 + 1, width // 16 + 1, channels))
    return coarse.repeat(16, 0).repeat(16, 1)[:height, :width].astype(np.uint16)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False, channels=4), 3)
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    image = read_image(write_map(tmp_path_factory.mktemp("maps") / "a.tif", blobs(96, 96, 4)), BANDS)
    with torch.inference_mode():  # without what all pixels have in common, so that every class is somewhere the most probable
        logits = model.eval()(torch.from_numpy(image).permute(2, 0, 1)[None])["semantic"]
        bias = next(each for each in model.score_parameters() if each.shape == (3,))
        bias -= logits.mean((0, 2, 3))
    return Predictor(model, {"semantic": CLASSES}, image=BANDS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    values = blobs(150, 100, 4)
    values[:40, :50] = 0
    return write_map(tmp_path / "map.tif", values, nodata=0)


def labels_in(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_labels_are_those_of_the_whole_image_on_the_same_grid(predictor: Predictor, path: Path, tmp_path: Path) -> None:
    found = predict_map(predictor, path, tmp_path / "out" / "map.tif", MapPlan(tiling=Tiling(tile=64)))
    with rasterio.open(found.labels) as file, rasterio.open(path) as source:
        assert (file.transform, file.crs, file.shape, file.nodata) == (source.transform, source.crs, source.shape, 255)
        assert file.colormap(1)[2] == (0, 140, 30, 255)
        assert file.colorinterp[0].name == "palette"
        assert file.profile["compress"] == "deflate"
        assert file.tags()["CLASS_1"] == "water"
    whole = predictor.predict(read_image(path, BANDS)).labels  # by tifffile, in one piece
    expected = np.where((read_image(path, ImageSpec(bands=(1,), range=(0, 1))) == 0).all(2), 255, whole)
    np.testing.assert_array_equal(labels_in(found.labels), expected)
    assert len(np.unique(expected)) >= 3
    assert settings_of(found.labels) == found.settings | {"size": [150, 100]}
    assert not list(found.labels.parent.glob(".*"))


def test_a_large_file_has_tiles_and_overviews_of_the_most_frequent_labels(path: Path, tmp_path: Path) -> None:
    labels = np.repeat(np.repeat(np.arange(600 * 520, dtype=np.uint8).reshape(600, 520) % 3, 2, 0), 2, 1)
    labels[::2, ::2] = 0
    from fullconv.data.rasters.raster import Raster

    write_labels(tmp_path / "large.tif", labels, Raster(path), CLASSES, {}, "semantic")
    with rasterio.open(tmp_path / "large.tif") as file:
        assert file.block_shapes == [(512, 512)]
        assert file.overviews(1) == [2, 4]
        np.testing.assert_array_equal(file.read(1), labels)
        half = file.read(1, out_shape=(600, 520))
    np.testing.assert_array_equal(half, labels[1::2, 1::2])  # three of four pixels


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # within rasterio's tool
def test_gdals_own_tool_reads_it(predictor: Predictor, path: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner
    from rasterio.rio.main import main_group

    def info(file: Path, *more: str) -> dict[str, Any]:
        found = CliRunner().invoke(main_group, ["info", str(file), *more])
        assert found.exit_code == 0, found.output
        return json.loads(found.output)

    result = predict_map(predictor, path, tmp_path / "labels.tif", MapPlan()).labels
    said, source = info(result), info(path)
    place = ("crs", "transform", "bounds", "shape", "lnglat")
    assert [said[key] for key in place] == [source[key] for key in place]
    expected = {"driver": "GTiff", "dtype": "uint8", "nodata": 255.0, "colorinterp": ["palette"], "descriptions": ["semantic"]}
    assert {key: said[key] for key in expected} == expected
    assert info(result, "--tags")["CLASS_1"] == "water"


def _killed_after_two_rows(predictor: Predictor, path: Path, result: Path) -> None:
    def kill(done: int, of: int) -> None:
        if done >= 128:
            os.kill(os.getpid(), signal.SIGKILL)

    predict_map(predictor, path, result, MapPlan(tiling=Tiling(tile=64)), kill)


def test_a_killed_command_goes_on_where_it_was(predictor: Predictor, path: Path, tmp_path: Path) -> None:
    result = tmp_path / "out" / "map.tif"
    child = multiprocessing.get_context("fork").Process(target=_killed_after_two_rows, args=(predictor, path, result))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert not result.exists()
    rows: list[int] = []
    found = predict_map(predictor, path, result, MapPlan(tiling=Tiling(tile=64)), lambda done, of: rows.append(done))
    assert (found.went_on, rows) == (128, [150])
    other = predict_map(predictor, path, tmp_path / "other" / "map.tif", MapPlan(tiling=Tiling(tile=64)))
    assert result.read_bytes() == other.labels.read_bytes()
    assert predict_map(predictor, path, result, MapPlan(tiling=Tiling(tile=64))).written == []


class StoppedError(Exception):
    """Stands for a kill."""


def stop(done: int, of: int) -> None:
    raise StoppedError


def test_what_was_begun_in_another_way_does_not_go_on(predictor: Predictor, path: Path, tmp_path: Path) -> None:
    result = tmp_path / "map-labels.tif"

    with pytest.raises(StoppedError):
        predict_map(predictor, path, result, MapPlan(tiling=Tiling(tile=64)), stop)
    other = MapPlan(tiling=Tiling(tile=64), bands=(1, 2, 3, 4))
    with pytest.raises(
        DataError, match=r"was begun with bands \[4, 3, 2, 1\], and now with bands \[1, 2, 3, 4\]; choose another"
    ):
        predict_map(predictor, path, result, other)
    predict_map(predictor, path, result, replace(other, overwrite=True))
    with pytest.raises(DataError, match=r"was predicted with bands \[1, 2, 3, 4\], and now with bands \[4, 3, 2, 1\]"):
        predict_map(predictor, path, result, MapPlan(tiling=Tiling(tile=64)))
    with pytest.raises(DataError, match="predicted with weights , and now with weights 7"):
        predict_map(predictor, path, result, replace(other, weights="7"))


def test_stage_by_stage_it_goes_on_with_what_the_stages_held(predictor: Predictor, tmp_path: Path) -> None:
    path, result = write_map(tmp_path / "map.tif", blobs(600, 40, 4)), tmp_path / "out" / "a.tif"
    plan = MapPlan(tiling=Tiling(memory=10**10))
    with pytest.raises(StoppedError):
        predict_map(predictor, path, result, plan, stop)
    assert sorted(each.name for each in result.parent.iterdir()) == [".a.tif.bands", ".a.tif.rows"]
    assert predict_map(predictor, path, result, plan).went_on == 256
    assert [each.name for each in result.parent.iterdir()] == ["a.tif"]
    np.testing.assert_array_equal(labels_in(result), predictor.predict(read_image(path, BANDS)).labels)


def test_begun_in_tiles_and_given_again_without_it_is_whole(predictor: Predictor, path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        predict_map(predictor, path, tmp_path / "a.tif", MapPlan(tiling=Tiling(tile=64)), stop)
    found = predict_map(predictor, path, tmp_path / "a.tif", MapPlan())
    once = predict_map(predictor, path, tmp_path / "b.tif", MapPlan())
    np.testing.assert_array_equal(labels_in(found.labels), labels_in(once.labels))
    assert not list(tmp_path.glob(".a*"))


def test_an_unreadable_tile_is_told_with_its_place(predictor: Predictor, tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", blobs(96, 60, 4), compress="deflate")
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[-1]
    path.write_bytes(whole[:offset] + b"no pixels" + whole[offset + 9 :])
    with pytest.raises(DataError, match=r"map.tif: rows \d+ to 95, columns 0 to 59 cannot be read"):
        predict_map(predictor, path, tmp_path / "labels.tif", MapPlan(tiling=Tiling(tile=48)))
    assert not (tmp_path / "labels.tif").exists()
    path.write_bytes(whole)
    assert predict_map(predictor, path, tmp_path / "labels.tif", MapPlan(tiling=Tiling(tile=48))).written


def test_percentiles_are_stored_as_numbers_that_give_the_same_labels(predictor: Predictor, path: Path, tmp_path: Path) -> None:
    found = predict_map(predictor, path, tmp_path / "a.tif", MapPlan(limits=Percentiles(2, 98)))
    limits = tuple(tuple(pair) for pair in found.settings["range"])
    again = predict_map(predictor, path, tmp_path / "b.tif", MapPlan(limits=limits))
    assert again.settings["range"] == found.settings["range"]
    np.testing.assert_array_equal(labels_in(tmp_path / "a.tif"), labels_in(tmp_path / "b.tif"))
    plain = predict_map(predictor, path, tmp_path / "c.tif", MapPlan())
    assert plain.settings["range"] == [[0, 3000]]


def test_a_map_without_a_place_is_in_pixels_and_says_so(predictor: Predictor, tmp_path: Path) -> None:
    path = write_map(tmp_path / "a.tif", blobs(40, 50, 4), crs=None, transform=None)
    found = predict_map(predictor, path, tmp_path / "out.tif", MapPlan(outputs={"geojson", "gpkg"}))
    assert found.notes == [
        f"{path} does not say where on the earth it lies: labels lie on its pixels, and polygons are in pixels, y down"
    ]
    assert found.written == [tmp_path / "out.tif", tmp_path / "out.geojson", tmp_path / "out.gpkg"]
    content = json.loads((tmp_path / "out.geojson").read_text())
    assert "crs" not in content
    assert all("area" not in feature["properties"] for feature in content["features"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        labels = labels_in(tmp_path / "out.tif")
    shapes = [(shapely.geometry.shape(each["geometry"]), each["properties"]["label"]) for each in content["features"]]
    drawn = rasterio.features.rasterize(shapes, labels.shape) if shapes else np.zeros_like(labels)
    np.testing.assert_array_equal(drawn, labels)


def test_a_grid_without_a_name_stays(predictor: Predictor, tmp_path: Path) -> None:
    path = write_map(tmp_path / "a.tif", blobs(40, 50, 4), crs=None)
    found = predict_map(predictor, path, tmp_path / "out.tif", MapPlan())
    assert found.notes == [f"{path} has no coordinate system: the labels have its grid, and none either"]
    with rasterio.open(found.labels) as file:
        assert (file.transform, file.crs) == (TURNED, None)


@pytest.mark.parametrize("size", [(1, 9000), (9000, 1), (1, 1)])
def test_thin_maps_are_labelled(predictor: Predictor, tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_map(tmp_path / "a.tif", blobs(*size, 4), tiled=False, blockxsize=size[1], blockysize=1)
    found = predict_map(predictor, path, tmp_path / "out.tif", MapPlan())
    np.testing.assert_array_equal(labels_in(found.labels), predictor.predict(read_image(path, BANDS)).labels)


def test_what_is_no_map_of_the_model_is_refused(predictor: Predictor, path: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--bands names 2 bands, and the model reads 4 bands"):
        predict_map(predictor, path, tmp_path / "out.tif", MapPlan(bands=(1, 2)))
    depth = Predictor(build_model(ModelSpec(name="fcn32s-minivgg", streams=("rgb+depth",)), 3), {"semantic": CLASSES})
    with pytest.raises(SpecError, match="the model reads rgb, depth; of maps only models that read rgb alone"):
        predict_map(depth, path, tmp_path / "out.tif", MapPlan())
    scaled = Predictor(predictor.model, {"semantic": CLASSES}, image=BANDS, scale=0.5)
    with pytest.raises(SpecError, match="computed whole, where memory allows: --tile 150"):
        predict_map(scaled, path, tmp_path / "out.tif", MapPlan(tiling=Tiling(tile=64)))
    assert predict_map(scaled, path, tmp_path / "out.tif", MapPlan(tiling=Tiling(tile=150))).written
    write_map(tmp_path / "own.tif", blobs(20, 20, 1))
    with pytest.raises(DataError, match=r"own.tif was not written by fullconv and would be overwritten"):
        predict_map(predictor, path, tmp_path / "own.tif", MapPlan())


def test_models_of_other_weights_are_told_apart(predictor: Predictor) -> None:
    other = build_model(ModelSpec(name="fcn8s-minivgg", hidden_layers=False, channels=4), 3)
    assert weights_digest(predictor, "") != weights_digest(Predictor(other, {"semantic": CLASSES}), "")


def test_maps_are_found_and_results_do_not_meet(tmp_path: Path) -> None:
    write_map(tmp_path / "maps" / "a.tif", blobs(9, 9, 1))
    (tmp_path / "maps" / "a.tif.aux.xml").write_text("")
    (tmp_path / "maps" / "b.vrt").write_text("")
    out = tmp_path / "out"
    maps = str(tmp_path / "maps")
    found = [(source.name, result.relative_to(out).as_posix()) for source, result in find_maps([maps], out)]
    assert found == [("a.tif", "a.tif"), ("b.vrt", "b.tif")]
    with pytest.raises(DataError, match=r"a.tif is one of the maps and would be overwritten"):
        find_maps([maps], tmp_path / "maps")
    with pytest.raises(DataError, match=r"a.tif and .*a.vrt would both be written"):
        find_maps([maps, "a.vrt"], out)
    with pytest.raises(DataError, match="no maps in this folder"):
        find_maps([str(tmp_path)], out)


@pytest.mark.realdata
def test_a_real_map_keeps_its_place_and_its_holes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "rasters" / "rmnp-rgb.tif"
    torch.manual_seed(0)
    model = build_model(ModelSpec(name="fcn32s-minivgg", hidden_layers=False), 3)
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter)
    colors = Predictor(model, {"semantic": CLASSES})
    found = predict_map(colors, source, tmp_path / "a.tif", MapPlan(tiling=Tiling(tile=256), outputs={"geojson"}))
    with rasterio.open(source) as given, rasterio.open(found.labels) as file:
        assert (file.transform, file.crs, file.shape) == (given.transform, given.crs, given.shape)
        np.testing.assert_array_equal(file.read(1) == 255, given.dataset_mask() == 0)
        bounds = given.bounds
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:OGC:1.3:CRS84"
    for feature in content["features"]:
        left, bottom, right, top = shapely.geometry.shape(feature["geometry"]).bounds
        assert bounds.left - 1e-9 <= left <= right <= bounds.right + 1e-9
        assert bounds.bottom - 1e-9 <= bottom <= top <= bounds.top + 1e-9
