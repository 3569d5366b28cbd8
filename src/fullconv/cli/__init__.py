"""The command ``fullconv``: parse, call the library, print. No logic, and torch is imported only inside commands.

Results go to standard output, everything else to standard error. An error that fullconv raises on purpose is one line and
exit code 1; wrong usage is exit code 2; Ctrl-C and SIGTERM are 130.
"""

import contextlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata

from cyclopts import App, CycloptsError, UnknownCommandError

from fullconv.cli.card import card
from fullconv.cli.config import config
from fullconv.cli.crossval import crossval
from fullconv.cli.data import data
from fullconv.cli.demo import demo
from fullconv.cli.evaluate import evaluate
from fullconv.cli.examples import epilogue, examples_of
from fullconv.cli.export import export
from fullconv.cli.geometry import geometry
from fullconv.cli.heatmap import heatmap
from fullconv.cli.help_text import FilledHelp
from fullconv.cli.import_ import import_
from fullconv.cli.init import init
from fullconv.cli.models import models
from fullconv.cli.near_misses import hint_for
from fullconv.cli.paper import paper
from fullconv.cli.predict import predict
from fullconv.cli.push import push
from fullconv.cli.raster import raster
from fullconv.cli.recipes import recipes
from fullconv.cli.runs import runs
from fullconv.cli.serve import serve
from fullconv.cli.sweep import sweep
from fullconv.cli.train import USUAL_KEYS, train
from fullconv.cli.tune import tune
from fullconv.cli.video import video
from fullconv.cli.view import view
from fullconv.errors import FullconvError

START = """Examples:
  fullconv predict voc-subset photo.jpg --overlay
  fullconv init photos
  fullconv train photos.yaml --out run

fullconv COMMAND --help shows the options of a command and examples."""
"""Stands below the help of all commands."""

app = App(
    name="fullconv",
    help="Fully convolutional networks for semantic segmentation: train, evaluate, predict, and see why they work.",
    version=lambda: metadata.version("fullconv"),
    help_format="plaintext",
    help_formatter=FilledHelp(),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # training says in it how to go on
)
for command in (
    *(demo, init, train, crossval, sweep, runs, paper, evaluate, tune, predict, raster, video, serve, view, export, card, push),
    *(heatmap, geometry, models, recipes, config, data),
):
    app.command(command)
app.command(import_, name="import")


def _show_examples(group: App) -> None:
    """Put the examples of every command's docstring below its help, and the keys of recipes below that of ``train``."""
    first = []
    for name in group.resolved_commands():
        command = group[name]
        if name.startswith("-"):
            continue
        if command.default_command is not None:
            command.help_epilogue = epilogue(command.default_command, USUAL_KEYS if command.default_command is train else "")
            first.append(examples_of(command.default_command)[0])
        _show_examples(command)
    if first and group.default_command is None:
        group.help_epilogue = START if group is app else "\n".join(("Examples:", *(f"  {line}" for line in first)))


_show_examples(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    if "" not in sys.path:
        sys.path.append("")  # nets of one's own lie in the current folder; behind all that is installed, so they hide nothing
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without a sign such as × shows a question mark
    _leave_out_warnings()
    with _terminated_is_interrupted():
        code = _run(arguments)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):  # what is left goes nowhere, or Python would complain again while it exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == 0 and not isinstance(error, BrokenPipeError):
            return _fail(f"cannot print the result: {error.strerror}", 1)
        return code or 1
    return code


def _leave_out_warnings() -> None:
    """Leave out, for the whole process, what helps nobody at a terminal; the library itself never filters."""
    # large images, damaged EXIF data: the pixels are read all the same
    warnings.filterwarnings("ignore", module=r"PIL\.")


@contextlib.contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that nothing half written stays."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        found = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(_usage(error), 2)
    except FullconvError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt as error:
        return _fail(str(error) or "stopped", 130, "stopped")
    except BrokenPipeError:  # whoever read our output has closed it
        return 1
    except OSError as error:
        return _fail(f"{error.filename or 'cannot print the result'}: {error.strerror or error}", 1)
    return found if isinstance(found, int) else 0


def _fail(message: str, code: int, kind: str = "error") -> int:
    text = " ".join(message.split())
    print(text if kind == "stopped" else f"{kind}: {text}", file=sys.stderr)
    return code


def _usage(error: CycloptsError) -> str:
    if near := hint_for(error):
        return near
    command = " ".join((app.name[0], *(error.command_chain or ())))
    hint = "" if isinstance(error, UnknownCommandError) else f"`{command} --help`"
    said = " ".join(str(error).split()).rstrip(".")
    if not hint:
        return said
    return f"{said} See {hint}" if said.endswith("?") else f"{said}; see {hint}"
