"""Maps read by windows: the values that rasterio wrote, bands and ranges that are decided once for a file."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from fullconv.data.images import read_image
from fullconv.data.rasters.raster import PIXELS, Raster
from fullconv.data.rasters.settings import Percentiles, open_map
from fullconv.errors import DataError, SpecError
from fullconv.spec import ImageSpec
from made_maps import TURNED, write_map

RANDOM = np.random.default_rng(0)
DEEP = RANDOM.integers(0, 3000, (40, 50, 4)).astype(np.uint16)


def test_facts_are_those_that_were_written(tmp_path: Path) -> None:
    raster = Raster(write_map(tmp_path / "a.tif", DEEP))
    assert (raster.size, raster.bands, raster.dtype, raster.block) == ((40, 50), 4, "uint16", (16, 16))
    assert raster.transform == tuple(TURNED)[:6]
    assert raster.crs_name == "EPSG:32633"
    assert not raster.may_lack


def test_every_window_is_the_part_of_the_whole(tmp_path: Path) -> None:
    reader = open_map(Raster(write_map(tmp_path / "a.tif", DEEP, nodata=7)), ImageSpec(bands=(4, 3, 2), range=(0, 3000)))
    whole = read_image(tmp_path / "a.tif", ImageSpec(bands=(4, 3, 2), range=(0, 3000)))  # by tifffile: another way to read it
    for top, left, height, width in [(0, 0, 40, 50), (15, 16, 2, 3), (39, 49, 1, 1), (7, 30, 33, 20)]:
        window = np.s_[top : top + height, left : left + width]
        np.testing.assert_array_equal(reader.read(top, left, height, width), whole[window])
        lacks = (DEEP[..., [3, 2, 1]] == 7).all(2)
        np.testing.assert_array_equal(reader.valid(top, left, height, width), ~lacks[window])


def test_percentiles_are_of_the_pixels_with_a_measurement(tmp_path: Path) -> None:
    values = np.arange(10_000, dtype=np.float32).reshape(100, 100, 1)
    values[:50] = -9999
    values[50, 0] = np.nan
    raster = Raster(write_map(tmp_path / "a.tif", values, nodata=-9999))
    known = values[50:].ravel()[1:]
    reader = open_map(raster, ImageSpec(), limits=Percentiles(2, 98))
    assert reader.limits == (tuple(np.percentile(known.astype(np.float64), (2, 98))),)
    assert reader.settings() == open_map(raster, ImageSpec(), limits=reader.limits).settings()
    image = reader.read(0, 0, 100, 100)
    assert not image[:50].any()
    assert not reader.valid(0, 0, 50, 100).any()
    assert not reader.valid(50, 0, 1, 1).any()
    assert image[99, 99].tolist() == [255] * 3


def test_a_sample_takes_pixels_from_everywhere_and_the_same_ones_each_time(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:90, :70]
    raster = Raster(write_map(tmp_path / "a.tif", np.stack([rows, columns], 2).astype(np.uint16)))
    found = raster.sample([1, 2], 100)
    assert 60 <= len(found) <= 160
    assert np.ptp(found, axis=0).min() >= 55
    np.testing.assert_array_equal(found, Raster(raster.path).sample([1, 2], 100))
    assert len(raster.sample([1, 2], 10**6)) == 90 * 70


def test_a_color_table_gives_colors(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 3, (20, 30, 1)).astype(np.uint8)
    table = {0: (9, 8, 7), 1: (255, 0, 1), 2: (0, 200, 3)}
    reader = open_map(Raster(write_map(tmp_path / "a.tif", values, colors=table, photometric="palette")), ImageSpec())
    assert reader.read(2, 3, 4, 5).tolist() == [[list(table[v]) for v in row] for row in values[2:6, 3:8, 0].tolist()]


def test_transparency_is_no_band_but_says_where_nothing_is(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 255, (20, 30, 4)).astype(np.uint8)
    values[:5, :, 3], values[5:, :, 3] = 0, 255
    reader = open_map(Raster(write_map(tmp_path / "a.tif", values, photometric="RGB", alpha="yes")), ImageSpec())
    assert reader.bands == (1, 2, 3)
    np.testing.assert_array_equal(reader.read(0, 0, 20, 30), values[..., :3])
    assert reader.valid(0, 0, 20, 30).any(1).tolist() == [False] * 5 + [True] * 15


def test_a_file_without_a_place_on_the_earth_is_in_pixels(tmp_path: Path) -> None:
    path = write_map(tmp_path / "a.tif", DEEP[..., :1], crs=None, transform=None)
    raster = Raster(path)
    assert (raster.crs_name, raster.crs_wkt, raster.transform) == ("none", None, PIXELS)


def test_a_mosaic_and_a_file_for_the_cloud_are_read_as_any_other(tmp_path: Path) -> None:
    straight = rasterio.Affine(10, 0, 500_000, 0, -10, 5_600_000)
    write_map(tmp_path / "a.tif", DEEP[:, :30], transform=straight)
    write_map(tmp_path / "b.tif", DEEP[:, 30:], transform=straight @ rasterio.Affine.translation(30, 0))
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}">'
        + "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>{band}</SourceBand>'
            f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="40"/><DstRect xOff="{left}" yOff="0" xSize="{width}" ySize="40"/>'
            "</SimpleSource>"
            for name, left, width in (("a.tif", 0, 30), ("b.tif", 30, 20))
        )
        + "</VRTRasterBand>"
        for band in range(1, 5)
    )
    mosaic = tmp_path / "all.vrt"
    mosaic.write_text(f'<VRTDataset rasterXSize="50" rasterYSize="40">{bands}</VRTDataset>')
    write_map(tmp_path / "whole.tif", DEEP)
    rasterio.shutil.copy(tmp_path / "whole.tif", tmp_path / "cog.tif", driver="COG")
    for path in (mosaic, tmp_path / "cog.tif"):
        np.testing.assert_array_equal(Raster(path).read([1, 2, 3, 4], 10, 25, 20, 20), DEEP[10:30, 25:45])


def test_a_reader_goes_to_another_process(tmp_path: Path) -> None:
    reader = open_map(Raster(write_map(tmp_path / "a.tif", DEEP)), ImageSpec(bands=(1,), range=(0, 3000)))
    image = reader.read(0, 0, 5, 5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).read(0, 0, 5, 5), image)


@pytest.mark.parametrize(
    ("values", "options", "how", "given", "said"),
    [
        (
            DEEP,
            {},
            ImageSpec(range=(0, 1)),
            {},
            r"a.tif: 4 bands, and the model reads 3 bands; say which .* by --bands, such as 1,2,3",
        ),
        (DEEP, {}, ImageSpec(bands=(1, 2, 5), range=(0, 1)), {}, r"a.tif: 4 bands, and bands \[1, 2, 5\] are to be read"),
        (DEEP, {}, ImageSpec(bands=(1, 2, 3, 4)), {"bands": (1, 2)}, "--bands names 2 bands, and the model reads 4 bands"),
        (DEEP[..., :3], {}, ImageSpec(), {}, r"type uint16 have no agreed range; .* --range \d+,\d+ .* or --range 2%,98%"),
        (DEEP[..., :3] * 0, {}, ImageSpec(), {"limits": Percentiles(1, 9)}, "band 1 is 0 at both percentiles, 1 and 9"),
        (DEEP[..., :3] * 0, {"nodata": 0}, ImageSpec(), {"limits": Percentiles(1, 9)}, "no pixel has a measurement"),
        (DEEP[..., :3], {}, ImageSpec(), {"limits": ((0, 1), (0, 2))}, "3 bands are read, and --range has 2 pairs"),
        (
            DEEP[..., :3].astype(np.uint8),
            {},
            ImageSpec(range=(0, 4000)),
            {},
            "8 bits a band, and the model learned values up to 4000",
        ),
    ],
)
def test_what_cannot_be_decided_is_asked(
    tmp_path: Path, values: np.ndarray, options: dict, how: ImageSpec, given: dict, said: str
) -> None:
    raster = Raster(write_map(tmp_path / "a.tif", values, **options))
    with pytest.raises(DataError, match=said):
        open_map(raster, how, **given)


def test_percentiles_must_be_in_order() -> None:
    with pytest.raises(SpecError, match="percentiles from 98 to 2; give two from 0 to 100"):
        Percentiles(98, 2)


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    path = write_map(tmp_path / "a.tif", RANDOM.integers(0, 3000, (64, 64, 1)).astype(np.uint16), compress="deflate")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a.tif: rows 0 to 63, columns 0 to 63 cannot be read .* cut short"):
        Raster(path).read([1], 0, 0, 64, 64)
    with pytest.raises(DataError, match=r"none.tif: no such file"):
        Raster(tmp_path / "none.tif").size  # noqa: B018  # asking opens it
    (tmp_path / "text.tif").write_text("no map")
    with pytest.raises(DataError, match=r"text.tif cannot be read"):
        Raster(tmp_path / "text.tif").size  # noqa: B018
