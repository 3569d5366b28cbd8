"""Where things are printed: results on standard output, everything else on standard error."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

WIDE = 120
"""Columns of a table when nobody is watching: a file or a pipe has no width of its own."""


def show(result: "RenderableType") -> None:
    """Print a result; text as it is, tables drawn."""
    if isinstance(result, str):
        print(result)
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(result)


def show_aside(table: "RenderableType") -> None:
    """Print a table that is not the result itself on standard error, where ``--json`` leaves it."""
    from rich.console import Console

    Console(stderr=True, width=None if sys.stderr.isatty() else WIDE).print(table)


def log(message: str) -> None:
    """Print a line about what happens."""
    print(message, file=sys.stderr)


def log_head(heads: Iterable[str], given: str | None) -> None:
    """Say which of a model's several heads is taken when none is given."""
    first, *others = heads
    if others and given is None:
        log(f"the head is {first}, the model's first; --head takes {' or '.join(others)}")


@contextmanager
def progress_bar(what: str) -> Iterator["Progress"]:
    """Show a bar with the time left on standard error while it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress
