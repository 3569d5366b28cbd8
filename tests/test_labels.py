"""Label sets: the VOC palette by the development kit's own rule, pictures, palette PNGs, refusals, round trip."""

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fullconv.errors import DataError
from fullconv.labels import VOC, VOID_COLOR, LabelSet, difference, voc_colors

TWO = LabelSet(("floor", "wall"), ((1, 2, 3), (4, 5, 6)))


def devkit_colormap(count: int) -> list[tuple[int, ...]]:
    """VOClabelcolormap.m, transcribed: bitor(r, bitshift(bitget(id, 1), 7 - j)) … for j in 0..7."""
    colors = []
    for index in range(count):
        color, rest = [0, 0, 0], index
        for j in range(8):
            for channel in range(3):
                color[channel] |= (rest >> channel & 1) << (7 - j)
            rest >>= 3
        colors.append(tuple(color))
    return colors


def test_voc_colors_are_the_development_kits():
    assert list(voc_colors(256)) == devkit_colormap(256)
    assert voc_colors(256)[255] == VOID_COLOR
    assert voc_colors(16)[15] == (192, 128, 128)  # person


def test_voc_has_its_classes_in_order():
    assert len(VOC) == 21
    assert (VOC.names[0], VOC.names[8], VOC.names[15], VOC.names[20]) == ("background", "cat", "person", "tvmonitor")
    assert VOC.ignore_index == 255
    assert VOID_COLOR not in VOC.colors


def test_palette_holds_classes_and_void():
    palette = np.array(VOC.palette).reshape(256, 3)
    assert tuple(map(tuple, palette[:21].tolist())) == VOC.colors
    assert tuple(palette[255]) == VOID_COLOR
    assert not palette[21:255].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_colorize_and_palette_png_agree(dtype: type):
    labels = np.array([[0, 1, 20], [255, 15, 0]], dtype)
    picture = VOC.colorize(labels)
    assert picture.dtype == np.uint8
    assert picture[1, 1].tolist() == [192, 128, 128]
    assert picture[1, 0].tolist() == list(VOID_COLOR)
    file = io.BytesIO()
    VOC.to_image(labels).save(file, "PNG")
    image = Image.open(file)
    assert image.mode == "P"
    assert np.array_equal(np.array(image), labels)
    assert np.array_equal(np.array(image.convert("RGB")), picture)


@pytest.mark.parametrize("method", [TWO.colorize, TWO.to_image, TWO.check])
def test_strange_labels_are_counted_and_named(method):
    labels = np.array([[0, 7, 7], [-1, 255, 1]])
    with pytest.raises(DataError, match=r"labels outside 0\.\.1 and not 255 \(ignore\): -1 \(1 px\), 7 \(2 px\); "):
        method(labels)
    with pytest.raises(DataError, match=r"6 \(1 px\) and more; "):
        method(np.array([range(2, 9)]))


def test_check_names_its_source_and_refuses_other_kinds():
    with pytest.raises(DataError, match=r"^a\.png: labels outside 0\.\.1 and not 255"):
        TWO.check(np.array([[2]]), source="a.png")
    with pytest.raises(DataError, match=r"integers \(H, W\); got float64 \(1, 1\)"):
        TWO.check(np.zeros((1, 1)))
    with pytest.raises(DataError, match=r"integers \(H, W\); got uint8 \(2, 2, 3\)"):
        TWO.check(np.zeros((2, 2, 3), np.uint8))


def test_another_ignore_value_is_no_class_and_255_is_none():
    labels = LabelSet(("a",), ((9, 9, 9),), ignore_index=1)
    assert labels.colorize(np.array([[0, 1]])).tolist() == [[[9, 9, 9], list(VOID_COLOR)]]
    with pytest.raises(DataError, match=r"255 \(1 px\)"):
        labels.check(np.array([[255]]))


@pytest.mark.parametrize(
    ("names", "colors", "ignore", "message"),
    [
        ((), (), 255, "1 to 255 different names; got 0"),
        (("a", "b", "a"), voc_colors(3), 255, "different names; got 3: a, b, a"),
        (tuple(map(str, range(256))), voc_colors(256), 255, "1 to 255 different names; got 256"),
        (("a", "b"), voc_colors(3), 255, "2 classes need 2 colours of three values"),
        (("a",), ((0, 0, 256),), 255, r"in 0\.\.255; got \(\(0, 0, 256\),\)"),
        (("a",), ((0, 0),), 255, "1 classes need 1 colours of three values"),
        (("a", "b"), voc_colors(2), 1, r"must lie in 2\.\.255 \(after the classes\); got 1"),
        (("a", "b"), voc_colors(2), 256, r"must lie in 2\.\.255 \(after the classes\); got 256"),
    ],
)
def test_what_does_not_fit_together_is_refused(names, colors, ignore, message):
    with pytest.raises(DataError, match=message):
        LabelSet(names, colors, ignore)


def test_255_classes_fit():
    labels = LabelSet(tuple(map(str, range(255))), voc_colors(255))
    assert labels.to_image(np.array([[254, 255]])).getpixel((1, 0)) == 255


@given(st.lists(st.text(max_size=5), min_size=1, max_size=9, unique=True), st.data())
def test_label_sets_round_trip_through_json(names: list[str], data: st.DataObject):
    byte = st.integers(0, 255)
    color = st.tuples(byte, byte, byte)
    colors = data.draw(st.lists(color, min_size=len(names), max_size=len(names)))
    labels = LabelSet(tuple(names), tuple(colors), data.draw(st.integers(len(names), 255)))
    assert LabelSet.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


@pytest.mark.parametrize(
    "data",
    [
        {"names": ["a"], "colors": [[0, 0, 0]]},
        {"names": 3, "colors": [[0, 0, 0]], "ignore_index": 255},
        {"names": ["a"], "colors": [[0, 0]], "ignore_index": 255},
        {"names": ["a"], "colors": [[0, 0, "red"]], "ignore_index": 255},
        {"names": ["a"], "colors": [[0, 0, 0]], "ignore_index": None},
        {"names": ["a"], "colors": [[0, 0, 0]], "ignore_index": float("inf")},
        ["a"],
    ],
)
def test_from_dict_refuses_other_things(data):
    with pytest.raises(DataError, match="needs names, colors \\(triples\\) and ignore_index; got"):
        LabelSet.from_dict(data)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("road car", "road car", r"^$"),
        (
            "road car sky",
            "road vehicle sky",
            r"^label 1 is car to the model and vehicle in the data, all else is the same: renamed\?",
        ),
        (
            "road car sky",
            "road sky car",
            r"^the same classes in another order, label 1 is car to the model and sky in the data: put",
        ),
        ("road car", "road car sky", r"^the model has 2 classes, the data 3; only the data have sky$"),
        (
            "road car",
            "cat dog",
            r"^the model has 2 classes, the data 2; only the model has road, car; only the data have cat, dog$",
        ),
    ],
)
def test_a_renamed_class_is_told_from_another(model: str, data: str, message: str) -> None:
    assert re.search(message, difference(LabelSet(tuple(model.split())), LabelSet(tuple(data.split()))))
