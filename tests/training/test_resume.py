import io
import itertools
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.errors import FullconvError, TrainingError
from fullconv.spec import Recipe
from fullconv.training.interrupt import Interrupted, StopRequest, listening
from fullconv.training.log import MetricsFile
from fullconv.training.module import TrainingModule
from fullconv.training.run import train

Tiny = Callable[..., Recipe]
Before = Callable[[int, Callable[[], None]], None]


@pytest.fixture
def before_step(monkeypatch: pytest.MonkeyPatch) -> Before:
    """``before_step(n, action)``: do something before the n-th step of the run, counted from 1 over all stages."""
    start = TrainingModule.on_train_batch_start

    def arrange(number: int, action: Callable[[], None]) -> None:
        def hooked(self: TrainingModule, batch: object, batch_idx: int) -> None:
            if self.first_step + self.trainer.global_step + 1 == number:
                action()
            start(self, batch, batch_idx)  # type: ignore[arg-type]

        monkeypatch.setattr(TrainingModule, "on_train_batch_start", hooked)

    return arrange


@pytest.fixture(scope="module")
def unbroken(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """Ten steps in two stages, with dropout, augmentation, momentum, batch norm and averaged weights."""
    changes = {"optimizer": {"learning_rate": 1e-2, "schedule": "poly"}, "gradient_clip": 1.0, "average": 0.9}
    recipe, out = tiny(model={"dropout": 0.3}, train=changes), tmp_path_factory.mktemp("unbroken") / "out"
    train(recipe, out, console=Console(quiet=True))
    return recipe, out


def measured(out: Path) -> list[dict[str, float]]:
    rows = MetricsFile(out / "metrics.csv", ("semantic",)).rows()
    timed = ("images_per_second", "waiting")
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def same(a: Path, b: Path) -> None:
    for stage in ("stage-32s", "stage-16s"):
        left, right = (load_file(out / stage / "model.safetensors") for out in (a, b))
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert measured(a) == measured(b)


@pytest.mark.parametrize(
    ("step", "signum"), [(1, signal.SIGINT), (3, signal.SIGTERM), (6, signal.SIGINT), (8, signal.SIGINT), (10, signal.SIGTERM)]
)
def test_stopped_and_resumed_is_bit_for_bit_unbroken(
    unbroken: tuple[Recipe, Path], before_step: Before, step: int, signum: signal.Signals, tmp_path: Path, quiet: Console
) -> None:
    recipe, whole = unbroken
    out = tmp_path / "out"
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    before_step(step, lambda: signal.raise_signal(signum))
    with pytest.raises(
        Interrupted,
        match=rf"^stopped after step \d of \d of stage \d+s; go on with: fullconv train {out} --resume$",
    ):
        train(recipe, out, console=quiet)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    before_step(-1, lambda: None)
    train(recipe, out, resume=True, console=quiet)
    same(whole, out)


def test_killed_between_two_saves(unbroken: tuple[Recipe, Path], before_step: Before, tmp_path: Path, quiet: Console) -> None:
    """What was done after the last save is done again, and counted once."""
    recipe, whole = unbroken
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"save_every": 2})})

    def kill() -> None:
        raise SystemExit(9)

    before_step(6, kill)
    with pytest.raises(SystemExit):
        train(recipe, tmp_path / "out", console=quiet)
    before_step(-1, lambda: None)
    assert [row["step"] for row in measured(tmp_path / "out")] == [1, 2, 3, 4, 5]
    train(recipe, tmp_path / "out", resume=True, console=quiet)
    same(whole, tmp_path / "out")


def test_killed_before_the_first_save(unbroken: tuple[Recipe, Path], before_step: Before, tmp_path: Path, quiet: Console) -> None:
    recipe, whole = unbroken

    def kill() -> None:
        raise SystemExit(9)

    before_step(2, kill)
    with pytest.raises(SystemExit):
        train(recipe, tmp_path / "out", console=quiet)
    before_step(-1, lambda: None)
    train(recipe, tmp_path / "out", resume=True, console=quiet)
    same(whole, tmp_path / "out")


def test_a_full_disk_keeps_the_last_save(
    unbroken: tuple[Recipe, Path], before_step: Before, tmp_path: Path, quiet: Console
) -> None:
    """A limit on the size of files stands for the end of the disk."""
    recipe, whole = unbroken
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"save_every": 2})})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before_step(4, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1])))
    try:
        with pytest.raises(FullconvError, match=r"cannot write .*resume.ckpt: .* What was there before is untouched"):
            train(recipe, tmp_path / "out", console=quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    before_step(-1, lambda: None)
    assert [path.name for path in (tmp_path / "out" / "stage-32s").iterdir()] == ["resume.ckpt"]
    train(recipe, tmp_path / "out", resume=True, console=quiet)
    same(whole, tmp_path / "out")


@pytest.fixture(scope="module")
def stopped(unbroken: tuple[Recipe, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A run that was stopped in its first stage."""
    calls, out = itertools.count(), tmp_path_factory.mktemp("stopped") / "out"
    with pytest.raises(Interrupted):
        train(unbroken[0], out, console=Console(quiet=True), stop_when=lambda: next(calls) >= 2)
    return unbroken[0], out


def _zipped(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut", _zipped([1])])
def test_a_damaged_resume_file(stopped: tuple[Recipe, Path], content: bytes, tmp_path: Path, quiet: Console) -> None:
    recipe, out = stopped[0], shutil.copytree(stopped[1], tmp_path / "out")
    (out / "stage-32s" / "resume.ckpt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"cannot go on from .*resume.ckpt: .*; delete it to start the stage again") as raised:
        train(recipe, out, resume=True, console=quiet)
    assert "weights_only" not in str(raised.value)  # no advice to unpickle what may be anything


def test_a_resume_file_runs_no_code(stopped: tuple[Recipe, Path], tmp_path: Path, quiet: Console) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "evil",)

    recipe, out = stopped[0], shutil.copytree(stopped[1], tmp_path / "out")
    torch.save({"state_dict": Evil()}, out / "stage-32s" / "resume.ckpt")
    with pytest.raises(TrainingError, match="cannot go on from"):
        train(recipe, out, resume=True, console=quiet)
    assert not (tmp_path / "evil").exists()


def test_the_second_signal_ends_at_once() -> None:
    with listening() as request:
        signal.raise_signal(signal.SIGINT)
        assert request.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_second_signal_in_a_step_says_how_to_go_on(
    unbroken: tuple[Recipe, Path], before_step: Before, tmp_path: Path, quiet: Console
) -> None:
    recipe, whole = unbroken
    out = tmp_path / "out"

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    before_step(3, twice)
    with pytest.raises(Interrupted, match=r"^stopped at once, without the steps since the last save; go on with: fullconv train"):
        train(recipe, out, console=quiet)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    before_step(-1, lambda: None)
    train(recipe, out, resume=True, console=quiet)
    same(whole, out)


def test_nobody_asked() -> None:
    assert StopRequest().asked is False
