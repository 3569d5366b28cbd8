"""Worker processes: signals reach all of them, one that dies is replaced, and what cannot start takes down nobody that serves."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import until

from fullconv.serve.metrics import take_room

WORKING = Path(__file__).with_name("working.py")


class Kept:
    """Two workers and the process that keeps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command, environment = [sys.executable, str(WORKING), str(folder)], os.environ | {"TMPDIR": str(folder)}
        self.keeper = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    def noted(self, what: str) -> list[int]:
        """Return the workers that have noted something last."""
        notes = {int(path.stem): path.read_text(encoding="utf-8").split() for path in self.folder.glob("*.notes")}
        return sorted(pid for pid, said in notes.items() if said[-1:] == [what])

    def queue(self, worker: int) -> float:
        """Return what a worker says of the queues of all."""
        text = (self.folder / f"{worker}.metrics").read_text(encoding="utf-8")
        found = re.search(r"^fullconv_queue (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else -1

    def end(self) -> tuple[int, str]:
        """Return the exit code of the keeper and the last line that it wrote."""
        said = self.keeper.communicate(timeout=60)[1]
        return self.keeper.returncode, said.strip().splitlines()[-1] if said.strip() else ""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path)
    yield found
    found.keeper.kill()
    found.keeper.communicate()


def test_signals_reach_all_and_the_dead_are_replaced(kept: Kept) -> None:
    until(lambda: len(kept.noted("ready")) == 2)
    first = kept.noted("ready")
    kept.keeper.send_signal(signal.SIGHUP)
    until(lambda: kept.noted("reload") == first)
    until(lambda: kept.queue(first[1]) == 10)

    os.kill(first[0], signal.SIGKILL)
    until(lambda: len(kept.noted("ready")) == 1)
    (new,) = kept.noted("ready")
    until(lambda: kept.queue(first[1]) == 10)  # the dead one's is not counted any more

    kept.keeper.send_signal(signal.SIGTERM)
    assert kept.end() == (0, "a worker died (-9); another one takes its place")
    assert kept.noted("stopped") == sorted([first[1], new])


def test_one_that_cannot_take_anothers_place_takes_down_nobody(kept: Kept) -> None:
    until(lambda: len(kept.noted("ready")) == 2)
    first = kept.noted("ready")
    (kept.folder / "broken").touch()
    os.kill(first[0], signal.SIGKILL)
    until(lambda: len(kept.noted("broken")) >= 2)  # it is tried again
    assert first[1] in kept.noted("ready")
    assert kept.keeper.poll() is None
    (kept.folder / "broken").unlink()
    until(lambda: len(set(kept.noted("ready")) - set(first)) == 1)
    kept.keeper.send_signal(signal.SIGINT)
    assert kept.end() == (0, "a worker died (3); another one takes its place")


def test_none_that_can_start(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    assert Kept(tmp_path).end() == (1, "a worker could not start; the line before says why")


def test_a_signal_while_the_first_is_started(tmp_path: Path) -> None:
    (tmp_path / "interrupted").touch()
    kept = Kept(tmp_path)
    assert kept.end() == (0, "")
    assert not kept.noted("ready")


def test_workers_do_not_outlive_their_keeper(kept: Kept) -> None:
    until(lambda: len(kept.noted("ready")) == 2)
    kept.keeper.kill()
    until(lambda: len(kept.noted("stopped")) == 2)


def test_room_for_what_is_counted_is_taken_at_the_start(tmp_path: Path) -> None:
    """A sparse file that is mapped ends the process where the disk is full; one whose bytes are there does not."""
    mine, other = (tmp_path / f"counter_{number}.db" for number in (os.getpid(), 1))
    for file in (mine, other):
        with file.open("wb") as made:
            made.truncate(65536)
    take_room(tmp_path)
    assert 512 * mine.stat().st_blocks >= 65536
    assert other.stat().st_blocks == 0
