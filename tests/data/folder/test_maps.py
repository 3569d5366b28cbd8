"""Maps in a folder as samples: windows that cover them once, masks on the same grid or burnt from vectors of any system."""

import json
import pickle
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio.features
import rasterio.warp
import shapely

from fullconv.data import open_dataset
from fullconv.data.class_pixels import class_pixels
from fullconv.data.sample import RGB, SEMANTIC
from fullconv.errors import DataError
from fullconv.spec import DataSpec
from made_maps import TURNED, write_map

RANDOM = np.random.default_rng(0)
LABELS = {"background": 0, "road": 1, "field": 2}
IMAGE = {"bands": [4, 3, 2, 1], "range": [0, 3000]}
FIELD, ROAD = shapely.box(10, 5, 42, 30), shapely.LineString([(0, 20), (70, 20)])
"""In pixels: x to the right, y down."""


def on_the_map(shape: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(shape, lambda corners: np.array([TURNED @ tuple(corner) for corner in corners]))


def write_vectors(path: Path, shapes: list[tuple[shapely.Geometry, str]], field: str = "kind", crs: str = "EPSG:32633") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = np.array([shapely.to_wkb(shape) for shape, _ in shapes], object)
    names = np.array([name for _, name in shapes], object)
    kinds = {shape.geom_type for shape, _ in shapes}
    pyogrio.raw.write(path, content, [names], [field], geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown", crs=crs)
    return path


def values(height: int = 50, width: int = 70) -> np.ndarray:
    return RANDOM.integers(1, 3000, (height, width, 4)).astype(np.uint16)


def spec(root: Path, labels: dict | None = None, **folder: object) -> DataSpec:
    folder = {"images": "maps", "masks": "masks"} | folder
    return DataSpec.model_validate({"name": "folder", "root": root, "image": IMAGE, "folder": folder, "labels": labels or LABELS})


def whole(dataset: object, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the image (C, H, W) and mask (H, W) that the windows of one map make together; every pixel must come once."""
    image, mask, times = np.zeros((4, *size), np.uint8), np.zeros(size, np.int64), np.zeros(size, np.int64)
    for sample in (dataset[place] for place in range(len(dataset))):
        top, left = map(int, sample.name.partition("@")[2].split("+"))
        part = np.s_[top : top + sample.size[0], left : left + sample.size[1]]
        image[(slice(None), *part)], mask[part] = sample.inputs[RGB].numpy(), sample.targets[SEMANTIC].numpy()
        times[part] += 1
    assert (times == 1).all()
    return image, mask


def test_windows_of_a_map_and_its_mask_cover_both_once(tmp_path: Path) -> None:
    pixels, truth = values(), RANDOM.integers(0, 3, (50, 70, 1)).astype(np.uint8)
    pixels[:9, :20] = 0
    write_map(tmp_path / "maps" / "train" / "a.tif", pixels, nodata=0)
    write_map(tmp_path / "masks" / "train" / "a.tif", truth, nodata=0)  # as programs note the background
    dataset = open_dataset(spec(tmp_path, images="maps/{split}", masks="masks/{split}", window=[32, 24]), "train")
    assert len(dataset) == 2 * 3
    image, mask = whole(pickle.loads(pickle.dumps(dataset)), (50, 70))
    expected = np.round(pixels[..., ::-1] * (255 / 3000)).astype(np.uint8)
    np.testing.assert_array_equal(image, expected.transpose(2, 0, 1))
    lacks = (pixels == 0).all(2)
    np.testing.assert_array_equal(mask, np.where(lacks, 255, truth[..., 0]))
    counted = class_pixels(dataset, DataSpec())[SEMANTIC].sum(0)
    assert counted.tolist() == np.bincount(truth[..., 0][~lacks], minlength=3).tolist()


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857"])
def test_vectors_of_any_system_are_burnt_to_the_pixel(tmp_path: Path, crs: str) -> None:
    write_map(tmp_path / "maps" / "train" / "a.tif", values())
    write_map(tmp_path / "maps" / "val" / "b.tif", values())
    from_map = on_the_map(FIELD), on_the_map(shapely.box(40, 28, 70, 50))
    moved = [
        shapely.transform(
            shape, lambda c: np.column_stack(rasterio.warp.transform("EPSG:32633", crs, c[:, 0], c[:, 1])), include_z=False
        )
        for shape in from_map
    ]
    write_vectors(tmp_path / "truth.gpkg", list(zip(moved, ["field", "road"], strict=True)), crs=crs)
    folder = {"images": "maps/{split}", "labels_from": "truth.gpkg", "class_attribute": "kind", "window": [20, 32]}
    _, mask = whole(open_dataset(spec(tmp_path, **folder), "train"), (50, 70))
    expected = np.zeros((50, 70), np.int64)
    expected[5:30, 10:42] = 2
    expected[28:50, 40:70] = 1  # later ones lie on top
    np.testing.assert_array_equal(mask, expected)


def test_lines_have_the_width_that_is_said(tmp_path: Path) -> None:
    write_map(tmp_path / "maps" / "a.tif", values())
    write_vectors(tmp_path / "roads.gpkg", [(on_the_map(ROAD), "road")])
    folder = {"labels_from": "roads.gpkg", "val_share": 0, "window": [50, 70]}
    with pytest.raises(
        DataError, match=r"roads.gpkg: 1 shapes without an area \(LineString\); set data.folder.line_width \(init: --line-width\)"
    ):
        open_dataset(spec(tmp_path, **folder), "train")
    one = {"background": 0, "road": 1}
    _, mask = whole(open_dataset(spec(tmp_path, one, line_width=60, **folder), "train"), (50, 70))
    expected = np.zeros((50, 70), np.int64)
    expected[17:23] = 1  # 60 m are six pixels
    np.testing.assert_array_equal(mask[:, 4:66], expected[:, 4:66])


def test_geojson_as_predict_writes_it_is_truth_again(tmp_path: Path) -> None:
    write_map(tmp_path / "maps" / "a.tif", values())
    feature = {"type": "Feature", "properties": {"class": "field"}, "geometry": shapely.geometry.mapping(on_the_map(FIELD))}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    _, mask = whole(open_dataset(spec(tmp_path, labels_from="a.geojson", val_share=0), "train"), (50, 70))
    assert (mask == 2).sum() == 25 * 32


def test_windows_of_one_map_are_drawn_and_maps_fall_to_one_side(tmp_path: Path) -> None:
    write_vectors(tmp_path / "truth.gpkg", [(on_the_map(FIELD), "field")], field="class")
    write_map(tmp_path / "maps" / "a.tif", values())
    folder = {"labels_from": "truth.gpkg", "window": [16, 16]}
    train, val = (open_dataset(spec(tmp_path, **folder), split) for split in ("train", "val"))
    names = [{dataset[place].name for place in range(len(dataset))} for dataset in (train, val)]
    assert len(names[0] | names[1]) == 4 * 5 == len(names[0]) + len(names[1])
    assert len(names[1]) == 4
    for name in ("b.tif", "c.tif", "d.tif"):
        write_map(tmp_path / "maps" / name, values())
    train, val = (open_dataset(spec(tmp_path, **folder), split) for split in ("train", "val"))
    sides = [{dataset[place].name.partition("@")[0] for place in range(len(dataset))} for dataset in (train, val)]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set("abcd")


@pytest.mark.parametrize(
    ("mask", "options", "said"),
    [
        (
            (50, 70, 1),
            {"transform": TURNED @ rasterio.Affine.translation(1, 0)},
            "the mask lies elsewhere than its map a.tif: transform",
        ),
        ((50, 70, 1), {"crs": "EPSG:32634"}, "in EPSG:32634, the map's .* in EPSG:32633; bring it to the map's grid"),
        ((49, 70, 1), {}, "the mask is 49×70 but its map a.tif is 50×70"),
        ((50, 70, 3), {}, "a mask of 3 bands; one band"),
    ],
)
def test_masks_on_another_grid_are_refused(tmp_path: Path, mask: tuple[int, ...], options: dict, said: str) -> None:
    write_map(tmp_path / "maps" / "a.tif", values())
    write_map(tmp_path / "masks" / "a.tif", np.zeros(mask, np.uint8), **options)
    with pytest.raises(DataError, match=said):
        open_dataset(spec(tmp_path, window=[32, 32], val_share=0), "train")


@pytest.mark.parametrize(
    ("labels", "folder", "said"),
    [
        (LABELS, {"class_attribute": "art"}, "no attribute 'art'; data.folder.class_attribute is one of kind"),
        (LABELS, {}, "nothing says of which of 2 classes its shapes are; set data.folder.class_attribute to one of kind"),
        (
            {"background": 0, "road": 1},
            {"class_attribute": "kind"},
            "shapes of the class 'field', which data.labels does not have",
        ),
        (LABELS, {"labels_from": "none.gpkg"}, "none.gpkg: no such file; set data.folder.labels_from"),
        (LABELS, {"labels_from": "text.gpkg"}, "text.gpkg: cannot be read as a vector file"),
        (LABELS | {"other": 255}, {"class_attribute": "kind"}, "data.labels gives 255 to a class"),
    ],
)
def test_what_cannot_be_burnt_is_told(tmp_path: Path, labels: dict, folder: dict, said: str) -> None:
    write_map(tmp_path / "maps" / "a.tif", values())
    write_vectors(tmp_path / "truth.gpkg", [(on_the_map(FIELD), "field")])
    (tmp_path / "text.gpkg").write_text("no vectors")
    with pytest.raises(DataError, match=said):
        open_dataset(spec(tmp_path, labels, **{"labels_from": "truth.gpkg", "val_share": 0} | folder), "train")


def test_one_class_needs_no_attribute_and_names_may_count_as_others(tmp_path: Path) -> None:
    write_map(tmp_path / "maps" / "a.tif", values())
    write_vectors(tmp_path / "truth.gpkg", [(on_the_map(FIELD), "7")])
    folder = {"labels_from": "truth.gpkg", "val_share": 0}
    _, mask = whole(open_dataset(spec(tmp_path, {"background": 0, "hut": 5}, **folder), "train"), (50, 70))
    assert (mask == 1).sum() == 25 * 32
    named = {"class_attribute": "kind", "rename": {"7": "ignore"}}
    _, mask = whole(open_dataset(spec(tmp_path, **folder, **named), "train"), (50, 70))
    assert (mask == 255).sum() == 25 * 32


def test_bands_that_nobody_declared_are_asked_for_by_the_recipes_keys(tmp_path: Path) -> None:
    write_map(tmp_path / "maps" / "a.tif", values())
    write_vectors(tmp_path / "truth.gpkg", [(on_the_map(FIELD), "field")], field="class")
    plain = spec(tmp_path, labels_from="truth.gpkg", val_share=0).model_copy(update={"image": DataSpec().image})
    with pytest.raises(DataError, match=r"say which they are by data.image.bands, such as \[1, 2, 3\]"):
        open_dataset(plain, "train")[0]
    four = DataSpec.model_validate({"image": {"bands": [1, 2, 3, 4]}}).image
    with pytest.raises(
        DataError, match=r"type uint16 have no agreed range; .* data.image.range: \[\d+, [\d.e+]+\] \(its percentiles"
    ):
        open_dataset(plain.model_copy(update={"image": four}), "train")[0]
