"""Masks that would train without a complaint on wrong labels: found in a recipe, and read right by what ``init`` writes."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from planted import Folder, mask, photograph, says
from scipy import ndimage

from fullconv.data import open_dataset
from fullconv.data.folder.contents import look_into
from fullconv.data.folder.guess import guess_spec
from fullconv.data.folder.guess_labels import Choices, read_guess
from fullconv.data.folder.init_recipe import starter
from fullconv.data.sample import SEMANTIC
from fullconv.doctor import Finding, examine
from fullconv.doctor.examine import open_context
from fullconv.doctor.repair import repair
from fullconv.errors import DataError
from fullconv.spec import DataSpec
from fullconv.spec.recipe import load_recipe

TRUTH = [np.where(mask(number) == 255, 0, mask(number)) for number in range(14)]
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
PLAIN = {"ground": 0, "house": 1, "car": 2}


def write(folder: Folder, save: Callable[[int, np.ndarray], Image.Image], suffix: str = ".png", **options: object) -> None:
    for number in range(14):
        folder.mask(number).unlink(missing_ok=True)
        save(number, TRUTH[number]).save(folder.mask(number).with_suffix(suffix), **options)


def written(folder: Folder) -> DataSpec:
    """The data of the recipe that ``init`` writes."""
    path = folder.root.parent / "own.yaml"
    path.write_text(starter(folder.root, "own", preferred=True), encoding="utf-8")
    return load_recipe(path).data


def wrong(spec: DataSpec, truth: list[np.ndarray]) -> int:
    """Pixels whose label is not the truth's."""
    count = 0
    for split, expected in (("train", truth[:10]), ("val", truth[10:])):
        data = open_dataset(spec, split)
        names = {data[place].name: place for place in range(len(data))}
        for number, labels in enumerate(expected, start=0 if split == "train" else 10):
            count += int((data[names[str(number)]].targets[SEMANTIC].numpy() != labels).sum())
    return count


def errors(spec: DataSpec) -> list[str]:
    return [finding.kind for finding in examine(spec).of("error")]


def reordered(number: int, labels: np.ndarray) -> Image.Image:
    order = [0, 1, 2] if number % 2 == 0 else [0, 2, 1]
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[labels])
    image.putpalette(COLORS[order].ravel().tolist())
    return image


def optimised(number: int, labels: np.ndarray) -> Image.Image:
    if number % 3:
        return Image.fromarray(labels)
    image = Image.fromarray(np.array([0, 2, 1], np.uint8)[labels])
    image.putpalette([0, 0, 0, 2, 2, 2, 1, 1, 1])
    return image


@pytest.mark.parametrize("save", [reordered, optimised])
def test_palettes_that_differ(folder: Folder, save: Callable[[int, np.ndarray], Image.Image]) -> None:
    write(folder, save)
    assert errors(folder.spec(labels=PLAIN)) == ["palettes that differ"]
    spec = written(folder)
    assert wrong(spec, TRUTH) == 0
    assert errors(spec) == errors(guess_spec(folder.root)) == []


def test_palettes_that_keep_only_what_they_use(folder: Folder) -> None:
    def save(number: int, labels: np.ndarray) -> Image.Image:
        image = Image.fromarray((labels == 1 + number % 2).astype(np.uint8))
        image.putpalette(COLORS[[0, 1 + number % 2]].ravel().tolist())
        return image

    write(folder, save)
    found = folder.only(labels={"ground": 0, "house": 1})
    says(
        found,
        "error",
        14,
        r"^the palettes of masks differ: index 1 is \(255, 0, 0\) in one and \(0, 0, 255\) in the other \(0, 1\)$",
    )
    truth = [np.where(labels == 1 + number % 2, labels, 0) for number, labels in enumerate(TRUTH)]
    assert wrong(written(folder), truth) == 0


