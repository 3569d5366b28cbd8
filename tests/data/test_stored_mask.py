"""Masks in every kind of file against the array they were written from."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import io

from fullconv.data.masks import ClassMasks, read_labels
from fullconv.data.stored_mask import stored_at
from fullconv.errors import DataError
from fullconv.labelmap import parse_label_map

TRUTH = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
LABELS = parse_label_map({"a": 0, "b": 1, "c": 2})


def saved(path: Path, values: np.ndarray) -> Path:
    """Write an array by its suffix."""
    match path.suffix:
        case ".npy":
            np.save(path, values)
        case ".npz":
            np.savez(path, image=np.zeros((9, 9)), mask=values)
        case ".mat":
            io.savemat(path, {"labels": values, "author": "me"})
        case _:
            tifffile.imwrite(path, values)
    return path


@pytest.mark.parametrize("suffix", ["npy", "npz", "mat", "tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32"])
def test_whole_numbers_of_any_kind(tmp_path: Path, suffix: str, dtype: str) -> None:
    path = saved(tmp_path / f"m.{suffix}", TRUTH.astype(dtype))
    assert read_labels(path, LABELS).tolist() == TRUTH.tolist()


@pytest.mark.parametrize("suffix", ["npy", "mat", "tif"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float32"])
def test_minus_one_is_a_value(tmp_path: Path, suffix: str, dtype: str) -> None:
    path = saved(tmp_path / f"m.{suffix}", TRUTH.astype(dtype) - 1)
    label_map = parse_label_map({"a": 0, "b": 1, "void": {"ignore": -1}})
    assert read_labels(path, label_map).tolist() == np.where(TRUTH == 0, 255, TRUTH.astype(int) - 1).tolist()


def test_large_values(tmp_path: Path) -> None:
    label_map = parse_label_map({"a": 0, "b": 700, "c": 4_000_000_000})
    for suffix in ("tif", "npy"):
        path = saved(tmp_path / f"m.{suffix}", np.array([[0, 700, 4_000_000_000]], np.uint32))
        assert read_labels(path, label_map).tolist() == [[0, 1, 2]]
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "m.png")
    assert read_labels(tmp_path / "m.png", parse_label_map({"a": 0, "b": 65535})).tolist() == [[0, 1]]


def test_bool_arrays_and_one_axis_too_many(tmp_path: Path) -> None:
    for name, values in (("a", TRUTH > 0), ("b", (TRUTH > 0)[None]), ("c", (TRUTH > 0)[..., None])):
        assert read_labels(saved(tmp_path / f"{name}.npy", values), LABELS).tolist() == (TRUTH > 0).astype(int).tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.5, 1.0]]), r"m.npy: a mask of floating point numbers, 1 of them not whole, such as 0.5; store a whole"),
        (np.array([[np.nan, 1.0]]), r"1 of them not whole, such as nan; .* such as -1 for pixels without ground truth"),
        (np.zeros((4, 5, 7)), r"an array of the shape \(4, 5, 7\); a mask is \(H, W\)"),
        (np.array([["a"]]), r"a mask of <U1; store whole numbers or colours"),
    ],
)
def test_arrays_that_are_no_masks(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "m.npy", values)
    with pytest.raises(DataError, match=message):
        stored_at(tmp_path / "m.npy")


def test_nothing_in_an_array_file_is_executed(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"m.npy: cannot be read as an array of numbers \(.*allow_pickle=False"):
        stored_at(tmp_path / "m.npy")


def test_which_of_several_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", one=TRUTH, two=TRUTH)
    with pytest.raises(DataError, match=r"m.npz: which array is the mask\? There are one, two; keep one, or call it mask"):
        stored_at(tmp_path / "m.npz")


ALPHA = np.array([[0, 255, 100], [200, 255, 0]], np.uint8)
BY_ALPHA = {"out": {"alpha": "0-127"}, "in": {"alpha": "128-255"}}


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_an_object_in_the_alpha_channel(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("m.tif" if mode == "PA" else "m.png")
    if mode == "PA":
        np.save(tmp_path / "m.npy", np.dstack([np.zeros((2, 3, 3), np.uint8), ALPHA]))
        path = tmp_path / "m.npy"
    else:
        plain = Image.new("RGBA", (3, 2))
        plain.putalpha(Image.fromarray(ALPHA))
        plain.convert(mode).save(path)
    assert read_labels(path, parse_label_map(BY_ALPHA)).tolist() == (ALPHA >= 128).astype(int).tolist()


def test_alpha_beside_colours(tmp_path: Path) -> None:
    red = np.zeros((2, 3, 4), np.uint8)
    red[..., 3] = ALPHA
    red[0, :, 0] = 255
    Image.fromarray(red).save(tmp_path / "m.png")
    label_map = parse_label_map({"out": {"alpha": "0-127"}, "red": "#ff0000", "black": {"color": [0, 0, 0]}})
    assert read_labels(tmp_path / "m.png", label_map).tolist() == [[0, 1, 0], [2, 2, 0]]


def test_colours_only_and_a_value_that_is_no_grey(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.npy", np.array([[0, 300]], np.uint16))
    with pytest.raises(DataError, match=r"stores values up to 300, and data.labels has colours only"):
        read_labels(path, parse_label_map({"a": "#000000", "b": "#ffffff"}))


def test_masks_of_one_class_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inside = rng.random((3, 8, 9)) < 0.4
    written = [inside[0], inside[1].astype(np.uint8) * 255, inside[2].astype(np.uint8) * 200 + 20]
    for number, values in enumerate(written):
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    smooth = np.where(inside[2], 200, 90).astype(np.uint8)
    smooth[0, 0], smooth[0, 1] = 0, 255
    Image.fromarray(smooth).save(tmp_path / "2.png")
    inside[2, 0, :2] = False, True
    expected = np.zeros((8, 9), int)
    for y in range(8):
        for x in range(9):
            for number in range(3):  # the later lies on top
                if inside[number, y, x]:
                    expected[y, x] = number + 1
    files = tuple(tmp_path / f"{number}.png" for number in range(3))
    assert ClassMasks(files).stored().plain.tolist() == expected.tolist()
    assert ClassMasks((None, files[0])).stored().plain.tolist() == (2 * inside[0].astype(int)).tolist()


def test_masks_of_one_class_that_are_not(tmp_path: Path) -> None:
    Image.fromarray(TRUTH * np.uint8(90)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: the values 0, 90, 180 in a mask of one class; it has 0 and one other value"):
        ClassMasks((tmp_path / "a.png",)).stored()
    Image.fromarray(TRUTH > 0).save(tmp_path / "a.png")
    Image.fromarray(TRUTH.T > 0).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b.png: 3×2, but .*a.png is 2×3 \(H×W\); the masks of one image must be of one size"):
        ClassMasks((tmp_path / "a.png", tmp_path / "b.png")).stored()
    with pytest.raises(DataError, match=r"masks of 1 classes, 0 with a file"):
        ClassMasks((None,)).stored()
