"""The command ``fullconv``: parse, call the library, print. No logic, and torch is imported only inside commands.

Results go to standard output, everything else to standard error. An error that fullconv raises on purpose is one line and
exit code 1; wrong usage is exit code 2, Ctrl-C 130.
"""

import sys
from collections.abc import Sequence
from importlib import metadata

from cyclopts import App, CycloptsError, UnknownCommandError

from fullconv.cli.apply import evaluate, predict
from fullconv.cli.learn import demo, train
from fullconv.cli.look import geometry, heatmap, models, recipes
from fullconv.errors import FullconvError

app = App(
    name="fullconv",
    help="Fully convolutional networks for semantic segmentation: train, evaluate, predict, and see why they work.",
    version=lambda: metadata.version("fullconv"),
    help_format="plaintext",
    result_action="return_value",
)
for command in (demo, train, evaluate, predict, heatmap, geometry, models, recipes):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        found = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(_usage(error), 2)
    except FullconvError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt as error:
        return _fail(str(error) or "stopped", 130, "stopped")
    except BrokenPipeError:  # whoever read our output has closed it
        sys.stderr.close()
        return 1
    except OSError as error:
        return _fail(f"{error.filename or 'file'}: {error.strerror or error}", 1)
    return found if isinstance(found, int) else 0


def _fail(message: str, code: int, kind: str = "error") -> int:
    text = " ".join(message.split())
    print(text if kind == "stopped" else f"{kind}: {text}", file=sys.stderr)
    return code


def _usage(error: CycloptsError) -> str:
    hint = "" if isinstance(error, UnknownCommandError) else "; see `fullconv COMMAND --help`"
    return f"{' '.join(str(error).split()).rstrip('.')}{hint}"
