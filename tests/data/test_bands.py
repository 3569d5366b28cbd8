"""Images of other bands, depths and pages than 8-bit colour are read as declared, or refused in one line."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiffs import write_tiff

from fullconv.data.images import decode, glance, is_image, read_image
from fullconv.data.mask_pages import marks_classes, read_class_pages
from fullconv.errors import DataError
from fullconv.spec import ImageSpec


def values(dtype: str, bands: int, top: int = 4096) -> NDArray[np.generic]:
    return np.random.default_rng(bands).integers(0, top, (9, 14, bands)).astype(dtype)


def naive(stored: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    return np.array([round(min(max((float(v) - low) / (high - low), 0), 1) * 255) for v in stored.ravel()], np.uint8).reshape(
        stored.shape
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("dtype", "bands"), [("uint16", 4), ("uint16", 5), ("int16", 3), ("float32", 6), ("uint16", 2)])
def test_bands_of_any_number_and_depth(dtype: str, bands: int, planar: bool, order: str, tmp_path: Path) -> None:
    stored = values(dtype, bands)
    path = write_tiff(tmp_path / "a.tif", [stored], order=order, planar=planar)
    chosen = tuple(range(bands, 0, -1))
    found = read_image(path, ImageSpec(bands=chosen, range=(0, 4095)))
    np.testing.assert_allclose(found, naive(stored[..., ::-1], 0, 4095), atol=1 if dtype == "float32" else 0)


def test_a_fourth_band_is_a_band_and_not_transparency(tmp_path: Path) -> None:
    stored = values("uint8", 4, 256)
    path = write_tiff(tmp_path / "a.tif", [stored], extra={338: [2]})  # as GDAL calls it
    assert np.array_equal(read_image(path, ImageSpec(bands=(1, 2, 3, 4))), stored)
    assert np.array_equal(read_image(path, ImageSpec(bands=(4, 3, 2))), stored[..., [3, 2, 1]])
    with pytest.raises(DataError, match=r"a.tif: 4 bands, where colour has three; .* data.image.bands, such as \[1, 2, 3\]"):
        read_image(path)
    stored[..., 3] = 255  # says nothing, so it cannot be misread
    assert np.array_equal(read_image(write_tiff(tmp_path / "b.tif", [stored])), stored[..., :3])


def test_a_file_that_lacks_a_band_is_told_so(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: 3 bands, and data.image.bands, .* reads \[1, 2, 3, 4\]"):
        read_image(tmp_path / "a.png", ImageSpec(bands=(1, 2, 3, 4)))


def test_a_pair_for_each_band(tmp_path: Path) -> None:
    stored = values("uint16", 3)
    path = write_tiff(tmp_path / "a.tif", [stored])
    found = read_image(path, ImageSpec(range=((0, 1000), (500, 4000), (0, 4095))))
    for band, (low, high) in enumerate([(0, 1000), (500, 4000), (0, 4095)]):
        assert np.array_equal(found[..., band], naive(stored[..., band], low, high))


@pytest.mark.parametrize("bands", [1, 3])
def test_twelve_bits_in_sixteen_are_never_read_almost_black(bands: int, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [values("uint16", bands)])
    with pytest.raises(DataError, match=r"a.tif: 16-bit pixels of which none is above \d+, so they may be of 12 bits"):
        read_image(path)
    tagged = write_tiff(tmp_path / "b.tif", [values("uint16", bands)], extra={281: [4095] * bands})  # MaxSampleValue
    expected = naive(values("uint16", bands), 0, 4095)
    assert np.array_equal(read_image(tagged), np.repeat(expected, 3, 2) if bands == 1 else expected)


def test_sixteen_bits_that_are_used_are_sixteen_bits(tmp_path: Path) -> None:
    stored = values("uint16", 3, 65536)
    assert np.array_equal(read_image(write_tiff(tmp_path / "a.tif", [stored])), naive(stored, 0, 65535))


def deep_png(path: Path, stored: NDArray[np.generic]) -> Path:
    height, width, channels = stored.shape

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_both_bytes_of_a_deep_png_are_read(channels: int, tmp_path: Path) -> None:
    stored = values("uint16", channels)
    path = deep_png(tmp_path / "a.png", stored)
    found = read_image(path, ImageSpec(bands=tuple(range(1, channels + 1)), range=(0, 4095)))
    assert np.array_equal(found, naive(stored, 0, 4095))
    with pytest.raises(DataError, match=r"a.png: 16-bit pixels of which none is above"):
        read_image(path)


def test_floats_need_a_range_and_holes_become_black(tmp_path: Path) -> None:
    stored = np.array([[[0.0], [0.5], [1.0], [np.nan]]], np.float32)
    path = write_tiff(tmp_path / "a.tif", [stored])
    with pytest.raises(DataError, match=r"floating point pixels have no agreed range \(these go from 0 to 1\)"):
        read_image(path)
    assert read_image(path, ImageSpec(range=(0, 1)))[0, :, 0].tolist() == [0, 128, 255, 0]


def test_eight_bits_among_sixteen_are_refused(tmp_path: Path) -> None:
    Image.new("L", (4, 3), 200).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"8 bits a band, and data.image.range goes to 4095"):
        read_image(tmp_path / "a.png", ImageSpec(range=(0, 4095)))


def test_pages_are_refused_until_it_is_said_what_they_are(tmp_path: Path) -> None:
    pages = [values("uint8", 1, 256), values("uint8", 1, 200), values("uint8", 1, 100)]
    path = write_tiff(tmp_path / "a.tif", pages)
    with pytest.raises(DataError, match=r"a.tif: 3 pages or frames; .* data.image.pages \(first, or bands"):
        read_image(path)
    assert np.array_equal(read_image(path, ImageSpec(pages="first")), np.repeat(pages[0], 3, 2))
    assert np.array_equal(read_image(path, ImageSpec(pages="bands")), np.concatenate(pages, 2))
    assert glance(path, how=ImageSpec(pages="first")).kind.pages == 3


def test_overviews_are_no_pages(tmp_path: Path) -> None:
    page = values("uint8", 3, 256)
    path = write_tiff(tmp_path / "a.tif", [page, page[::2, ::2]], reduced=(1,))
    assert np.array_equal(read_image(path), page)


def test_lzw_is_read_without_a_further_package(tmp_path: Path) -> None:
    stored = values("uint16", 1)
    Image.fromarray(stored[..., 0]).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert np.array_equal(read_image(tmp_path / "a.tif", ImageSpec(range=(0, 4095)))[..., :1], naive(stored, 0, 4095))


def test_deep_images_are_turned_upright(tmp_path: Path) -> None:
    stored = values("uint16", 4)
    path = write_tiff(tmp_path / "a.tif", [stored], extra={274: [6]})
    found = read_image(path, ImageSpec(bands=(1, 2, 3, 4), range=(0, 4095)))
    assert np.array_equal(found, np.rot90(naive(stored, 0, 4095), -1))


def test_arrays_of_chosen_bands() -> None:
    four = values("uint8", 4, 256)
    assert np.array_equal(read_image(four, ImageSpec(bands=(1, 2, 3, 4))), four)
    with pytest.raises(
        DataError, match=re.escape("an array must be uint8 (H, W, 4) with at least one pixel; got uint8 (9, 14, 3)")
    ):
        read_image(four[..., :3], ImageSpec(bands=(1, 2, 3, 4)))
    deep = values("uint16", 5)
    found = read_image(deep, ImageSpec(bands=(5, 1), range=(0, 4095)))
    assert np.array_equal(found, naive(deep[..., [4, 0]], 0, 4095))


def test_masks_of_several_pages(tmp_path: Path) -> None:
    truth = np.random.default_rng(0).integers(0, 3, (9, 14))
    pages = [((truth == k) * 255).astype(np.uint8)[..., None] for k in range(3)]
    path = write_tiff(tmp_path / "m.tif", pages)
    with pytest.raises(DataError, match=r"m.tif: 3 pages, of which only one would be read; .* data.folder.mask_pages"):
        decode(path)
    assert marks_classes(path)
    assert np.array_equal(read_class_pages(path, "classes"), truth + 1)
    assert np.array_equal(read_class_pages(path, "first"), pages[0][..., 0])
    assert not marks_classes(write_tiff(tmp_path / "twice.tif", [pages[0], pages[0]]))


def test_contradictions_in_a_recipe() -> None:
    for wrong, message in (
        ({"range": (5, 5)}, "image.range goes from 5 to 5"),
        ({"bands": ()}, "image.bands is empty"),
        ({"bands": (1, 2, 3), "range": ((0, 1), (0, 2))}, "2 pairs for 3 bands"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageSpec(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_what_is_an_image_by_its_content(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.foto", format="PNG")
    (tmp_path / "b.txt").write_text("no image")
    assert is_image(tmp_path / "a.foto")
    assert not is_image(tmp_path / "b.txt")
