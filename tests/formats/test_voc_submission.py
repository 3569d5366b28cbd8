"""The archive for VOC's server: read back by tar and PIL alone, and every fault planted once."""

import gzip
import io
import subprocess
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.errors import DataError
from fullconv.formats.voc_submission import check_submission, write_submission

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"
SIZES = {"2008_000001": (3, 4), "2008_000004": (5, 2), "2010_000009": (1, 1)}
VOC_COLORS = bytes.fromhex("000000 800000 008000 808000 000080 800080 008080 808080 400000 c00000 408000")
"""The first eleven colours as the development kit prints them."""


def labels_of(name: str) -> np.ndarray:
    return np.random.default_rng(int(name[-1])).integers(0, 21, SIZES[name])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "comp6.tgz"
    assert write_submission(path, ((name, labels_of(name)) for name in SIZES)) == 3
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as file:
        return {entry.name: file.extractfile(entry).read() for entry in file}  # type: ignore[union-attr]


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Write the archive anew, by other code, with changed files."""
    files = members(path)
    change(files)
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))


def png(labels: np.ndarray, palette: bytes = VOC_COLORS, kind: str = "PNG") -> bytes:
    image = Image.fromarray(labels.astype(np.uint8))
    if palette:
        image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, format=kind)
    return file.getvalue()


def test_tar_and_pil_read_what_was_written(archive: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xzf", archive, "-C", tmp_path], check=True)
    found = {path.stem: Image.open(path) for path in (tmp_path / FOLDER).iterdir()}
    assert found.keys() == SIZES.keys()
    for name, image in found.items():
        assert image.mode == "P"
        assert (np.array(image) == labels_of(name)).all()
        assert bytes(image.getpalette()[:33]) == VOC_COLORS
    assert check_submission(archive, SIZES) == []


def test_equal_labels_are_an_equal_file(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "other-name.tar.gz"
    write_submission(again, [(name, labels_of(name).astype(np.uint8)) for name in SIZES])
    assert again.read_bytes() == archive.read_bytes()


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        noise = np.random.default_rng(0).integers(0, 21, (100, 100), np.uint8)
        tracemalloc.start()
        write_submission(tmp_path / "a.tgz", ((f"2008_{n:06d}", np.roll(noise, n)) for n in range(count)))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)  # what is loaded once
    # each image has 10 kB of labels and 8 kB of PNG; tar's own table keeps well under one kB
    assert peak(60) - peak(10) < 50 * 1500


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("2008_000004", np.array([[0, 255, 255]]), r"2008_000004: 2 px are 255 \(void\), which only ground truth may be"),
        ("2008_000004", np.array([[21, 3]]), r"2008_000004: labels outside 0..20 .*: 21 \(1 px\)"),
        ("2008_000004", np.array([[0.5]]), r"2008_000004: labels are integers \(H, W\); got float64"),
        ("2008_000004", np.zeros((0, 3), int), r"2008_000004: labels \(0, 3\) have no pixel"),
        ("2008_000001", np.array([[1]]), r"the id '2008_000001' comes twice"),
        ("../x", np.array([[1]]), r"the id '../x' is none of VOC's"),
        ("", np.array([[1]]), r"the id '' is none of VOC's"),
        ("x" * 120, np.array([[1]]), r"the id 'x+' is none of VOC's"),
    ],
)
def test_what_cannot_be_sent_is_not_written(tmp_path: Path, name: str, labels: np.ndarray, message: str) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(b"what was there")
    with pytest.raises(DataError, match=message):
        write_submission(path, [("2008_000001", np.array([[1]])), (name, labels)])
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_no_images_and_another_ending(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there are no images to write"):
        write_submission(tmp_path / "a.tgz", [])
    with pytest.raises(DataError, match=r"a.zip: the evaluation server takes .tgz or .tar.gz"):
        write_submission(tmp_path / "a.zip", [])
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing_half(tmp_path: Path) -> None:
    def interrupted() -> Iterator[tuple[str, np.ndarray]]:
        yield "2008_000001", np.array([[1]])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_submission(tmp_path / "a.tgz", interrupted())
    assert not list(tmp_path.iterdir())


FIRST = f"{FOLDER}/2008_000001.png"
FAULTS: dict[str, tuple[Callable[[dict[str, bytes]], object], list[str]]] = {
    "missing": (lambda files: files.pop(FIRST), ["images without a file: 1 of 3 (2008_000001)"]),
    "extra": (
        lambda files: files.update({f"{FOLDER}/2007_000032.png": files[FIRST]}),
        ["files of no image of the test set: 1 (2007_000032)"],
    ),
    "elsewhere": (
        lambda files: files.update({"comp6_test_cls/2008_000001.png": files.pop(FIRST)}),
        [f"files not called {FOLDER}/ID.png: 1 (comp6_test_cls/2008_000001.png)", "images without a file: 1 of 3 (2008_000001)"],
    ),
    "stray": (lambda files: files.update({"readme.txt": b"a"}), [f"files not called {FOLDER}/ID.png: 1 (readme.txt)"]),
    "twice": (
        lambda files: files.update({f"./{FIRST}": files[FIRST]}),
        ["files of an image that has one already: 1 (2008_000001)"],
    ),
    "turned": (
        lambda files: files.update({FIRST: png(np.zeros((4, 3)))}),
        ["files of another size than their image: 1 (2008_000001: 4x3 and not 3x4)"],
    ),
    "grey": (
        lambda files: files.update({FIRST: png(np.zeros((3, 4)), b"")}),
        ["files that are no palette PNG: 1 (2008_000001: PNG L)"],
    ),
    "colours": (
        lambda files: files.update({FIRST: png(np.zeros((3, 4, 3)), b"")}),
        ["files that are no palette PNG: 1 (2008_000001: PNG RGB)"],
    ),
    "gif": (
        lambda files: files.update({FIRST: png(np.zeros((3, 4)), VOC_COLORS, "GIF")}),
        ["files that cannot be read: 1 (2008_000001: damaged, or no PNG)"],
    ),
    "void": (
        lambda files: files.update({FIRST: png(np.array([[0, 1, 2, 255], [21, 255, 0, 0], [0] * 4]), VOC_COLORS + bytes(735))}),
        ["files with labels outside 0..20: 1 (2008_000001: 1 px of 21 and 2 px of 255)"],
    ),
    "palette": (
        lambda files: files.update({FIRST: png(np.array([[0, 1, 2, 2]] * 3), bytes(range(9)))}),
        ["files whose palette is not VOC's: 1 (2008_000001: label 0 and 1 and 2)"],
    ),
    "a short palette that has what is used": (lambda files: files.update({FIRST: png(np.full((3, 4), 10))}), []),
    "no image": (
        lambda files: files.update({FIRST: b"a"}),
        ["files that cannot be read: 1 (2008_000001: damaged, or no PNG)"],
    ),
    "torn": (
        lambda files: files.update({FIRST: files[FIRST][:60]}),
        ["files that cannot be read: 1 (2008_000001: damaged, or no PNG)"],
    ),
}


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def test_images_that_readers_complete_without_a_word_are_damaged(archive: Path) -> None:
    whole = members(archive)[FIRST]
    place = whole.index(b"IDAT") - 4
    length = int.from_bytes(whole[place : place + 4], "big")
    rows = zlib.decompress(whole[place + 8 : place + 8 + length])
    assert len(rows) == 3 * 5  # the filter's byte and 4 pixels
    few = whole[:place] + chunk(b"IDAT", zlib.compress(rows[:10])) + chunk(b"IEND", b"")
    flipped = bytearray(whole)
    flipped[place + 8 + length] ^= 1  # of the checksum
    for damaged in (whole[:-1], whole[:-12], few, bytes(flipped)):
        rewrite(archive, lambda files, content=damaged: files.update({FIRST: content}))  # type: ignore[misc]
        [line] = check_submission(archive, SIZES)
        assert line.startswith("files that cannot be read: 1 (2008_000001: damaged")


def test_an_image_of_many_chunks_is_whole(archive: Path) -> None:
    big = np.random.default_rng(0).integers(0, 21, (300, 400))
    write_submission(archive, [("2008_000001", big)])
    assert check_submission(archive, {"2008_000001": (300, 400)}) == []


def test_a_folder_elsewhere_and_a_damaged_header_at_the_end(archive: Path) -> None:
    content = bytearray(gzip.decompress(archive.read_bytes()))
    with tarfile.open(fileobj=io.BytesIO(bytes(content))) as file:
        last = file.getmembers()[-1]
    archive.write_bytes(gzip.compress(bytes(content[: last.offset]) + b"\xff" + bytes(content[last.offset + 1 :])))
    with pytest.raises(DataError, match=r"cannot be read as a .tgz \(data behind the last file\)"):
        check_submission(archive, SIZES)
    with tarfile.open(archive, "w:gz") as file:
        for name in ("results", "../../evil"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            file.addfile(entry)
    assert check_submission(archive, {}) == [f"files not called {FOLDER}/ID.png: 1 (../../evil)"]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(archive: Path, fault: str) -> None:
    change, expected = FAULTS[fault]
    rewrite(archive, change)  # type: ignore[arg-type]
    found = check_submission(archive, SIZES)
    assert found == expected


def test_many_faults_of_a_kind_are_one_line(archive: Path) -> None:
    sizes = SIZES | {f"2011_{n:06d}": (2, 2) for n in range(9)}
    assert check_submission(archive, sizes) == [
        "images without a file: 9 of 12 (2011_000000, 2011_000001, 2011_000002, 2011_000003, 2011_000004, …)"
    ]


def test_folders_in_the_archive_are_no_fault(archive: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xzf", archive, "-C", tmp_path], check=True)
    subprocess.run(["tar", "czf", tmp_path / "own.tgz", "-C", tmp_path, "./results"], check=True)
    assert check_submission(tmp_path / "own.tgz", SIZES) == []


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_an_image_of_a_huge_size_is_not_decoded(archive: Path, side: int) -> None:
    whole = png(np.zeros((3, 4)))
    header = whole[12:16] + side.to_bytes(4, "big") * 2 + whole[24:29]  # IHDR, its checksum behind it
    huge = whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]
    rewrite(archive, lambda files: files.update({FIRST: huge}))
    [line] = check_submission(archive, SIZES)
    assert line == f"files of another size than their image: 1 (2008_000001: {side}x{side} and not 3x4)"


def test_what_is_no_archive(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing.tgz: no such file"):
        check_submission(tmp_path / "nothing.tgz", SIZES)
    whole = archive.read_bytes()
    cut = (whole[: len(whole) // 2], whole[:-40], whole[:-3])  # the last 8 bytes are gzip's checksum
    for content in (b"", b"PK\x03\x04", gzip.decompress(whole), *cut, whole + b"more", gzip.compress(b"a" * 600)):
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"comp6.tgz: cannot be read as a .tgz \(.+\); it is damaged or of another kind"):
            check_submission(archive, SIZES)
