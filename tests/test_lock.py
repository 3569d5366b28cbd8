"""A folder that a process holds is refused to others, and free again however that process ends."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fullconv.errors import FullconvError
from fullconv.lock import alone_in

HOLD = """import pathlib, sys, time
from fullconv.lock import alone_in
with alone_in(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    time.sleep(60)
"""


def test_another_process_is_refused_and_a_killed_one_frees_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        with (
            pytest.raises(
                FullconvError, match=r"one is in use by another process; wait for it, stop it, or choose another --out"
            ),
            alone_in(folder),
        ):
            pass
        holder.kill()
    deadline = time.monotonic() + 5
    while True:
        try:
            with alone_in(folder):
                return
        except FullconvError:
            assert time.monotonic() < deadline


def test_an_error_inside_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        1 / 0  # noqa: B018  # raises on purpose
    with alone_in(tmp_path):
        pass


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FullconvError, match=r"cannot write .*file: .*; choose another folder"), alone_in(tmp_path / "file"):
        pass
