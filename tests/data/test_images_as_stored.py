"""The images of data sets, with their rows as stored."""

import numpy as np
import pytest
from PIL import Image

from fullconv.data.images import read_image_as_stored
from fullconv.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def test_colours_come_as_stored(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert np.array_equal(read_image_as_stored(tmp_path / "a.png"), PIXELS)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_8_bit_kind_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(PIXELS).convert(mode).save(path)
    assert read_image_as_stored(path).shape == (40, 50, 3)


def test_more_than_8_bits_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: I;16 pixels \(more than 8 bits\)"):
        read_image_as_stored(tmp_path / "deep.png")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.9])
def test_a_file_cut_short_is_named(tmp_path, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=rf"cut\.{suffix}: cannot be read"):
        read_image_as_stored(path)


def test_a_missing_file_a_folder_and_a_text_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jpg: no such file"):
        read_image_as_stored(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="a folder, not an image"):
        read_image_as_stored(tmp_path)
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.jpg: cannot be read"):
        read_image_as_stored(tmp_path / "text.jpg")
