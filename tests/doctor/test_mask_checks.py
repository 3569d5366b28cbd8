"""One planted fault each, and one finding with its count; what masks hold."""

from pathlib import Path

import numpy as np
from PIL import Image
from planted import LABELS, PALETTE, Folder, mask, says, to_palette

from fullconv.doctor.palette import luma


def test_unknown_values_with_the_nearest_known(folder: Folder) -> None:
    for number in (0, 10):
        labels = mask(number)
        labels[20:30, 20:22] = 7
        Image.fromarray(labels).save(folder.mask(number))
    says(
        folder.only(),
        "error",
        2,
        r"^value 7 \(40 px, 0.1 %\) is not in labels; the nearest is 2 \(car\). Name or ignore it; "
        r"the first is in .*masks/train/0.png, 2 of 14 masks have it$",
    )


def test_unknown_colours_with_the_nearest_known(folder: Folder) -> None:
    table = np.zeros((256, 3), np.uint8)
    table[1], table[2], table[255] = (200, 0, 0), (0, 200, 0), (9, 9, 9)
    for number in range(14):
        colors = table[mask(number)]
        if number == 3:
            colors[20:24, 20:25] = (0, 0, 250)
        Image.fromarray(colors).save(folder.mask(number))
    labels = {"ground": "#000000", "house": {"color": [200, 0, 0]}, "car": "#00c800", "void": {"ignore": {"color": [9, 9, 9]}}}
    says(
        folder.only(labels=labels),
        "error",
        1,
        r"^colour \(0, 0, 250\) \(20 px, 0.0 %\) is not in labels; the nearest is \(9, 9, 9\) \(ignore\)",
    )


def test_0_and_255_where_255_is_ignored(folder: Folder) -> None:
    for number in range(14):
        Image.fromarray(np.where(mask(number) == 1, 255, 0).astype(np.uint8)).save(folder.mask(number))
    found = folder.examine(labels={"ground": 0, "house": 1, "void": "ignore"})
    first, second = found.of("error")
    says(first, "error", 14, r"^14 masks with 0 and 255 only, where 255 is ignored: 0, 1, 2, …$")
    says(second, "error", 1, r"^only ground has pixels in train$")
    assert "foreground: 255" in first.fix
    sound = folder.examine(labels={"ground": 0, "house": 255})
    assert sound.of("error") + sound.of("warning") == []


def test_some_masks_of_0_and_255_among_those_of_0_and_1(folder: Folder) -> None:
    for number in range(14):
        labels = (mask(number) == 1).astype(np.uint8)
        Image.fromarray(labels * 255 if number in (1, 2) else labels).save(folder.mask(number))
    says(
        folder.only(labels={"ground": 0, "house": 1}),
        "error",
        2,
        r"^2 masks with 0 and 255 only, where 255 is not in data.labels: 1, 2$",
    )
    says(
        folder.only(labels={"ground": 0, "house": 1, "void": "ignore"}),
        "error",
        2,
        r"^2 masks with 0 and 255 only, where 255 is ignored",
    )


BINARY = {"ground": 0, "house": 255}


def binary(number: int) -> Image.Image:
    return Image.fromarray(np.where(mask(number) == 1, 255, 0).astype(np.uint8))


def test_anti_aliased_masks(folder: Folder) -> None:
    for number in range(14):
        sharp = binary(number)
        smooth = sharp.resize((256, 192), Image.Resampling.NEAREST).resize((64, 48), Image.Resampling.LANCZOS)
        (smooth if number in (4, 7, 11) else sharp).save(folder.mask(number))
    says(folder.only(labels=BINARY), "error", 3, r"^3 masks with up to \d+ unknown values .*: 4, 7, 11$")


