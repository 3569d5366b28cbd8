"""One planted fault each, and one finding with its count; files first."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import Folder, mask, photograph, says, turned

from fullconv.data import open_dataset
from fullconv.data.images import glance
from fullconv.errors import DataError
from fullconv.spec import FolderSpec, ImageSpec


def test_a_sound_folder_has_notes_only(folder: Folder) -> None:
    found = folder.examine()
    assert found.of("error") + found.of("warning") == []
    assert found.pairs == {"train": 10, "val": 4}
    assert found.verdict() == f"0 errors, 0 warnings, {len(found.of('note'))} notes: nothing that keeps training from working"


def test_images_without_mask(folder: Folder) -> None:
    for number in (0, 3, 11):
        folder.mask(number).unlink()
    says(folder.only(), "error", 3, r"^3 images without mask: 0, 3, 11$")
    with pytest.raises(DataError, match="2 of 10 images"):  # the doctor goes on where training stops
        open_dataset(folder.spec(), "train")


def test_masks_without_image(folder: Folder) -> None:
    folder.image(5).unlink()
    says(folder.only(), "warning", 1, r"^1 mask without image: 5$")


def test_partners_missing_in_a_list_of_pairs(folder: Folder) -> None:
    rows = [f"{folder.image(n)},{folder.mask(n)},{'train' if n < 10 else 'val'}" for n in range(14)]
    (folder.root / "pairs.csv").write_text("\n".join(["image,mask,split", *rows]))
    folder.mask(1).unlink()
    folder.image(2).unlink()
    found = folder.examine(folder=FolderSpec(pairs=Path("pairs.csv")))
    assert [f.count for f in found.of("error") + found.of("warning")] == [1, 1]
    assert found.pairs == {"train": 8, "val": 4}


def test_drawn_splits_tell_of_each_lonely_file_once(folder: Folder) -> None:
    for number in range(14):
        for kind, path in (("photos", folder.image(number)), ("truth", folder.mask(number))):
            (folder.root / kind).mkdir(exist_ok=True)
            path.rename(folder.root / kind / path.name)
    (folder.root / "truth" / "4.png").unlink()
    says(folder.only(folder=FolderSpec(images="photos", masks="truth")), "error", 1, r"^1 image without mask: 4$")


def test_truncated_images_and_masks(folder: Folder) -> None:
    for number in (1, 12):
        path = folder.image(number)
        path.write_bytes(path.read_bytes()[:900])
    folder.mask(2).write_bytes(b"no image at all")
    images, masks = folder.examine().of("error")
    says(images, "error", 2, r"^2 images that cannot be read: 1, 12; the first: .*images/train/1.png: cannot be read")
    says(masks, "error", 1, r"^1 mask that cannot be read: 2; the first: .*masks/train/2.png: cannot be read")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_the_quick_look_finds_every_jpeg_that_training_could_not_read(folder: Folder, tmp_path: Path, kept: float) -> None:
    path = tmp_path / "cut.jpg"
    photograph(0, (120, 160)).save(path)
    glance(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=r"cut.jpg: cannot be read"):
        glance(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_quick_look_at_a_jpeg_is_that_at_its_pixels(tmp_path: Path, orientation: int) -> None:
    turned(tmp_path / "a.jpg", photograph(0, (125, 563)), orientation)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.png", exif=image.getexif())
    quick, full = (glance(tmp_path / name) for name in ("a.jpg", "a.png"))
    assert (quick.size, quick.orientation) == (full.size, full.orientation) == ((125, 563), orientation)
    assert np.abs(quick.thumbnail.astype(int) - full.thumbnail).mean() < 1


def test_sizes_that_differ(folder: Folder) -> None:
    Image.fromarray(mask(0, (24, 32))).save(folder.mask(0))
    photograph(13, (48, 65)).save(folder.image(13))
    says(folder.only(), "error", 2, r"^2 masks not of the image's size: 0, 13; the first mask is 24×32, its image 48×64 \(H×W\)$")


def test_exif_that_turns_the_image_but_not_the_mask(folder: Folder) -> None:
    for number in (0, 1):
        turned(folder.image(number), photograph(number), 6)
    says(folder.only(), "warning", 2, r"^2 images turned by EXIF, but not the mask: 0, 1; the pixels are used as stored$")


def test_exif_that_turns_both_is_no_fault(folder: Folder) -> None:
    turned(folder.image(0), photograph(0, (64, 48)), 8)
    found = folder.examine()
    assert found.of("error") + found.of("warning") == []
    assert "1 image turned by EXIF, mask and all: 0" in found.findings[0].what


def test_exif_where_sizes_do_not_tell(folder: Folder) -> None:
    turned(folder.image(0), photograph(0), 3)
    turned(folder.image(1), photograph(1, (48, 48)), 6)
    Image.fromarray(mask(1, (48, 48))).save(folder.mask(1))
    pattern = r"^2 images turned or mirrored by EXIF, where neither sizes nor outlines tell whether the mask is: 0, 1$"
    says(folder.only(), "error", 2, pattern)
    said = folder.examine(image=ImageSpec(rotation="turned")).of("warning")
    assert len(said) == 1
    assert said[0].what.endswith("tell whether the mask is: 0, 1; the recipe says turned")
