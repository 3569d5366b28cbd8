"""On which pixels a mask lies where EXIF turns its image: by size, by outlines, by the rest of the folder, or asked for."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.folder.folder import open_folder
from fullconv.data.orientation import TURNS, turned
from fullconv.data.rotation import mask_lies_on
from fullconv.errors import DataError
from fullconv.spec import DataSpec, ImageSpec

ORIENTATION = 0x0112
LABELS = {"ground": 0, "thing": 1}


def scene(seed: int, side: int = 48, contrast: int = 120) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint8)
    mask[4 : 14 + seed % 7, 3 : 20 + seed % 5] = 1
    noise = rng.normal(100, 8, (side, side, 3))
    return (noise + contrast * mask[..., None]).clip(0, 255).astype(np.uint8), mask


@pytest.mark.parametrize("orientation", sorted(TURNS))
def test_an_array_is_turned_as_pil_turns_it(orientation: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    expected = np.array(Image.fromarray(image).transpose(TURNS[orientation]))
    assert np.array_equal(turned(image, orientation), expected)


@pytest.mark.parametrize("orientation", sorted(TURNS))
def test_outlines_tell_of_square_images(orientation: int) -> None:
    stored, mask = scene(1)
    upright = turned(stored, orientation)
    assert mask_lies_on(upright, stored, mask) == "stored"
    assert mask_lies_on(upright, stored, turned(mask, orientation)) == "turned"


def test_what_shows_no_objects_tells_nothing() -> None:
    stored, mask = scene(1, contrast=0)
    assert mask_lies_on(turned(stored, 3), stored, mask) == "unclear"
    assert mask_lies_on(turned(stored, 3), stored, np.zeros_like(mask)) == "unclear"


def folder(root: Path, contrasts: list[int], stored: list[bool]) -> DataSpec:
    for part in ("images", "masks"):
        (root / part / "train").mkdir(parents=True)
    for number, (contrast, as_stored) in enumerate(zip(contrasts, stored, strict=True)):
        image, mask = scene(number, contrast=contrast)
        exif = Image.Exif()
        exif[ORIENTATION] = 3
        Image.fromarray(image).save(root / f"images/train/{number}.png", exif=exif)
        Image.fromarray(mask if as_stored else turned(mask, 3)).save(root / f"masks/train/{number}.png")
    return DataSpec(name="folder", root=root, labels=LABELS)


def test_the_rest_of_the_folder_tells_of_an_image_that_does_not(tmp_path: Path) -> None:
    data = open_folder(folder(tmp_path, [120, 0, 120], [True, True, True]), "train")
    for number in range(3):
        image, mask = scene(number, contrast=[120, 0, 120][number])
        assert np.array_equal(data[number].picture, image)
        assert np.array_equal(data[number].targets["semantic"].numpy(), mask)


def test_where_nothing_tells_a_person_is_asked(tmp_path: Path) -> None:
    spec = folder(tmp_path, [120, 0, 120], [True, True, False])  # they contradict each other
    with pytest.raises(DataError, match=r"1.png: EXIF turns the image, .* set data.image.rotation to turned or stored"):
        open_folder(spec, "train")[1]
    said = spec.model_copy(update={"image": ImageSpec(rotation="stored")})
    assert np.array_equal(open_folder(said, "train")[1].picture, scene(1, contrast=0)[0])
    assert np.array_equal(open_folder(said, "train")[2].picture, turned(scene(2)[0], 3))  # which tells by itself
