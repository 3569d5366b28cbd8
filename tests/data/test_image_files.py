"""Images that are rare, huge, damaged or lie about themselves; the usual ones are in test_images.py."""

import re
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import read_image, read_image_as_stored
from fullconv.errors import DataError
from fullconv.spec import ImageSpec


@pytest.fixture
def small() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (45, 70, 3)).astype(np.uint8)


def png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    """A PNG written by hand: sizes and depths that PIL does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([9, 8, 7, 200, 100, 0, 1, 2, 3])
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[9, 8, 7], [200, 100, 0]], [[1, 2, 3], [200, 100, 0]]]


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([9, 8, 7, 200, 100, 0])
    palette.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    assert read_image(tmp_path / "p.png").tolist() == [[[255, 255, 255], [200, 100, 0]]]


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (2, 1), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").tolist() == [[[255, 0, 0]] * 2]


def test_sixteen_bit_color(small: NDArray[np.uint8], tmp_path: Path) -> None:
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in small)
    (tmp_path / "a.png").write_bytes(png(7, 5, 16, 2, rows))
    assert np.array_equal(read_image(tmp_path / "a.png"), small)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([[70_000, 1]], np.int32),
            r"a.tif: 32-bit pixels have no agreed range \(these go from 1 to 70000\); a recipe declares it by data.image.range",
        ),
        (np.array([[0.5, 1]], np.float32), "a.tif: floating point pixels have no agreed range"),
    ],
)
def test_numbers_without_a_range(values: NDArray[np.generic], message: str, tmp_path: Path) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "a.tif")


def test_an_animation_gives_its_first_frame_where_that_is_asked_for(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (3, 2), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif", ImageSpec(pages="first"))[0, 0].tolist() == [255, 0, 0]
    with pytest.raises(DataError, match=r"a.gif: 2 pages or frames"):
        read_image(tmp_path / "a.gif")


def test_what_a_telephone_adds_behind_a_jpeg_is_no_page(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    red, _, blue = read_image(tmp_path / "a.jpg")[0, 0].tolist()
    assert red > 200 > 60 > blue


@pytest.mark.parametrize(("orientation", "mirror"), [(5, 1), (7, -1)])
def test_images_turned_and_mirrored_at_once(small: NDArray[np.uint8], orientation: int, mirror: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(small).save(tmp_path / "a.png", exif=exif)
    expected = small[::mirror, ::mirror].transpose(1, 0, 2)  # EXIF 2.3, tag 274: along either diagonal
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)
    with Image.open(tmp_path / "a.png") as opened:
        assert np.array_equal(read_image(opened), expected)


def test_damaged_exif_data_do_not_matter(small: NDArray[np.uint8], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(small).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    start = content.find(b"Exif\0\0") + 6
    content[start : start + 18] = b"MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 8
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), Image.open(tmp_path / "a.jpg") as opened:
        opened.getexif()
    assert read_image(tmp_path / "a.jpg").shape == small.shape


def test_eight_threads_read_what_one_does_and_leave_the_warning_filters_alone(
    small: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large image, a palette with transparency and damaged EXIF data: PIL warns of each, and here warnings are errors."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", small.size // 3 - 1)
    see_through = Image.fromarray(small).quantize(8)
    see_through.save(tmp_path / "palette.png", transparency=bytes([0, 128, 255]))
    exif = Image.Exif()
    exif[274] = 6
    for name in ("turned.jpg", "turned.png", "turned.webp"):
        Image.fromarray(small).save(tmp_path / name, exif=exif)
    content = (tmp_path / "turned.jpg").read_bytes()
    (tmp_path / "damaged.jpg").write_bytes(
        content.replace(b"Exif\0\0" + content.split(b"Exif\0\0")[1][:10], b"Exif\0\0MM\0*" + b"\xff" * 6)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("palette.png", "damaged.jpg"):
            with Image.open(tmp_path / name) as opened:
                opened.getexif()
                opened.convert("RGB")
    assert {found.category for found in caught} == {UserWarning, Image.DecompressionBombWarning}
    paths = sorted(tmp_path.iterdir()) * 8
    before = list(warnings.filters)
    alone = [read_image(path) for path in paths] + [read_image_as_stored(path) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = [*pool.map(read_image, paths), *pool.map(read_image_as_stored, paths)]
    assert warnings.filters == before
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_large_image_passes_and_a_bomb_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("RGB", (15, 10)).save(tmp_path / "large.png")
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(tmp_path / "large.png").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "large.png").shape == (10, 15, 3)
    Image.new("RGB", (15, 20)).save(tmp_path / "bomb.png")
    with pytest.raises(
        DataError, match=r"bomb.png: more pixels than PIL lets pass \(300 pixels; the limit is 200\); cut or shrink it first"
    ):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.gif", "a.webp", "a.bmp"])
def test_no_damage_comes_through_as_anything_but_one_line(noise: NDArray[np.uint8], name: str, tmp_path: Path) -> None:
    """A file cut anywhere, or with bytes overwritten, is read or refused; nothing else happens."""
    Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    random, told = np.random.default_rng(0), []
    for trial in range(40):
        broken = bytearray(content)
        if trial % 2:
            del broken[int(random.integers(len(broken))) :]
        else:
            for at in random.integers(len(broken), size=4):
                broken[at] = int(random.integers(256))
        (tmp_path / name).write_bytes(broken)
        try:
            found = read_image(tmp_path / name)
        except DataError as error:
            told.append(str(error))
        else:
            assert (found.dtype, found.ndim) == (np.uint8, 3)
    assert len(told) > 10
    assert all(line.startswith(f"{tmp_path / name}: ") and "\n" not in line for line in told)


def test_a_jpeg_cut_short(noise: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a.jpg: cannot be read \(image file is truncated.* cut short, copy it again"):
        read_image(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as opened, pytest.raises(DataError, match=r"the image: cannot be read"):
        read_image(opened)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("text.jpg", "empty.png"):
        with pytest.raises(DataError, match=f"{name}: cannot be read: not an image, or of a format that PIL does not read"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match=r"none.jpg: no such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}: a folder, not an image")):
        read_image(tmp_path)
    with pytest.raises(DataError, match=r"inner.jpg: Not a directory"):
        read_image(tmp_path / "text.jpg" / "inner.jpg")
    with pytest.raises(DataError, match="File name too long"):
        read_image("a" * 300)


def test_an_image_without_pixels() -> None:
    with pytest.raises(DataError, match=r"with at least one pixel; got uint8 \(4, 0, 3\)"):
        read_image(Image.new("RGB", (0, 4)))


@pytest.mark.parametrize("source", [None, [1, 2], 3])
def test_what_is_no_source(source: object) -> None:
    with pytest.raises(
        DataError, match=f"an image is a path, bytes, an open file, a PIL image or an array; got {type(source).__name__}"
    ):
        read_image(source)  # type: ignore[arg-type]  # the mistake
