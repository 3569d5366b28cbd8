"""What is done for a folder of very many pairs is what the plain way gives, and grows with the pairs, not their square."""

import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullconv.data.folder.candidates import _extensions, candidates
from fullconv.data.folder.files import files_below
from fullconv.data.folder.label_names import find_names
from fullconv.data.folder.names import stem_of, suffix_of, without_suffix
from fullconv.data.folder.tree import Tree

# of "..a" only a dot would be left, which is no name; pathlib says so from Python 3.13 on
PART = st.text("ab.-é ", min_size=1, max_size=6).filter(lambda part: part not in (".", "..") and PurePosixPath(part).stem != ".")


@given(st.lists(PART, min_size=1, max_size=3).map("/".join))
def test_endings_are_those_of_paths(name: str) -> None:
    path = PurePosixPath(name)
    assert (suffix_of(name), stem_of(name)) == (path.suffix, path.stem)
    assert without_suffix(name) == str(path.with_suffix(""))


@given(st.lists(st.text("ab_-1", min_size=1, max_size=5).map(lambda stem: f"{stem}.png"), max_size=12))
def test_endings_that_some_names_have_after_others_are_counted(names: list[str]) -> None:
    stems = {stem_of(name) for name in names}
    ends = [one[len(other) :] for one in stems for other in stems if one != other and one.startswith(other)]
    counts = Counter(end for end in ends if not end[0].isalnum())
    assert _extensions(names) == [end for end, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][:3]


class Counted(str):
    """A name that counts how often it is looked for in a set or put into one; so do its parts."""

    __slots__ = ()
    hashed = 0

    def __hash__(self) -> int:
        Counted.hashed += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)

    def __getitem__(self, key: Any) -> "Counted":
        return Counted(super().__getitem__(key))


@pytest.mark.parametrize(
    "patterns",
    [("images/{}.jpg", "masks/{}.png"), ("{}.jpg", "{}.png"), ("{}.jpg", "{}_mask.png"), ("img/{}_a.png", "gt/{}_car.png")],
)
def test_the_search_for_a_layout_grows_with_the_pairs(patterns: tuple[str, str], tmp_path: Path) -> None:
    def looks(pairs: int) -> int:
        names = sorted(Counted(pattern.format(f"{number:05}")) for number in range(pairs) for pattern in patterns)
        Counted.hashed = 0
        assert list(candidates(Tree(tmp_path, names)))
        return Counted.hashed

    assert looks(400) <= 2.2 * looks(200)


def test_files_are_those_of_a_plain_walk(tmp_path: Path) -> None:
    for name in ("b/x.png", "a/deep/y.png", "a.png", "a/z", "ü.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    walked = {
        Path(top, name).relative_to(tmp_path).as_posix()
        for top, _, names in os.walk(tmp_path, followlinks=True)
        for name in names
    }
    found = list(files_below(tmp_path))
    assert set(found) == walked == {"b/x.png", "a/deep/y.png", "a.png", "a/z", "ü.jpg", "link/x.png"}
    assert len(found) == len(walked)


def test_the_list_of_names_in_the_first_folder_is_taken(tmp_path: Path) -> None:
    for folder in ("b", "a", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "classes.txt").write_text(f"{folder}1\n{folder}2\n")
    (tmp_path / "c" / "labelmap.txt").write_text("x\ny\n")  # earlier among the names of lists
    (tmp_path / "labels.txt").mkdir()  # no file
    found = find_names(tmp_path)
    assert found is not None
    assert found.path == tmp_path / "c/labelmap.txt"
    (tmp_path / "c" / "labelmap.txt").unlink()
    found = find_names(tmp_path)
    assert found is not None
    assert found.names == ("a1", "a2")
