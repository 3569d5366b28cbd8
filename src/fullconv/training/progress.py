"""What a person sees while a stage trains: a bar with loss, learning rate, speed and time left, or lines without a terminal."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_SECONDS = 30.0
WAITS = 0.1
"""Share of the time waiting for images from which on it is told."""


class StageProgress:
    """The bar of one stage; used as a context.

    Parameters
    ----------
    console
        Standard error; where it is no terminal a line is printed every half minute instead.
    stage
        Such as ``32s``.
    steps, seconds
        Of the stage: one of them, whichever ends it.
    """

    def __init__(self, console: Console, stage: str, steps: int | None, seconds: float | None = None) -> None:
        self.console, self.stage, self.steps = console, stage, steps
        self.total = steps or round(seconds or 0)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),  # steps, or seconds
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task(f"FCN-{stage}", total=self.total, text="")
        self.validation: TaskID | None = None
        self._last_line = self._begin = time.monotonic()
        self._first = 0.0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self.progress.stop()

    def begin(self, fraction: float) -> None:
        """Start the clock, with a share of the stage done before."""
        self._first, self._begin = fraction, time.monotonic()
        self.progress.update(self.task, completed=int(fraction * self.total))

    def step(self, done: int, fraction: float, loss: float, learning_rate: float, speed: float, waited: float) -> None:
        """Show a step.

        Parameters
        ----------
        done, fraction
            Steps that are done, and the share of the stage that they are.
        loss, learning_rate, speed
            Of the step, and images a second.
        waited
            Share of the time in which steps waited for images; told where it is more than a tenth.
        """
        text = f"loss {loss:.4g} · learning rate {learning_rate:.2g} · {speed:.1f} images/s"
        if waited > WAITS:
            text += f" ({100 * waited:.0f} % of the time waiting for images; {speed / (1 - min(waited, 0.99)):.1f}/s without)"
        self.progress.update(self.task, completed=round(fraction * self.total), text=text)
        now = time.monotonic()
        if not self.console.is_terminal and (fraction >= 1 or now - self._last_line >= LINE_SECONDS):
            self._last_line = now
            left = (now - self._begin) / max(fraction - self._first, 1e-9) * (1 - fraction)
            line = f"FCN-{self.stage} {f'{done}/{self.steps}' if self.steps else f'step {done}'} · {text} · {_clock(left)} left"
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