def test_masks_that_were_resized_smoothly(folder: Folder) -> None:
    for number in range(14):
        sharp = binary(number)
        (sharp.resize((32, 24)).resize((64, 48), Image.Resampling.BILINEAR) if number == 5 else sharp).save(folder.mask(number))
    finding = folder.only(labels=BINARY)
    says(finding, "error", 1, r"^1 mask with up to \d+ unknown values between those beside them, as smoothing leaves: 5$")
    assert finding.kind == "anti-aliased masks"


def test_smoothed_masks_where_every_value_is_some_class(folder: Folder) -> None:
    labels = {f"class {value}": value for value in range(41)}
    for number in range(14):
        sharp = Image.fromarray((mask(number) == 1).astype(np.uint8) * 40)
        small = sharp.resize((32, 24), Image.Resampling.NEAREST)
        (small.resize((64, 48), Image.Resampling.BILINEAR) if number in (2, 3) else sharp).save(folder.mask(number))
    finding = folder.only(labels=labels)
    says(finding, "warning", 2, r"^2 masks whose edges run through the values in between, .* resized smoothly: 2, 3$")


def test_masks_saved_as_jpeg(folder: Folder) -> None:
    for number in (0, 8):
        folder.mask(number).unlink()
    for number in range(14):
        binary(number).save(folder.mask(number).with_suffix(".jpg") if number in (0, 8) else folder.mask(number), quality=75)
    says(
        folder.only(labels=BINARY), "error", 2, r"^2 masks saved as JPEG, which changes values: 0, 8; up to \d\d+ values in one$"
    )


def test_masks_saved_as_jpeg_and_then_as_png(folder: Folder, tmp_path: Path) -> None:
    for number in range(14):
        binary(number).save(folder.mask(number))
    for number in (0, 8, 12):
        binary(number).save(tmp_path / "x.jpg", quality=75)
        with Image.open(tmp_path / "x.jpg") as image:
            image.save(folder.mask(number))
    says(
        folder.only(labels=BINARY),
        "error",
        3,
        r"^3 masks with up to \d+ unknown values scattered along borders, as JPEG leaves: 0, 8, 12$",
    )


def test_a_palette_saved_as_grey(folder: Folder) -> None:
    for number in range(14):
        image = to_palette(mask(number))
        (image.convert("L") if number in (1, 6) else image).save(folder.mask(number))
    says(folder.only(), "error", 2, rf"^2 masks with the grey of a palette's colours \(0, {luma((128, 0, 0))}, 75, .*: 1, 6$")


def test_a_palette_saved_as_grey_in_all_masks(folder: Folder) -> None:
    for number in range(14):
        to_palette(mask(number)).convert("L").save(folder.mask(number))
    kinds = [(finding.kind, finding.count) for finding in folder.examine().of("error")]
    assert kinds == [("grey for indices", 14), ("nothing to tell apart", 2)]


def test_greys_that_are_labels_too_are_found_among_palette_images(folder: Folder) -> None:
    labels = LABELS | {f"other {value}": value for value in (38, 75)}
    for number in range(14):
        image = to_palette(mask(number))
        image.save(folder.mask(number))
    odd = np.where(mask(3) == 255, 0, mask(3)).astype(np.uint8)
    to_palette(odd).convert("L").save(folder.mask(3))
    found = folder.examine(labels=labels)
    assert [(finding.kind, finding.count) for finding in found.of("error")] == [("grey for indices", 1)]


def test_a_palette_saved_as_colours(folder: Folder) -> None:
    for number in range(14):
        image = to_palette(mask(number))
        (image.convert("RGB") if number in (1, 2, 3, 13) else image).save(folder.mask(number))
    says(
        folder.only(),
        "error",
        4,
        r"^4 masks with colours, where data.labels has numbers: 1, 2, 3, …; the palette's colours in place of its indices$",
    )


def test_luma_is_pils() -> None:
    colors = np.array(PALETTE, np.uint8).reshape(1, 256, 3)
    assert np.array(Image.fromarray(colors).convert("L"))[0].tolist() == [luma(tuple(color)) for color in colors[0].tolist()]
