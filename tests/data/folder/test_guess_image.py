"""What init proposes for images that are no 8-bit colour."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiffs import write_tiff

from fullconv.data.folder.guess_image import guess_image, guess_mask_pages
from fullconv.data.folder.init_recipe import remarks_in, starter
from fullconv.data.images import read_image
from fullconv.errors import DataError


def images(root: Path, dtype: str, bands: int, low: float, high: float, count: int = 3) -> list[Path]:
    rng = np.random.default_rng(0)
    drawn = (rng.uniform(low, high, (20, 30, bands)).astype(dtype) for _ in range(count))
    return [write_tiff(root / f"{number}.tif", [values]) for number, values in enumerate(drawn)]


@pytest.mark.parametrize(
    ("dtype", "bands", "low", "high", "limits"),
    [
        ("uint16", 1, 900, 2200, (0, 4095)),
        ("uint16", 3, 0, 60000, (0, 65535)),
        ("float32", 1, 0, 1, (0, 1)),
    ],
)
def test_the_bits_that_are_used(dtype: str, bands: int, low: float, high: float, limits: tuple[int, int], tmp_path: Path) -> None:
    found = guess_image(images(tmp_path, dtype, bands, low, high)).spec
    assert (found.bands, found.range) == (None, limits)


def test_percentiles_of_each_band_where_values_fill_little(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tops = np.array([300, 900, 500, 3000])
    values = (rng.uniform(0, 1, (50, 50, 4)) * tops).astype(np.uint16)
    values[0, 0] = 60000  # a few are far above
    found = guess_image([write_tiff(tmp_path / "a.tif", [values])])
    assert found.spec.bands == (1, 2, 3, 4)
    for (low, high), top in zip(found.spec.limits or (), tops, strict=True):
        assert low == 0
        assert high == pytest.approx(0.995 * top, rel=0.02)
    pixels = read_image(tmp_path / "a.tif", found.spec).reshape(-1, 4).astype(float)
    np.testing.assert_allclose(found.mean, pixels.mean(0), atol=0.06)
    np.testing.assert_allclose(found.std, pixels.std(0), atol=0.06)


def test_usual_images_get_no_word(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGBA", (8, 8)).save(tmp_path / "b.png")
    assert guess_image([tmp_path / "a.png", tmp_path / "b.png"]).lines == []


def test_init_writes_bands_and_mask_pages(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(4):
        truth = rng.integers(0, 2, (16, 16))
        write_tiff(tmp_path / f"images/{number}.tif", [rng.integers(0, 256, (16, 16, 4)).astype(np.uint8)])
        pages = [((truth == k) * 255).astype(np.uint8)[..., None] for k in range(2)]
        write_tiff(tmp_path / f"masks/{number}.tif", pages)
    data = yaml.safe_load(starter(tmp_path, "own", preferred=False))["data"]
    assert data["image"] == {"bands": [1, 2, 3, 4]}
    assert len(data["mean"]["rgb"]) == len(data["std"]["rgb"]) == 4
    assert data["folder"]["mask_pages"] == "classes"
    assert list(data["labels"].values()) == [1, 2]


def test_mask_pages_that_mark_no_classes_are_refused(tmp_path: Path) -> None:
    pages = [np.random.default_rng(k).integers(0, 9, (8, 8, 1)).astype(np.uint8) for k in range(2)]
    with pytest.raises(DataError, match="a mask of several pages that do not each mark one class"):
        guess_mask_pages([write_tiff(tmp_path / "m.tif", pages)])


def test_images_of_several_pages_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(3):
        write_tiff(tmp_path / f"images/{number}.tif", [rng.integers(0, 256, (16, 16, 1)).astype(np.uint8) for _ in range(13)])
        Image.fromarray(rng.integers(0, 3, (16, 16)).astype(np.uint8)).save(tmp_path / f"masks/{number}.png")
    text = starter(tmp_path, "own", preferred=False)
    told = [remark for remark in remarks_in(text) if "pages" in remark]
    assert len(told) == 1
    assert told[0].startswith("image files have 13 pages or frames, and training stops until data.image.pages says")
    assert yaml.safe_load(text)["data"]["image"] == {"pages": None}


@pytest.mark.parametrize("first", ["png", "tif"])
def test_one_range_does_not_serve_8_and_16_bits(first: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shallow = tmp_path / f"a.{first}"
    pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(shallow) if first == "png" else write_tiff(shallow, [pixels])
    twelve = write_tiff(tmp_path / "b.tif", [rng.integers(0, 4096, (16, 16, 3)).astype(np.uint16)])
    with pytest.raises(
        DataError, match=r"images of 8 bits \(.*a\.\w+\) beside others of 16 bits \(.*b.tif\).*save all at one depth"
    ):
        guess_image([shallow, twelve])
    full = write_tiff(tmp_path / "c.tif", [rng.integers(0, 65536, (16, 16, 3)).astype(np.uint16)])
    found = guess_image([shallow, full]).spec
    assert found.range is None
    assert read_image(shallow, found).mean() == pytest.approx(read_image(full, found).mean(), rel=0.1)
