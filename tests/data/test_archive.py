"""Zip archives as roots: unpacked once, and refused where they would do harm."""

import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.data import archive, open_dataset
from fullconv.data.archive import unpacked
from fullconv.errors import DataError
from fullconv.spec import DataSpec


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    r"""An archive as Windows makes it: a folder around all, ``\`` in names, and a Mac's leftovers."""
    files = {"__MACOSX/photos/._a.png": b"a Mac's"}
    for number in range(12):
        for folder, pixels in (("images", np.zeros((8, 8, 3), np.uint8)), ("masks", np.eye(8, dtype=np.uint8))):
            Image.fromarray(pixels).save(tmp_path / "one.png")
            files[f"photos\\{folder}\\{number}.png"] = (tmp_path / "one.png").read_bytes()
    return pack(tmp_path / "my photos.zip", files)


def test_init_check_and_data_take_an_archive(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    assert main(["init", photos.name]) == 0
    said = capsys.readouterr().err
    assert "my photos.zip is unpacked to my photos: 24 files, " in said
    assert "  fullconv data check 'my photos.yaml'\n  fullconv train 'my photos.yaml'\n" in said
    assert "#   fullconv train 'my photos.yaml'\n" in Path("my photos.yaml").read_text()
    folder = {"images": "photos/images", "masks": "photos/masks"}
    spec = DataSpec(name="folder", root=photos, labels={"a": 0, "b": 1}, folder=folder)  # type: ignore[arg-type]
    data = open_dataset(spec, "train")
    assert data[0].targets["semantic"].tolist() == np.eye(8).tolist()
    assert main(["data", "check", photos.name]) == 0
    assert "is unpacked" not in capsys.readouterr().err  # once is enough


def test_another_folder_is_not_written_into(photos: Path) -> None:
    photos.with_suffix("").mkdir()
    with pytest.raises(DataError, match=r"would be unpacked to .*my photos, which exists already and holds something else"):
        unpacked(photos)


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:\\evil.png", "..\\evil.png"])
def test_files_outside_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = pack(tmp_path / "in" / "x.zip", {"a.png": b"1", name: b"2"})
    with pytest.raises(DataError, match=r"a file outside itself; it is not unpacked"):
        unpacked(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["x.zip"]
    assert not (tmp_path / "evil.png").exists()


def test_links_bombs_and_damage_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"'link.png' is a link; it is not unpacked"):
        unpacked(tmp_path / "link.zip")
    monkeypatch.setattr(archive, "FREE", 1000)
    pack(tmp_path / "bomb.zip", {"zeros.png": bytes(10**6)})
    with pytest.raises(DataError, match=r"bomb.zip: 0.0 MB would become 1 MB in 1 files, as an archive made to fill disks"):
        unpacked(tmp_path / "bomb.zip")
    (tmp_path / "torn.zip").write_bytes((tmp_path / "link.zip").read_bytes()[:40])
    with pytest.raises(DataError, match=r"torn.zip: cannot be read as a zip archive"):
        unpacked(tmp_path / "torn.zip")
    whole = bytearray(pack(tmp_path / "bad.zip", {"a.png": bytes(range(256))}).read_bytes())
    whole[60] ^= 255
    (tmp_path / "bad.zip").write_bytes(whole)
    with pytest.raises(DataError, match=r"bad.zip: a.png in it is damaged"):
        unpacked(tmp_path / "bad.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip", "bomb.zip", "link.zip", "torn.zip"]
