"""Images of every mode and rotation become the same upright RGB; what is no image is one clear error."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import glance, read_image
from fullconv.errors import DataError

COLORS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0], [128, 128, 128]]], np.uint8)
GREY = np.array([[0, 51, 255], [17, 136, 204]], np.uint8)
EXIF_ORIENTATION = 0x0112


def saved(folder: Path, image: Image.Image, name: str = "picture.png") -> Path:
    image.save(folder / name)
    return folder / name


def test_rgb_file_array_and_pil_image_are_the_same(tmp_path: Path) -> None:
    image = Image.fromarray(COLORS)
    for source in (saved(tmp_path, image), str(saved(tmp_path, image)), image, COLORS):
        found = read_image(source)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, COLORS)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGBA", "P", "CMYK"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(COLORS)
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    path = saved(tmp_path, image, "picture.tif" if mode == "CMYK" else "picture.png")
    found = read_image(path)
    assert found.shape == (2, 3, 3)
    expected = np.array(Image.fromarray(COLORS).convert("L")) if mode in ("L", "LA") else None
    if expected is not None:
        np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, 2))
    elif mode != "1":
        np.testing.assert_array_equal(found, COLORS)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(GREY.astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_image(path), np.repeat(GREY[..., None], 3, 2))


def test_32_bits_that_hold_16_become_eight(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(GREY.astype(np.int32) * 257), "picture.tif")
    np.testing.assert_array_equal(read_image(path), np.repeat(GREY[..., None], 3, 2))


def test_transparent_pixels_lie_on_white() -> None:
    rgba = np.concatenate([COLORS, np.full((2, 3, 1), 255, np.uint8)], 2)
    rgba[0, 0, 3] = 0
    found = read_image(Image.fromarray(rgba))
    assert found[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(found[1], COLORS[1])


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, COLORS),
        (2, COLORS[:, ::-1]),
        (3, COLORS[::-1, ::-1]),
        (4, COLORS[::-1]),
        (6, np.rot90(COLORS, -1)),
        (8, np.rot90(COLORS)),
    ],
)
def test_exif_rotation_is_applied(orientation: int, upright: NDArray[np.uint8], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(COLORS).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)


def test_grey_array_becomes_rgb() -> None:
    np.testing.assert_array_equal(read_image(GREY), np.repeat(GREY[..., None], 3, 2))


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 3), np.uint8)]
)
def test_other_arrays_are_refused(array: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match=r"uint8 \(H, W, 3\) RGB or \(H, W\) grey with at least one pixel; got"):
        read_image(array)


@pytest.mark.parametrize(
    ("kind", "kept"), [("JPEG", 0.5), ("PNG", 0.6), ("PNG", 0.05), ("GIF", 0.5), ("TIFF", 0.4), ("WEBP", 0.5)]
)
def test_files_cut_short_are_one_clear_error(kind: str, kept: float, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    path = tmp_path / "cut.jpg"
    path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * kept)])
    with pytest.raises(DataError, match=r"cut\.jpg: cannot be read") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_no_image(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.png: cannot be read"):
        read_image(tmp_path / "odd.png")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jpg: no such file"):
        read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match="a folder, not an image"):
        read_image(tmp_path)


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(DataError, match=r"picture\.png: more pixels than PIL lets pass"):
        read_image(path)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="floating point pixels have no agreed range"):
        read_image(Image.fromarray(np.ones((3, 3), np.float32)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_glance_at_a_pipe_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a.jpg: a pipe or a device, not a file"):
        glance(tmp_path / "a.jpg")
