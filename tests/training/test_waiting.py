"""A run that waits for images which do not come ends soon after the first signal, saved, and goes on."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.data.sample import Sample
from fullconv.data.scenes.scenes import Scenes
from fullconv.spec import DataSpec, Recipe
from fullconv.training import run as run_module
from fullconv.training.clock import StageClock
from fullconv.training.interrupt import Interrupted, Stopped, listening
from fullconv.training.run import train

Tiny = Callable[..., Recipe]


class Stuck(Scenes):
    """Scenes of which none comes after the eighth that a process reads, as from a disk that is gone."""

    read = 0

    def __getitem__(self, index: int) -> Sample:
        self.read += 1
        if self.read > 8:
            time.sleep(60)
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_first_signal_ends_a_run_that_waits(
    workers: int, tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: list[type[Scenes]] = [Stuck]

    def opened(spec: DataSpec, split: str, *, own_size: bool = False) -> Scenes:
        return (kind[0] if split == "train" else Scenes)(split, 8, (48, 64))

    monkeypatch.setattr(run_module, "open_dataset", opened)
    recipe = tiny(data={"augment": {}, "workers": workers}, train={"stages": [{"stride": 16, "steps": 4}]})
    out = tmp_path / "out"
    alarm = threading.Timer(4.0, os.kill, (os.getpid(), signal.SIGTERM))
    alarm.start()
    begin = time.monotonic()
    with pytest.raises(
        Interrupted, match=r"^stopped after step \d of 4 of stage 16s, while waiting for images; go on with: fullconv"
    ):
        train(recipe, out, console=quiet)
    assert time.monotonic() - begin < 30
    kind[0] = Scenes
    went_on = load_file(train(recipe, out, resume=True, console=quiet).model)
    whole = load_file(train(recipe, tmp_path / "whole", console=quiet).model)
    assert all(torch.equal(went_on[name], whole[name]) for name in whole)


def test_waiting_is_counted_and_ends_by_a_signal() -> None:
    def slow() -> object:
        yield 1
        time.sleep(0.05)
        yield 2
        signal.raise_signal(signal.SIGTERM)
        yield 3

    with listening() as request:
        clock = StageClock(10, request=request)
        batches = clock.waited(slow())  # type: ignore[arg-type]  # a generator
        assert [next(batches), next(batches)] == [1, 2]
        assert 0.04 < clock.waiting < 5
        with pytest.raises(Stopped, match="stopped while waiting for images"):
            next(batches)


def test_a_run_says_how_long_it_waited(tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Scenes):
        def __getitem__(self, index: int) -> Sample:
            time.sleep(0.1)
            return super().__getitem__(index)

    monkeypatch.setattr(run_module, "open_dataset", lambda spec, split, own_size=False: Slow(split, 4, (48, 64)))
    result = train(tiny(train={"stages": [{"stride": 16, "steps": 2}]}), tmp_path / "out", console=quiet)
    assert result.stages[0]["waiting"] > 0.2
    text = quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "what limits this run: images: steps waited for images" in text
    assert "% of the time waiting for images" in text
