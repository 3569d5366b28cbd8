"""The examples that every command's help shows: the section Examples of its docstring, one command a line."""

from collections.abc import Callable
from typing import Any

import docstring_parser


def examples_of(command: Callable[..., Any]) -> tuple[str, ...]:
    """Return the example commands in a docstring.

    Examples
    --------
    >>> from fullconv.cli.models import models
    >>> examples_of(models)
    ('fullconv models',)
    """
    found = docstring_parser.parse(command.__doc__ or "", docstring_parser.DocstringStyle.NUMPYDOC).examples
    lines = (line.strip() for example in found for line in (example.description or "").splitlines())
    return tuple(line for line in lines if line.startswith("fullconv "))


def epilogue(command: Callable[..., Any], more: str = "") -> str:
    """Return what stands below a command's help: its examples, and ``more``."""
    examples = "\n".join(f"  {line}" for line in examples_of(command))
    return "\n\n".join(part for part in (f"Examples:\n{examples}" if examples else "", more) if part)
