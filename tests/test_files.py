"""Files are replaced whole, with the rights that the system gives new ones; nothing of the process is touched for that."""

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from safetensors.torch import save_file
from torch import zeros

import fullconv.files
from fullconv.errors import FullconvError
from fullconv.files import replacing


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_rights_of_any_new_file(umask: int, tmp_path: Path) -> None:
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("a")
    with replacing(tmp_path / "b.safetensors") as temporary:
        save_file({"x": zeros(1)}, temporary)  # safetensors makes files that only their owner reads
    (tmp_path / "usual.txt").write_text("c")
    assert mode(tmp_path / "a.txt") == mode(tmp_path / "b.safetensors") == mode(tmp_path / "usual.txt") == 0o666 & ~umask


def test_a_file_that_was_there_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(0o640)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert mode(tmp_path / "a.txt") == 0o640
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_block_that_fails_or_writes_nothing_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail(half: str) -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text(half)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail("half")
    with pytest.raises(FullconvError, match=r"cannot write .*a\.txt: No such file"), replacing(tmp_path / "a.txt"):
        pass
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_the_process_keeps_its_umask_at_every_moment(tmp_path: Path) -> None:
    """Another thread that writes a file between any two calls of this code gets the rights that it asked for."""
    rights: list[int] = []

    def bystander() -> None:
        path = tmp_path / f"other-{len(rights)}"
        path.write_text("x")
        rights.append(mode(path))

    def between_calls(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_return" and frame.f_code.co_filename == fullconv.files.__file__:
            other = threading.Thread(target=bystander)
            other.start()
            other.join()

    before = os.umask(0o077)
    sys.setprofile(between_calls)
    try:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("y")
    finally:
        sys.setprofile(None)
        os.umask(before)
    assert len(rights) >= 3
    assert set(rights) == {0o600}
    assert mode(tmp_path / "a.txt") == 0o600
