import numpy as np
import pytest
from PIL import Image

from fullconv.data.decode import read_image, read_mask
from fullconv.errors import DataError
from fullconv.labels import VOC

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def test_colours_come_as_stored(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), PIXELS)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_8_bit_kind_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(PIXELS).convert(mode).save(path)
    assert read_image(path).shape == (40, 50, 3)


def test_more_than_8_bits_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: I;16 pixels \(more than 8 bits\)"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.9])
def test_a_file_cut_short_is_named(tmp_path, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=rf"cut\.{suffix}: cannot be read .* damaged or no image"):
        read_image(path)


def test_a_missing_file_a_folder_and_a_text_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jpg: no such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="no such file"):
        read_image(tmp_path)
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.jpg: cannot be read"):
        read_image(tmp_path / "text.jpg")


def test_masks_are_indices_whatever_their_palette(tmp_path):
    labels = np.array([[0, 20, 255], [3, 2, 1]], np.uint8)
    for kind in ("P", "L"):
        image = Image.fromarray(labels)
        if kind == "P":
            image.putpalette([7] * 768)  # all colours alike: only indices tell the classes apart
        image.save(tmp_path / f"{kind}.png")
        assert np.array_equal(read_mask(tmp_path / f"{kind}.png", VOC), labels)


def test_masks_of_colours_or_of_other_classes_are_refused(tmp_path):
    VOC.to_image(np.array([[1, 2]])).convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(DataError, match=r"colours\.png: a mask must be a palette or 8-bit grey image .* is RGB"):
        read_mask(tmp_path / "colours.png", VOC)
    Image.fromarray(np.array([[0, 21, 200, 200]], np.uint8)).save(tmp_path / "other.png")
    with pytest.raises(DataError, match=r"other\.png: labels outside 0\.\.20 .*: 21 \(1 px\), 200 \(2 px\)"):
        read_mask(tmp_path / "other.png", VOC)
