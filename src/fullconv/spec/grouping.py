"""The little language of ``data.folder.group``: which part of an image's name says what it belongs to.

A template joins parts of the name, and evaluates nothing::

    {stem}        the file's name without suffix: 0012 of street/0012.jpg
    {stem[:4]}    some of its characters, counted as Python's slices: {stem[2:6]}, {stem[:-3]}
    {parent}      the folders above it, below the folder of images: street of street/0012.jpg

Anything else is a regular expression with at least one pair of parentheses: what they capture is the group.
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

PART = re.compile(r"\{(stem|parent)(?:\[(-?\d*):(-?\d*)\])?\}")
EXAMPLES = "'{stem[:4]}', '{parent}' or a regular expression with parentheses such as '(.+)_[0-9]+'"


def parse_group(pattern: str) -> Callable[[str], str]:
    """Return what gives the group of an image's name, its path without suffix such as ``street/0012``.

    Names that a regular expression does not match have no group: that is the empty text.

    Raises
    ------
    ValueError
        When the pattern is neither a template nor a regular expression with parentheses.

    Examples
    --------
    >>> parse_group("{parent}/{stem[:3]}")("street/0012"), parse_group("^([a-z]+)[0-9]+$")("tile17")
    ('street/001', 'tile')
    """
    if "{stem" in pattern or "{parent" in pattern:
        rest = PART.sub("", pattern)
        if "{" in rest or "}" in rest:
            raise ValueError(f"group {pattern!r} is no pattern of groups; give {EXAMPLES}")
        return lambda name: PART.sub(lambda part: _part(name, part), pattern)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"group {pattern!r} is no regular expression ({error}); give {EXAMPLES}") from error
    if not expression.groups:
        raise ValueError(f"group {pattern!r} would put all images into one group; give {EXAMPLES}")
    return lambda name: _captured(expression, name)


def _part(name: str, part: re.Match[str]) -> str:
    path = PurePosixPath(name)
    which, start, stop = part.groups()
    text = path.name if which == "stem" else "" if path.parent == PurePosixPath() else path.parent.as_posix()
    return text[int(start) if start else None : int(stop) if stop else None]


def _captured(expression: re.Pattern[str], name: str) -> str:
    found = expression.search(name)
    return "/".join(part or "" for part in found.groups()) if found else ""