def test_palettes_of_other_shades_are_no_fault(folder: Folder) -> None:
    def save(number: int, labels: np.ndarray) -> Image.Image:
        image = Image.fromarray(labels)
        image.putpalette((np.arange(768) // 3 if number % 2 else np.arange(768) // 3 * 7 % 256).astype(np.uint8).tolist())
        return image

    write(folder, save)
    found = folder.examine(labels=PLAIN)
    assert found.of("error") == []


def smoothed(_: int, labels: np.ndarray) -> Image.Image:
    sharp = Image.fromarray((labels > 0).astype(np.uint8) * 255)
    return sharp.resize((43, 32), Image.Resampling.BILINEAR).resize((64, 48), Image.Resampling.BILINEAR)


def black_and_white(_: int, labels: np.ndarray) -> Image.Image:
    return Image.fromarray((labels > 0).astype(np.uint8) * 255).convert("RGB")


BINARY = [(labels > 0).astype(np.uint8) for labels in TRUTH]


@pytest.mark.parametrize(("save", "suffix"), [(smoothed, ".png"), (black_and_white, ".jpg")])
def test_smooth_black_and_white_masks(folder: Folder, save: Callable[[int, np.ndarray], Image.Image], suffix: str) -> None:
    write(folder, save, suffix)
    values = sorted({int(v) for n in range(14) for v in np.unique(Image.open(folder.mask(n).with_suffix(suffix)).convert("L"))})
    every_grey: dict[str, object] = {f"class {value}": value for value in values if value != 255}
    assert "classes of specks" in errors(folder.spec(labels=every_grey | {"void": "ignore"}))
    spec = written(folder)
    assert spec.labels == {"background": "0-127", "foreground": "128-255"}
    border = sum(int((ndimage.binary_dilation(b) ^ ndimage.binary_erosion(b)).sum()) for b in BINARY)
    assert wrong(spec, BINARY) < border / 8
    assert errors(spec) == errors(guess_spec(folder.root)) == []
    done = repair(open_context(spec), folder.root.parent / "clean")
    assert len(done.cleaned) == 14
    clean = spec.model_copy(update={"root": folder.root.parent / "clean", "labels": {"background": 0, "foreground": 255}})
    assert wrong(clean, BINARY) == wrong(spec, BINARY)
    assert errors(clean) == []


def test_smooth_colours_are_refused_and_mended(folder: Folder) -> None:
    def save(_: int, labels: np.ndarray) -> Image.Image:
        sharp = Image.fromarray(COLORS[labels])
        return sharp.resize((256, 192), Image.Resampling.NEAREST).resize((64, 48), Image.Resampling.BILINEAR)

    write(folder, save)
    with pytest.raises(
        DataError, match=r"colours of the masks occur only as specks along borders, between 3 that fill .*--fix DIR"
    ):
        starter(folder.root, "own", preferred=True)
    spec = guess_spec(folder.root)
    assert errors(spec) == ["anti-aliased masks"]
    repair(open_context(spec), folder.root.parent / "clean")
    labels = {"ground": "#000000", "house": "#ff0000", "car": "#0000ff"}
    clean = DataSpec(name="folder", root=folder.root.parent / "clean", labels=labels)
    assert errors(clean) == []
    assert wrong(clean, TRUTH) < sum(int((ndimage.grey_dilation(t, (3, 3)) != t).sum()) for t in TRUTH) / 4


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_object_in_the_alpha_channel(folder: Folder, mode: str) -> None:
    def save(_: int, labels: np.ndarray) -> Image.Image:
        image = Image.new("RGBA", (64, 48))
        image.putalpha(Image.fromarray((labels > 0).astype(np.uint8) * 255))
        return image.convert(mode)

    write(folder, save)
    labels = {"ground": {"color": [0, 0, 0]}} if mode == "RGBA" else {"ground": 0}
    assert errors(folder.spec(labels=labels)) == ["classes in the alpha channel", "nothing to tell apart"]
    spec = written(folder)
    assert wrong(spec, BINARY) == 0
    assert errors(spec) == errors(guess_spec(folder.root)) == []


def test_cut_outs_of_the_photograph(folder: Folder) -> None:
    def save(number: int, labels: np.ndarray) -> Image.Image:
        image = photograph(number, (48, 64)).convert("RGBA")
        image.putalpha(Image.fromarray((labels > 0).astype(np.uint8) * 255))
        return image

    write(folder, save)
    assert wrong(written(folder), BINARY) == 0


def test_alpha_that_says_what_colours_say_is_passed_over(folder: Folder) -> None:
    write(folder, lambda _, labels: Image.fromarray(np.dstack([COLORS[labels], (labels > 0).astype(np.uint8) * 255])))
    spec = written(folder)
    assert list(spec.labels.values()) == [{"color": [0, 0, 0]}, {"color": [0, 0, 255]}, {"color": [255, 0, 0]}]
    assert errors(spec) == []


@pytest.mark.parametrize(("half", "share"), [(128, 0.1), (1, 0.9)])
def test_255_that_is_ignored_and_covers_objects(folder: Folder, half: int, share: float) -> None:
    def save(_: int, labels: np.ndarray) -> Image.Image:
        full = np.zeros_like(labels)
        full[:, : int(64 * share)] = 255
        full[labels == 2] = half
        return Image.fromarray(full)

    write(folder, save)
    labels = {"ground": 0, "house": half, "void": "ignore"}
    kinds = errors(folder.spec(labels=labels))
    assert kinds == ["ignored objects"]
    assert errors(folder.spec(labels=labels | {"void": {"ignore": 255, "large": True}})) == []
    if half == 128:
        assert list(written(folder).labels.values()) == [0, 128, 255]
    else:
        with pytest.raises(DataError, match=r"255 covers \d+ % of the masks, more than 1 together: .*--void none or --void 255"):
            starter(folder.root, "own", preferred=True)


def test_0_and_1_in_some_masks_and_0_and_255_in_others(folder: Folder) -> None:
    write(folder, lambda number, labels: Image.fromarray((labels > 0).astype(np.uint8) * (255 if number % 2 else 1)))
    assert errors(folder.spec(labels={"ground": 0, "house": 1, "void": "ignore"})) == ["0 and 255 only"]
    spec = written(folder)
    assert spec.labels == {"background": 0, "foreground": [1, 255]}
    assert wrong(spec, BINARY) == 0


@pytest.mark.parametrize("white", [1, 254, 255, 65535])
def test_two_values_are_background_and_foreground(folder: Folder, white: int) -> None:
    write(folder, lambda _, labels: Image.fromarray((labels > 0).astype(np.uint16 if white > 255 else np.uint8) * white))
    spec = written(folder)
    assert spec.labels == {"background": 0, "foreground": white}
    assert wrong(spec, BINARY) == 0
    assert errors(spec) == []


def only_named(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("listed", "labels", "pattern"),
    [
        (
            "__ignore__\n_background_\ncat\ndog",
            {"_background_": 1, "cat": 2, "x": 0},
            r"value 1 is called _background_ .* but cat",
        ),
        (
            "wall\nsky",
            {"wall": 0, "sky": 1, "x": 2},
            r"value 1 is called sky in data.labels, but wall by classes.txt: .* count from 1",
        ),
        ("a\nb\nc", {"__ignore__": 0, "a": 1, "b": 2}, r"__ignore__ is a class"),
    ],
)
def test_names_of_other_values(folder: Folder, listed: str, labels: dict[str, object], pattern: str) -> None:
    write(folder, lambda _, values: Image.fromarray(values))
    (folder.root / "classes.txt").write_text(listed)
    found = only_named(folder.examine(labels=labels).of("error"))
    assert found.kind == "names of other values"
    says(found, "error", found.count, pattern)
    assert errors(folder.spec(labels=PLAIN)) == []


def test_a_list_that_fits_in_two_ways(folder: Folder) -> None:
    write(folder, lambda _, values: Image.fromarray(values))
    (folder.root / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    with pytest.raises(DataError, match=r"value 1 is b if they count from 0, a if from 1; say which: --names-start 0 or"):
        starter(folder.root, "own", preferred=True)
    found = only_named(examine(guess_spec(folder.root)).of("warning"))
    says(found, "warning", 1, r"classes.txt has 5 names, the masks have the values 0-2")


def test_one_class_alone(folder: Folder) -> None:
    write(folder, lambda _, labels: Image.fromarray(np.zeros_like(labels)))
    found = only_named(folder.examine(labels={"ground": 0}).of("error"))
    says(found, "error", 0, r"^only ground has pixels in train, and it is the only class$")


ROUND = [np.hypot(*(np.mgrid[:96, :128] - np.array([[[40]], [[40 + number]]]))) < 25 for number in range(14)]
SQUARE = [np.pad(np.ones((20, 25), bool), ((70, 6), (80 + number % 3, 23 - number % 3))) for number in range(14)]
LARGE = [np.where(square, 2, disc.astype(np.uint8)).astype(np.uint8) for disc, square in zip(ROUND, SQUARE, strict=True)]
"""Larger masks, whose second object has more pixels than the third."""


def write_large(folder: Folder, values: tuple[int, ...], quality: int | None) -> None:
    """Save :data:`LARGE` with other values as JPEG, or resized smoothly where there is no quality."""
    for number, labels in enumerate(LARGE):
        folder.mask(number).unlink(missing_ok=True)
        photograph(number, (96, 128)).save(folder.image(number))
        image = Image.fromarray(np.array(values, np.uint8)[labels])
        if quality is None:
            image.resize((85, 64), Image.Resampling.BILINEAR).resize((128, 96), Image.Resampling.BILINEAR).save(
                folder.mask(number)
            )
        else:
            image.save(folder.mask(number).with_suffix(".jpg"), quality=quality)


@pytest.mark.parametrize(
    ("values", "quality"),
    [((0, 128, 255), 90), ((255, 100, 0), 50), ((0, 200, 255), None)],
)
def test_three_smooth_greys_stay_three_classes(folder: Folder, values: tuple[int, ...], quality: int | None) -> None:
    write_large(folder, values, quality)
    with pytest.raises(DataError, match=r"only as specks along borders, between 3 that fill areas .*--fix DIR"):
        starter(folder.root, "own", preferred=True)
    clean = folder.root.parent / "clean"
    repair(open_context(guess_spec(folder.root)), clean)
    edges = 3 * sum(int((ndimage.grey_dilation(labels, (3, 3)) != labels).sum()) for labels in LARGE) / 4
    spec = DataSpec(name="folder", root=clean, labels=dict(zip(PLAIN, values, strict=True)))
    assert wrong(spec, LARGE) < edges
    assert errors(spec) == []
    again = read_guess(clean, look_into(sorted(clean.glob("masks/*/*"))), Choices(void="none"))
    assert list(again.entries.values()) == sorted(values)


@pytest.mark.parametrize(("values", "quality"), [((0, 1, 1), 50), ((0, 1, 2), 95), ((3, 9, 255), 75)])
def test_near_values_through_jpeg_are_lost(folder: Folder, values: tuple[int, ...], quality: int) -> None:
    write_large(folder, values, quality)
    with pytest.raises(DataError, match=r"14 of 14 masks are JPEG.*nothing can undo; export the masks again as PNG"):
        starter(folder.root, "own", preferred=True)
    spec = guess_spec(folder.root)
    named = folder.spec(labels={f"class {value}": value for value in sorted(set(values))})
    assert "masks lost in JPEG" in errors(spec)
    assert "masks lost in JPEG" in errors(named)
    clean = folder.root.parent / "clean"
    repair(open_context(spec), clean)
    with pytest.raises(DataError, match="nothing can undo"):
        starter(clean, "own", preferred=True)


def test_hidden_colours_that_differ_are_one_background(folder: Folder) -> None:
    def save(number: int, labels: np.ndarray) -> Image.Image:
        colors = COLORS[labels]
        colors[labels == 0] = 255 if number % 2 else 7
        return Image.fromarray(np.dstack([colors, (labels > 0).astype(np.uint8) * 255]))

    write(folder, save)
    spec = written(folder)
    assert list(spec.labels.values()) == [{"alpha": "0-127"}, {"color": [0, 0, 255]}, {"color": [255, 0, 0]}]
    assert wrong(spec, [np.array([0, 2, 1])[labels] for labels in TRUTH]) == 0
    assert errors(spec) == []


def test_several_hidden_colours_are_asked_about(folder: Folder) -> None:
    write(folder, lambda _, labels: Image.fromarray(np.dstack([COLORS[labels], (labels == 2).astype(np.uint8) * 255])))
    with pytest.raises(DataError, match=r"alpha 0 hides several colours of one mask .*save the masks without alpha"):
        starter(folder.root, "own", preferred=True)


@pytest.mark.parametrize("highest", [1, 2])
def test_a_void_that_no_mask_holds(folder: Folder, highest: int) -> None:
    write(folder, lambda _, labels: Image.fromarray(np.minimum(labels, highest).astype(np.uint8)))
    with pytest.raises(DataError, match=r"--void 9, but no mask has 9; they hold 0"):
        starter(folder.root, "own", preferred=True, choices=Choices(void="9"))
