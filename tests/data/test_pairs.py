"""Lists of pairs as spreadsheets, scripts and people write them: read alike, or refused in one line."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullconv.data import open_dataset
from fullconv.data.folder.pairing import find_pairs
from fullconv.data.pairs import read_list
from fullconv.errors import DataError
from fullconv.spec import DataSpec, FolderSpec

ROWS = [
    ("images/a.jpg", "masks/a.png", "train"),
    ("images/b.jpg", "masks/b.png", "val"),
    ("images/c.jpg", "masks/c.png", "train"),
]
EXPECTED = [("images/a", "train"), ("images/b", "val"), ("images/c", "train")]
HEADER = ("image", "mask", "split")


def text(rows: list[tuple[str, ...]], separator: str = ",", header: tuple[str, ...] = HEADER, end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in [header, *rows])


def quoted(rows: list[tuple[str, ...]]) -> str:
    return text([tuple(f'"{cell}"' for cell in row) for row in rows], " , ")


DIALECTS: dict[str, Callable[[], bytes]] = {
    "as documented": lambda: text(ROWS).encode(),
    "spaces after commas": lambda: text(ROWS, ", ").encode(),
    "semicolons": lambda: text(ROWS, ";").encode(),
    "tabs": lambda: text(ROWS, "\t").encode(),
    "bars": lambda: text(ROWS, " | ").encode(),
    "mark of UTF-8": lambda: text(ROWS).encode("utf-8-sig"),
    "Unicode text of a spreadsheet": lambda: text(ROWS, "\t", end="\r\n").encode("utf-16"),
    "lines of Windows": lambda: text(ROWS, end="\r\n").encode(),
    "lines of old Macs": lambda: text(ROWS, end="\r").encode(),
    "no end of line at the end": lambda: text(ROWS).rstrip().encode(),
    "quotes": lambda: quoted(ROWS).encode(),
    "upper case": lambda: text([(a, b, c.title()) for a, b, c in ROWS], header=("Image", "MASK", " Split ")).encode(),
    "spaces around splits": lambda: text([(a, b, f'"{c} "') for a, b, c in ROWS]).encode(),
    "backslashes": lambda: text([(a.replace("/", "\\"), ".\\" + b.replace("/", "\\"), c) for a, b, c in ROWS]).encode(),
    "empty lines": lambda: b"\n" + text(ROWS).replace("\n", "\n\n").encode() + b",,\n",
    "other columns": lambda: text([(c, "x", b, a) for a, b, c in ROWS], header=("split", "id", "mask", "image")).encode(),
    "trailing separators": lambda: text([(*row, "") for row in ROWS]).encode(),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same(tmp_path: Path, dialect: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(DIALECTS[dialect]())
    found = read_list(path)
    assert [(pair.name, split) for pair, split in zip(found.pairs, found.splits, strict=True)] == EXPECTED
    assert [pair.image for pair in found.pairs] == [tmp_path / image for image, *_ in ROWS]
    assert [pair.mask for pair in found.pairs] == [tmp_path / mask for _, mask, _ in ROWS]


CELL = st.text("abcXYZ 0189_-.;,'\"äé|\t", min_size=1, max_size=8).map(lambda cell: f"x{cell}x")


@given(st.lists(CELL, min_size=1, max_size=6, unique=True), st.sampled_from([",", ";", "\t"]))
def test_what_a_csv_writer_writes_is_read(tmp_path_factory: pytest.TempPathFactory, names: list[str], separator: str) -> None:
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter=separator)
        writer.writerows([("image", "mask"), *((f"{name}.png", f"m/{name}.png") for name in names)])
    assert {pair.image.name for pair in read_list(path).pairs} == {f"{name}.png" for name in names}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the list is empty; the first line must be image,mask"),
        ("picture;mask\n", "no column image; there are picture, mask; the first line must be image,mask,split"),
        ("image,mask,image\n", "the column image stands twice"),
        ("image,mask,split\na.png,,train\n", "line 2: the cell of the column mask is empty"),
        ("image,mask,split\na.png,a_m.png,train\nb.png,b_m.png,\n", "line 3: the split is empty, as in 1 of 2 lines; fill them"),
        (
            "image,mask\na.png,1.png\nb.png,2.png\n./a.png,3.png\n",
            r"a.png stands in lines 2 and 4, with the masks 1.png and 3.png",
        ),
        ("image,mask\ni/a.png,1.png\ni/../i/a.png,1.png\n", r"i/\.\./i/a.png stands in lines 2 and 3; keep one"),
        ("image,mask\na.png,1.png\na.png,1.png\n", r"a.png stands in lines 2 and 3; keep one"),
        ("image,mask\na, b.png,1.png\n", r"line 2: 3 cells, but the header has 2; put a cell that holds ',' into quotes"),
        ('image,mask\n"a.png,1.png\nb.png,2.png\n', "a quote that is opened before line 3 is not closed"),
    ],
)
def test_what_cannot_be_decided_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_list(tmp_path / "pairs.csv")


def test_other_encodings_and_missing_lists_are_named(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes("image,mask\nstraße.png,m.png\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"is no text in UTF-8 .*; save it as UTF-8"):
        read_list(tmp_path / "pairs.csv")
    with pytest.raises(DataError, match=r"none.csv: no such file"):
        read_list(tmp_path / "none.csv")


def folder_of(root: Path, content: str, names: str = "abcdefghij") -> FolderSpec:
    for name in names:
        for place in (root / "images" / f"{name}.jpg", root / "masks" / f"{name}.png"):
            place.parent.mkdir(exist_ok=True)
            place.touch()
    (root / "pairs.csv").write_text(content)
    return FolderSpec(pairs=Path("pairs.csv"))


@pytest.mark.parametrize("column", [",", ""], ids=["empty cells", "no column"])
def test_a_list_without_splits_is_drawn(tmp_path: Path, column: str) -> None:
    head = "image,mask,split" if column else "image,mask"
    folder = folder_of(tmp_path, head + "\n" + "".join(f"images/{n}.jpg,masks/{n}.png{column}\n" for n in "abcdefghij"))
    train, val = (find_pairs(tmp_path, folder, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (8, 2)
    assert {pair.name for pair in [*train, *val]} == {f"images/{name}" for name in "abcdefghij"}
    assert [find_pairs(tmp_path, folder.model_copy(update={"folds": 5, "fold": k}), "val") for k in range(5)]


def test_groups_of_a_list_stay_together(tmp_path: Path) -> None:
    lines = "".join(f"images/{n}.jpg;masks/{n}.png;{'film1' if n < 'e' else 'film2' if n < 'i' else ''}\n" for n in "abcdefghij")
    folder = folder_of(tmp_path, "image;mask;group\n" + lines)
    for seed in range(5):
        drawn = folder.model_copy(update={"seed": seed, "val_share": 0.4})
        val = {pair.name[-1] for pair in find_pairs(tmp_path, drawn, "val")}
        assert all(not part & val or part <= val for part in (set("abcd"), set("efgh")))
        assert val


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, text([*ROWS, ("images/z.jpg", "C:\\data\\z.png", "train")]), "abc")
    with pytest.raises(
        DataError, match=r"2 of the files that it names are not there: .*images/z.jpg, .*z.png; paths are relative"
    ):
        find_pairs(tmp_path, folder, "train")
    assert len(find_pairs(tmp_path, folder, "val")) == 1


def test_absolute_paths_and_equal_stems(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("a.jpg", "a.png", "m1.png", "m2.png"):
        (tmp_path / "elsewhere" / name).touch()
    at = tmp_path / "elsewhere"
    folder = folder_of(tmp_path, f"image,mask,split\n{at}/a.jpg,{at}/m1.png,train\n{at}/a.png,{at}/m2.png,train\n", "")
    found = find_pairs(tmp_path, folder, "train")
    assert [(pair.image, pair.mask) for pair in found] == [(at / "a.jpg", at / "m1.png"), (at / "a.png", at / "m2.png")]
    assert len({pair.name for pair in found}) == 2


def test_splits_and_folds_do_not_mix(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, text(ROWS), "abc")
    with pytest.raises(DataError, match=r"pairs.csv has splits of its own, and data.folder.folds is of drawn ones"):
        find_pairs(tmp_path, folder.model_copy(update={"folds": 3}), "train")
    spec = DataSpec(name="folder", root=tmp_path, folder=folder, labels={"a": 0}, train="Train ")
    assert len(open_dataset(spec, "Train ")) == 2
    drawn = folder_of(tmp_path, text([row[:2] for row in ROWS], header=HEADER[:2]), "abc")
    grouped = drawn.model_copy(update={"group": "film([0-9]+)"})
    with pytest.raises(DataError, match=r"gives 3 of 3 images no group, such as images/a"):
        find_pairs(tmp_path, grouped, "train")


def test_a_file_of_splits_is_kept_and_only_new_images_are_drawn(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, text([row[:2] for row in ROWS], header=HEADER[:2]), "abc")
    (tmp_path / "old.csv").write_text("name,split\nimages/a,val\nimages/b,train\nimages/gone,val\n")
    kept = folder.model_copy(update={"splits": tmp_path / "old.csv"})
    assert [pair.name for pair in find_pairs(tmp_path, kept, "val")] == ["images/a"]
    assert [pair.name for pair in find_pairs(tmp_path, kept, "train")] == ["images/b", "images/c"]
    (tmp_path / "old.csv").write_text("name,split\nimages/a,val\nimages/a,train\n")
    with pytest.raises(DataError, match=r"line 3: images/a is in val and in train; keep one"):
        find_pairs(tmp_path, kept, "val")
