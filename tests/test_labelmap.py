"""What a recipe's ``labels`` means: a naive loop over pixels, the grammar, and every refusal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullconv.errors import DataError, SpecError
from fullconv.labelmap import COLOR, parse_label_map, show_code


def test_the_example_of_the_module() -> None:
    label_map = parse_label_map(
        {
            "background": 0,
            "road": [1, 7],
            "vehicle": "11-14, 17",
            "sky": {"color": [128, 128, 128]},
            "tree": ["#008000", {"color": [0, 255, 0]}],
            "border": "ignore",
            "unknown": {"ignore": 9, "among_classes": True},
        }
    )
    assert label_map.labels.names == ("background", "road", "vehicle", "sky", "tree")
    values = np.array([[0, 1, 7, 11, 12, 13, 14, 17, 255, 9]], np.uint8)
    assert label_map.apply(values).tolist() == [[0, 1, 1, 2, 2, 2, 2, 2, 255, 255]]
    colors = np.array([[[128, 128, 128], [0, 128, 0], [0, 255, 0]]], np.uint8)
    assert label_map.apply(colors).tolist() == [[3, 4, 4]]
    assert label_map.labels.colors[3:] == ((128, 128, 128), (0, 128, 0))
    assert len(set(label_map.labels.colors)) == 5
    assert [show_code(code) for code in label_map.codes(255)] == ["value 9", "value 255"]


@given(st.lists(st.integers(0, 65535), min_size=2, max_size=20, unique=True), st.data())
def test_values_against_a_loop(values: list[int], data: st.DataObject) -> None:
    classes = data.draw(st.integers(1, len(values)))
    groups: list[list[int]] = [[] for _ in range(classes)]
    for i, value in enumerate(values):
        groups[i % classes].append(value)
    # a list of three small numbers is refused, so several values are given as text
    label_map = parse_label_map({f"c{i}": ", ".join(map(str, group)) for i, group in enumerate(groups)})
    stored = np.array(data.draw(st.lists(st.sampled_from(values), min_size=6, max_size=6)), np.int32).reshape(2, 3)
    expected = [[next(i for i, group in enumerate(groups) if value in group) for value in row] for row in stored.tolist()]
    found = label_map.apply(stored)
    assert found.dtype == np.uint8
    assert found.tolist() == expected


def test_unknown_values_are_counted_and_the_nearest_is_named() -> None:
    label_map = parse_label_map({"road": 1, "sky": 40})
    stored = np.array([[1, 1, 37, 37], [37, 2, 250, 40]], np.uint8)
    with pytest.raises(
        DataError, match=r"^m.png: value 37 \(3 px, 37.5 %\), value 2 \(1 px, 12.5 %\), value 250 .*nearest is 40 \(sky\)"
    ):
        label_map.apply(stored, "m.png")


def test_unknown_colours_are_counted_and_the_nearest_is_named() -> None:
    label_map = parse_label_map({"road": {"color": [128, 64, 128]}, "sky": "#4682b4"})
    stored = np.array([[[128, 64, 128], [72, 131, 180]]], np.uint8)
    with pytest.raises(
        DataError, match=r"colour \(72, 131, 180\) \(1 px, 50.0 %\) is not in labels; the nearest is \(70, 130, 180\) \(sky\)"
    ):
        label_map.apply(stored)


def test_255_is_never_background() -> None:
    stored = np.array([[0, 1, 255]], np.uint8)
    with pytest.raises(DataError, match=r"value 255 \(1 px, 33.3 %\) is not in labels"):
        parse_label_map({"background": 0, "thing": 1}).apply(stored)
    assert parse_label_map({"background": 0, "thing": 1, "void": "ignore"}).apply(stored).tolist() == [[0, 1, 255]]


def test_an_ignored_value_among_the_classes_must_be_said_twice() -> None:
    entries = {"road": 0, "sky": 2, "hole": {"ignore": 1}}
    with pytest.raises(
        SpecError, match=r"labels.hole ignores 1, which lies among the classes' values 0\.\.2; .*among_classes: true"
    ):
        parse_label_map(entries)
    confirmed = parse_label_map(entries | {"hole": {"ignore": 1, "among_classes": True}})
    assert confirmed.apply(np.array([[0, 1, 2]], np.uint8)).tolist() == [[0, 255, 1]]
    assert parse_label_map({"road": 1, "sky": 2, "hole": {"ignore": 0}}).apply(np.array([[0]], np.uint8)).tolist() == [[255]]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a": 1, "b": "0-3"}, r"value 1 stands for a and for b"),
        ({"a": {"color": [1, 2, 3]}, "b": "#010203"}, r"colour \(1, 2, 3\) stands for a and for b"),
        ({"a": 255, "b": "ignore"}, r"value 255 stands for a and for b"),
        ({"void": "ignore"}, r"must name 1 to 255 classes; got 0"),
        ({"a": -(1 << 31) - 1}, r"labels.a: -2147483649 must be values in -2147483648..4294967295"),
        ({"a": 1 << 32}, r"labels.a: 4294967296 must be"),
        ({"a": "0-65536"}, r"labels.a: '0-65536' is no range of at most 65536 values"),
        (
            {"road": [1, 7, 9]},
            r"labels.road: \[1, 7, 9\] may be three values or a colour; write '1, 7, 9' .* {color: \[1, 7, 9\]} or '#010709'",
        ),
        ({"a": [[1, 7, 9], [2, 2, 2]]}, r"labels.a: \[1, 7, 9\] may be three values or a colour"),
        ({"a": 1, "v": {"ignore": [2, 3, 4]}}, r"labels.v: \[2, 3, 4\] may be three values or a colour"),
        ({"a": {"color": [1, 2, 300]}}, r"labels.a: \[1, 2, 300\]|1 is no colour; write three numbers of 0..255"),
        ({"a": {"color": "red"}}, r"labels.a: 'red' is no colour"),
        ({"a": {"alpha": 256}}, r"labels.a: alpha is 0..255, such as {alpha: 128-255}; got 256"),
        ({"a": COLOR + 5}, r"labels.a: .* must be"),
        ({"a": 1.5}, r"labels.a: cannot read 1.5; write a value"),
        ({"a": True}, r"labels.a: cannot read True"),
        ({"a": "seven"}, r"labels.a: cannot read 'seven'"),
        ({"a": "#12345"}, r"labels.a: cannot read '#12345'"),
        ({"a": []}, r"labels.a: \[\] must be values"),
        ({"a": "5-3"}, r"labels.a: '5-3' must be values"),
        ({"a": {"value": 3}}, r"labels.a: cannot read"),
        ({"a": 1, "b": {"ignore": 3, "twice": True}}, r"labels.b: unknown twice; known are ignore, among_classes, large"),
        ({f"c{i}": i for i in range(256)}, r"must name 1 to 255 classes; got 256"),
    ],
)
def test_refusals(entries: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_label_map(entries)


def test_black_is_left_to_a_background() -> None:
    rooms = parse_label_map({"wall": 0, "floor": 1})
    assert (0, 0, 0) not in rooms.labels.colors
    for name in ("background", "Background (none)", "bg"):
        assert parse_label_map({name: 0, "thing": 1}).labels.colors[0] == (0, 0, 0)


def test_negative_values_and_lists_that_no_colour_can_be() -> None:
    label_map = parse_label_map({"a": [300, 0, 7], "b": "-3--2, 9", "nodata": {"ignore": -1, "among_classes": True}})
    stored = np.array([[300, 0, 7, -3, -2, 9, -1]], np.int16)
    assert label_map.apply(stored).tolist() == [[0, 0, 0, 1, 1, 1, 255]]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=12), st.data())
def test_bytes_are_read_as_other_integers_are(values: list[int], data: st.DataObject) -> None:
    known = sorted(set(values))
    label_map = parse_label_map({f"c{value}": value for value in known})
    stored = np.array([data.draw(st.lists(st.sampled_from(known), min_size=3, max_size=3))])
    assert label_map.apply(stored.astype(np.uint8)).tolist() == label_map.apply(stored).tolist()


def test_a_class_is_not_called_ignore() -> None:
    with pytest.raises(
        SpecError, match=r"labels.ignore: 255 would make a class called ignore; .* write void: ignore, or void: {ig"
    ):
        parse_label_map({"a": 0, "b": 1, "ignore": 255})
    assert parse_label_map({"a": 0, "ignore": "ignore"}).meaning == {0: 0, 255: 255}
    assert parse_label_map({"a": 0, "ignore": {"ignore": 254}}).meaning == {0: 0, 254: 255}
