"""Lists of names: how they are written, and which value each name has, or that nobody can tell."""

from pathlib import Path

import pytest

from fullconv.data.folder.label_names import find_names, fit_names, read_names
from fullconv.errors import DataError


def names(tmp_path: Path, text: str, values: list[int], top: int | None = None, start: int | None = None) -> dict[int, str]:
    (tmp_path / "classes.txt").write_text(text)
    fit = fit_names(read_names(tmp_path / "classes.txt"), values, top, start)
    return {value: fit.names[value] for value in [*values, *([top] if top else [])] if value in fit.names}


@pytest.mark.parametrize(
    ("text", "values", "top", "expected"),
    [
        ("__ignore__\n_background_\ncat\ndog\n", [0, 1, 2], 255, {0: "_background_", 1: "cat", 2: "dog"}),  # LabelMe: -1 first
        ("wall\nbuilding\nsky\n", [0, 1, 2, 3], None, {1: "wall", 2: "building", 3: "sky"}),  # ADE20K: 0 is left over
        ("background\nroad\ncar\n", [1, 2], None, {1: "road", 2: "car"}),  # 0 is never drawn
        ("road\ncar\n", [1, 2], None, {1: "road", 2: "car"}),
        ("road\nsky\ntree\n", [0, 1, 2], 255, {0: "road", 1: "sky", 2: "tree"}),
        ("road\nsky\ntree\n", [7, 24, 26], None, {7: "road", 24: "sky", 26: "tree"}),
        ("no\nhalf\nyes\n", [0, 128], 255, {0: "no", 128: "half", 255: "yes"}),
        ("background\nroad\nsky\ntree\n", [0, 2], None, {0: "background", 2: "sky"}),
        ("7: road\n9: sky\n", [7, 9, 11], None, {7: "road", 9: "sky"}),
        ("id,name\n0,road\n1,sky\n", [0, 1], None, {0: "road", 1: "sky"}),
        ("road: 3\nsky: 4\n", [3, 4], None, {3: "road", 4: "sky"}),
        ("# mine\n\n0 road side\n1 sky\n", [0, 1], None, {0: "road side", 1: "sky"}),
    ],
)
def test_one_reading_fits(tmp_path: Path, text: str, values: list[int], top: int | None, expected: dict[int, str]) -> None:
    assert names(tmp_path, text, values, top) == expected


@pytest.mark.parametrize(
    ("text", "values", "top", "message"),
    [
        ("a\nb\nc\nd\n", [0, 2], None, r"value 2 is c if they count from 0, b if from 1; say which: --names-start 0 or"),
        ("a\nb\nc\n", [1, 2], None, r"value 1 is b if they count from 0, a if from 1"),
        ("a\nb\n", [0, 1, 2, 3], None, r"has 2 names, the masks have the values 0-3, which do not fit; say which"),
        ("a\nb\nc\nd\n", [0, 1, 2], 255, r"255 may be d or without ground truth; say which: .*`255: d` in the list"),
    ],
)
def test_two_readings_or_none(tmp_path: Path, text: str, values: list[int], top: int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        names(tmp_path, text, values, top)


def test_a_person_decides(tmp_path: Path) -> None:
    assert names(tmp_path, "a\nb\nc\nd\n", [0, 2], start=0) == {0: "a", 2: "c"}
    assert names(tmp_path, "a\nb\nc\nd\n", [0, 2], start=1) == {2: "b"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:0,0,0::\nroof:128,64,0::\n"),
        ("class_dict.csv", "name,r,g,b\nsky,0,0,0\nroof,128,64,0\n"),
        ("label_colors.txt", "0 0 0\t\tsky\n128 64 0\t\troof\n"),
        ("classes.txt", "sky 0 0 0\nroof 128 64 0\n"),
    ],
)
def test_lists_of_colours(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = find_names(tmp_path)
    assert found is not None
    assert (found.path.name, found.names) == (name, ("sky", "roof"))
    assert found.colors == {(0, 0, 0): "sky", (128, 64, 0): "roof"}


def test_where_lists_lie(tmp_path: Path) -> None:
    assert find_names(tmp_path) is None
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "classes.txt").write_text("a\nb\n")
    found = find_names(tmp_path)
    assert found is not None
    assert found.path == tmp_path / "masks" / "classes.txt"
    (tmp_path / "names.txt").write_text("c\n")
    assert find_names(tmp_path) == read_names(tmp_path / "names.txt")


@pytest.mark.parametrize(
    ("text", "message"), [("", r"0 lines; a list of class names"), ("0: a\n0: b\n", r"two names for one value")]
)
def test_lists_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_names(tmp_path / "classes.txt")


@pytest.mark.parametrize(
    "text",
    [
        "id,name,r,g,b\n2,dog,0,0,255\n0,background,0,0,0\n1,cat,255,0,0\n",
        "name;Label;Red;Green;Blue\ndog;2;0;0;255\nbackground;0;0;0;0\ncat;1;255;0;0\n",
    ],
)
def test_tables_of_values_and_colours(tmp_path: Path, text: str) -> None:
    assert names(tmp_path, text, [0, 1, 2]) == {0: "background", 1: "cat", 2: "dog"}
    assert read_names(tmp_path / "classes.txt").colors == {(0, 0, 0): "background", (255, 0, 0): "cat", (0, 0, 255): "dog"}


def test_a_table_that_does_not_fit_its_head(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: 'dog,2,0,0,255' does not fit its head 'id,name,r,g,b'"):
        names(tmp_path, "id,name,r,g,b\ndog,2,0,0,255\n", [0, 2])


@pytest.mark.parametrize("text", ["1: background\n2: cat\n3: dog\n", "1: cat\n2: dog\n3: cow\n", "1: background\n2: cat\n"])
def test_stated_values_that_are_shifted(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"0 has no name; are they shifted\? .*--names-start 0 moves them, --names-start 1 keeps"):
        names(tmp_path, text, [0, 1, 2])
    first, second = (line[3:] for line in text.splitlines()[:2])
    assert names(tmp_path, text, [0, 1], start=0) == {0: first, 1: second}
    assert names(tmp_path, text, [0, 1, 2], start=1) == {1: first, 2: second}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_comments_behind_names_and_wide_text(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "classes.txt").write_text("background\ncat # small\nC# code\nStra\u00dfe\n", encoding=encoding)
    assert read_names(tmp_path / "classes.txt").names == ("background", "cat", "C# code", "Stra\u00dfe")


def test_broken_utf16(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfea")
    with pytest.raises(DataError, match="begins as UTF-16 and is none"):
        read_names(tmp_path / "classes.txt")
