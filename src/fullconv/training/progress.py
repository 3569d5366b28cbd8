"""What a person sees while a stage trains: a bar with loss, learning rate, speed and time left, or lines without a terminal."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_SECONDS = 30.0


class StageProgress:
    """The bar of one stage; used as a context.

    Parameters
    ----------
    console
        Standard error; where it is no terminal a line is printed every half minute instead.
    stage
        Such as ``32s``.
    steps
        Steps of the stage.
    """

    def __init__(self, console: Console, stage: str, steps: int) -> None:
        self.console, self.stage, self.steps = console, stage, steps
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task(f"FCN-{stage}", total=steps, text="")
        self.validation: TaskID | None = None
        self._last_line = self._begin = time.monotonic()
        self._first = 0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self.progress.stop()

    def begin(self, done: int) -> None:
        """Start the clock, with ``done`` steps done before."""
        self._first, self._begin = done, time.monotonic()
        self.progress.update(self.task, completed=done)

    def step(self, done: int, loss: float, learning_rate: float, speed: float) -> None:
        """Show that ``done`` steps are done, with the loss, the learning rate and images a second."""
        text = f"loss {loss:.4g} · learning rate {learning_rate:.2g} · {speed:.1f} images/s"
        self.progress.update(self.task, completed=done, text=text)
        now = time.monotonic()
        if not self.console.is_terminal and (done == self.steps or now - self._last_line >= LINE_SECONDS):
            self._last_line = now
            left = (now - self._begin) / max(done - self._first, 1) * (self.steps - done)
            line = f"FCN-{self.stage} {done}/{self.steps} · {text} · {_clock(left)} left"
            self.console.print(line, highlight=False, soft_wrap=True)

    def validate(self, done: int, of: int) -> None:
        """Show that ``done`` of ``of`` validation images are measured."""
        if self.validation is None:
            self.validation = self.progress.add_task("validation", total=of, text="")
        self.progress.update(self.validation, completed=done, total=of)
        if done == of:
            self.progress.remove_task(self.validation)
            self.validation = None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
