"""Images and results in a storage with a URL."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from fullconv.cli import main
from fullconv.errors import DataError, FullconvError, SpecError
from fullconv.inference.jobs import find_jobs
from fullconv.inference.remote import RemotePath, place_of


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """Three images and other files in fsspec's memory; the same images in a folder."""
    storage = fsspec.filesystem("memory")
    random = np.random.default_rng(0)
    for name in ("a.png", "sea/b.PNG", "sea/deep/c.bmp"):
        content = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(content, format=Path(name).suffix[1:].upper())
        storage.pipe_file(f"/album/{name}", content.getvalue())
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "album" / name).write_bytes(content.getvalue())
    storage.pipe_file("/album/notes.txt", b"no image")
    storage.pipe_file("/album/.hidden/a.png", b"no image")
    yield storage
    storage.rm("/", recursive=True)


def stored(storage: fsspec.AbstractFileSystem, folder: str) -> dict[str, bytes]:
    return {path.removeprefix(folder): storage.cat_file(path) for path in storage.find(folder)}


def test_a_storage_gets_the_files_that_a_folder_would_get(
    checkpoint: Path, memory: fsspec.AbstractFileSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(checkpoint), "--device", "cpu", "--overlay", "--labelme", "--areas"]
    assert main([*command, f"{tmp_path}/album", "--out", f"{tmp_path}/out"]) == 0
    assert main([*command, "memory://album", "--out", "memory://results/labels", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    local = {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    remote = {name.lstrip("/"): content for name, content in stored(memory, "/results/labels").items()}
    assert set(remote) == set(local)
    assert len(remote) == 3 * 3 + 1
    for name, content in local.items():
        if name.endswith(".json"):  # the image is named from where the file lies, which a storage cannot be
            pairs = [json.loads(text) | {"imagePath": ""} for text in (content, remote[name])]
            assert pairs[0] == pairs[1]
            assert json.loads(remote[name])["imagePath"] in ("a.png", "b.PNG", "c.bmp")
        else:
            assert remote[name] == content
    assert told["summaries"] == ["memory://results/labels/areas.csv"]
    assert told["written"]["memory://album/sea/b.PNG"][0] == "memory://results/labels/sea/b.png"


def test_a_rerun_does_what_is_missing_and_looks_at_how_the_rest_was_made(
    checkpoint: Path, memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(checkpoint), "memory://album", "--out", "memory://album/labels", "--device", "cpu"]
    assert main([*command, "--json"]) == 0
    capsys.readouterr()
    memory.rm("/album/labels/sea/b.png")
    memory.pipe_file("/album/d.jpg", b"damaged")
    assert main([*command, "--json"]) == 1
    printed, said = capsys.readouterr()
    found = json.loads(printed)
    assert list(found["predicted"]) == ["memory://album/sea/b.PNG"]
    assert found["skipped"] == ["memory://album/a.png", "memory://album/sea/deep/c.bmp"]
    assert found["failed"]["memory://album/d.jpg"].startswith("memory://album/d.jpg: ")
    assert "1 of 4 images predicted into memory://album/labels, 2 skipped" in said
    assert main([*command, "--tta", "flip", "--overlay"]) == 1
    assert (
        "memory://album/labels/a.png was predicted by head semantic, and now by head semantic, TTA flip"
        in capsys.readouterr().err
    )
    memory.pipe_file("/album/labels/a.png", b"by somebody else")
    assert main([*command, "--overwrite"]) == 1
    assert "memory://album/labels/a.png was not written by predict and would be overwritten" in capsys.readouterr().err
    assert memory.cat_file("/album/labels/a.png") == b"by somebody else"


def test_urls_of_images_folders_and_patterns(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    def names(url: str) -> list[tuple[str, str]]:
        return [(str(job.source), str(job.path("labels"))) for job in find_jobs([url], tmp_path / "out")]

    assert names("memory://album/sea/b.PNG") == [("memory://album/sea/b.PNG", f"{tmp_path}/out/b.png")]
    assert names("memory://album/**/*.bmp") == [("memory://album/sea/deep/c.bmp", f"{tmp_path}/out/sea/deep/c.png")]
    assert names("memory://album/s*/b.*") == [("memory://album/sea/b.PNG", f"{tmp_path}/out/sea/b.png")]
    assert [source for source, _ in names("memory://album/")] == [
        f"memory://album/{name}" for name in ("a.png", "sea/b.PNG", "sea/deep/c.bmp")
    ]


def test_mistakes(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for url, error, said in (
        ("memory://empty", DataError, "memory://empty: no images in this folder; looked for"),
        ("memory://album/*.jpg", DataError, r"memory://album/\*\.jpg: no file matches this pattern"),
        ("nowhere://album", SpecError, r"nowhere://album cannot be opened: Protocol not known: nowhere; known are .*memory, "),
        ("zip://a.png::memory://a.zip", SpecError, "chains several storages; give the URL of one"),
    ):
        with pytest.raises(error, match=said):
            find_jobs([url], out)
    with pytest.raises(DataError, match="memory://album is the images' own folder"):
        find_jobs(["memory://album/"], place_of("memory://album"))
    with pytest.raises(DataError, match=r"memory://album/missing\.png cannot be read: "):
        RemotePath("memory://album/missing.png").read_bytes()
    with pytest.raises(FullconvError, match=r"cannot write http://127.0.0.1:9/a.png: .*What was there before is untouched"):
        RemotePath("http://127.0.0.1:9/a.png").write_bytes(b"")
