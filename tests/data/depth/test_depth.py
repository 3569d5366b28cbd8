"""Depth maps from every kind of file are the same metres; a mistaken unit is noticed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data.depth.depth import check_depth, read_depth
from fullconv.errors import DataError

METRES = np.array([[0, 1.25, 2.5], [3.75, 8.0, 0.5]], np.float32)
HOLE_AS_NAN = np.where(METRES == 0, np.nan, METRES)


def saved(folder: Path, name: str, values: np.ndarray) -> Path:
    if name.endswith(".npy"):
        np.save(folder / name, values)
    else:
        Image.fromarray(values).save(folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("mm.png", (METRES * 1000).astype(np.uint16), "millimetres"),
        ("mm.pgm", (METRES * 1000).astype(np.uint16), "millimetres"),
        ("mm.tif", (METRES * 1000).astype(np.int32), "millimetres"),
        ("cm.npy", METRES * 100, "centimetres"),
        ("mm.npy", (METRES * 1000).astype(np.uint16), "millimetres"),
        ("m.npy", METRES.astype(np.float64), "metres"),
        ("m.npy", METRES.astype(np.float16), "metres"),
        ("nan.npy", HOLE_AS_NAN, "metres"),
        ("m.tif", METRES, "metres"),
        ("nan.tif", HOLE_AS_NAN, "metres"),
        ("steps.png", (METRES * 4).astype(np.uint8), 0.25),
        ("steps.png", (METRES * 10000).astype(np.int32).clip(0, 65535).astype(np.uint16), 1e-4),
    ],
)
def test_every_file_gives_the_same_metres(name, values, unit, tmp_path):
    found = read_depth(saved(tmp_path, name, values), unit)
    assert found.dtype == np.float32
    expected = METRES if unit != 1e-4 else METRES.clip(0, 6.5535)  # sixteen bits end there
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_eight_bits_that_reach_to_ten_metres(tmp_path):
    found = read_depth(saved(tmp_path, "nyud.png", np.array([[0, 51, 255]], np.uint8)), 1 / 25.5)
    np.testing.assert_allclose(found, [[0, 2, 10]], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        (METRES * 1000, "metres", r"m\.npy, read as metres: .*2500 m.*looks like millimetres taken for metres"),
        (METRES * 100, "metres", r"the median depth is 250 m, not between 0\.1 and 40 m; it looks like centimetres"),
        (METRES, "millimetres", r"0\.0025 m.*it looks like metres taken for millimetres"),
        (METRES * 10_000, "centimetres", r"read as centimetres: .*it looks like millimetres taken for centimetres"),
        (METRES * 10, "millimetres", r"read as millimetres: .*it looks like centimetres taken for millimetres"),
        (METRES, "centimetres", r"0\.025 m.*it looks like metres taken for centimetres"),
        (METRES * 1e6, "metres", r"the median depth is 2\.5e\+06 m.*; check the unit"),
        (METRES * 1000, 1.0, r"read as 1 m a step: .*looks like millimetres"),
    ],
)
def test_a_mistaken_unit_is_refused_in_one_line(values, unit, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        read_depth(saved(tmp_path, "m.npy", values), unit)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", ["meters", "mm", ""])
def test_unknown_units_are_refused(unit, tmp_path):
    with pytest.raises(DataError, match=f"no depth unit '{unit}'; there are metres, centimetres, millimetres, or a number"):
        read_depth(saved(tmp_path, "m.npy", METRES), unit)


@pytest.mark.parametrize("unit", [0, -1.0, float("nan"), float("inf")])
def test_steps_without_a_length_are_refused(unit, tmp_path):
    with pytest.raises(DataError, match="must be positive and finite"):
        read_depth(saved(tmp_path, "m.npy", METRES), unit)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("rgb.png", np.zeros((4, 4, 3), np.uint8), "rgb.png: a depth map has one channel of numbers; this image is RGB"),
        ("cube.npy", np.ones((2, 3, 4)), r"cube.npy, read as metres: .*array \(H, W\) in metres; got float64 \(2, 3, 4\)"),
        ("text.npy", np.array([["a"]]), "text.npy: a depth map is an array of numbers; this one holds <U1"),
        ("flags.npy", np.ones((2, 2), bool), "holds bool"),
        ("holes.npy", np.zeros((4, 5)), "a depth map of 4x5 with nothing but holes"),
        ("nan.npy", np.full((4, 5), np.nan), "nothing but holes"),
        ("empty.npy", np.zeros((0, 5)), "nothing but holes"),
        ("minus.npy", np.array([[1.0, -1.0, np.nan]]), r"must not be negative \(a hole is 0 or NaN\); the least is -1"),
    ],
)
def test_what_is_no_depth_map_is_refused(name, values, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_depth(saved(tmp_path, name, values), "metres")


@pytest.mark.parametrize("name", ["gone.npy", "gone.png"])
def test_missing_files_are_named(name, tmp_path):
    with pytest.raises(DataError, match=rf"{name}: no such file"):
        read_depth(tmp_path / name, "metres")


def test_damaged_and_executable_arrays_are_refused(tmp_path):
    path = saved(tmp_path, "m.npy", METRES)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"m\.npy: cannot be read as a \.npy array"):
        read_depth(path, "metres")
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match=r"m\.npy: cannot be read as a \.npy array"):
        read_depth(path, "metres")
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"m\.npy: cannot be read as a \.npy array"):
        read_depth(path, "metres")


@pytest.mark.parametrize(
    ("whole", "damaged"),
    [
        (b"'descr'", b"((((((("),
        (b"'descr'", b"'descr:"),
        (b"(4, 5), }         ", b"(99999999, 999), }"),
        (b"(4, 5), }   ", b"(9**99, 5), }"),
    ],
)
def test_arrays_with_damaged_headers_are_refused(whole, damaged, tmp_path):
    path = saved(tmp_path, "m.npy", np.ones((4, 5)))
    assert whole in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(whole, damaged))
    with pytest.raises(DataError, match=r"m\.npy: cannot be read as a \.npy array of numbers \(.*\)$"):
        read_depth(path, "metres")


def test_holes_are_zero_nan_and_infinity():
    depth = np.array([[1, 0, np.nan, np.inf, 3]], np.float32)
    np.testing.assert_array_equal(check_depth(depth), [[True, False, False, False, True]])


@pytest.mark.parametrize("depth", [[[1.0]], None, np.ones((3, 3), np.uint16), np.ones(4)])
def test_metres_are_a_floating_point_array(depth):
    with pytest.raises(DataError, match=r"a depth map is a floating point array \(H, W\) in metres; got"):
        check_depth(depth)
