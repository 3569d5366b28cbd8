"""How ``--help`` is laid out: paragraphs are filled to the terminal's width.

Cyclopts keeps the line breaks of docstrings, which stand at the width of our source and not at that of the terminal.
"""

import re
from typing import TYPE_CHECKING, Any

from cyclopts.help.formatters import DefaultFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


class FilledHelp(DefaultFormatter):
    """Cyclopts' layout of help, with the lines of each paragraph joined, so that they break where the terminal ends."""

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        """Print what a command does."""
        super().render_description(console, options, _filled(description))

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print a table of commands or parameters."""
        entries = [entry.copy(description=_filled(entry.description)) for entry in panel.entries]
        super().__call__(console, options, panel.copy(entries=entries))


def _filled(description: Any) -> Any:
    from cyclopts.help import InlineText
    from rich.text import Text

    if isinstance(description, InlineText) and isinstance(description.primary_renderable, Text):
        description.primary_renderable = Text(joined_lines(description.primary_renderable.plain))
    return description


def joined_lines(text: str) -> str:
    r"""Return ``text`` with one line for each paragraph; empty lines, which part paragraphs, stay.

    Examples
    --------
    >>> joined_lines("An image that cannot be read\nis reported.\n\nThe exit code is 1.")
    'An image that cannot be read is reported.\n\nThe exit code is 1.'
    """
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
