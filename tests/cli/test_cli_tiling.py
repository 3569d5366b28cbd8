"""The options of predict for images that are larger than the memory."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.cli.tiling import bytes_of
from fullconv.errors import SpecError


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 200, 3), np.uint8)).save(path)
    return path


def test_an_image_in_parts_is_said_and_verified(checkpoint: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out, options in (("whole", []), ("parts", ["--tile", "100", "--verify", "--areas"])):
        assert main(["predict", str(checkpoint), str(photo), "--out", str(photo.parent / out), *options]) == 0
    said = capsys.readouterr().err
    assert said.count("px, in tiles of 100×100 px") == 1
    assert "photo.png: logits of 8 windows, computed once more by themselves, differ by" in said
    assert "1 of 1 images predicted" in said
    assert (photo.parent / "parts" / "photo.png").stat().st_size
    whole, parts = (np.asarray(Image.open(photo.parent / out / "photo.png")) for out in ("whole", "parts"))
    assert np.array_equal(whole, parts)
    assert (photo.parent / "parts" / "areas.csv").is_file()


def test_too_little_memory_is_said_for_the_image(checkpoint: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(checkpoint), str(photo), "--out", str(photo.parent / "out"), "--max-memory", "1MB"]) == 1
    assert "0 MB of memory are left for an image, and its smallest part takes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "number"), [("2GB", 2 * 10**9), ("2 GiB", 2**31), ("500k", 500_000), ("123", 123), ("1.5g", 15 * 10**8)]
)
def test_amounts_of_memory(text: str, number: int) -> None:
    assert bytes_of(text) == number


@pytest.mark.parametrize("text", ["", "many", "-2GB", "0GB", "2GBs", "1e9"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="accepted are bytes with a unit, such as 2GB"):
        bytes_of(text)


def test_a_tile_has_pixels(checkpoint: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(checkpoint), str(photo), "--tile", "0"]) == 1
    assert "--tile is 0; accepted is a number of pixels, 1 and more" in capsys.readouterr().err


def test_views_and_parts_exclude_each_other(checkpoint: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["predict", str(checkpoint), str(photo), "--out", str(photo.parent / "out"), "--tta", "flip", "--tile", "32"]) == 1
    )
    said = "--tta averages over views of the whole image, so images cannot be cut into parts; leave --tile and --max-memory out"
    assert capsys.readouterr().err.endswith(f"error: {said}\n")
