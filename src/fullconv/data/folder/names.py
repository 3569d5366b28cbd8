"""Patterns of file names: what an image's and its mask's name have in common is the key that pairs them."""

import functools
import re
import unicodedata
from collections.abc import Iterable

FIELDS = {
    "parent": "(?:(?P<parent>.+)/)?",
    "stem": "(?P<stem>[^/]+)",
    "name": r"(?P<name>[^/]+\.[^/.]+)",
    "class": "(?P<class>[^/]+)",
}


def key_of(relative: str, pattern: str, suffixes: frozenset[str]) -> tuple[str, str] | None:
    """Return the key of a file and the class in its name, or ``None`` when its name does not fit the pattern.

    Names that look the same are the same, however their accents are stored (a Mac writes them as signs of their own).

    Parameters
    ----------
    relative
        Path below the folder that is searched, with slashes.
    pattern
        As ``image_pattern`` of :class:`~fullconv.spec.FolderSpec`, the split filled in.
    suffixes
        Lower-case endings of files that are taken, with their dot.

    Examples
    --------
    >>> key_of("aachen/0_gtFine_labelIds.png", "{stem}_gtFine_labelIds", frozenset({".png"}))
    ('aachen/0', '')
    >>> key_of("ds0/masks_machine/a.png", "{parent}/masks_machine/{stem}.png", frozenset({".png"}))
    ('ds0/a', '')
    >>> key_of("0_car.PNG", "{stem}_{class}", frozenset({".png"}))
    ('0', 'car')
    """
    match = _compiled(pattern, suffixes).fullmatch(unicodedata.normalize("NFC", relative))
    if match is None:
        return None
    found = match.groupdict()
    stem = found.get("stem") or stem_of(found["name"])
    return (f"{found['parent']}/{stem}" if found["parent"] else stem), found.get("class") or ""


def suffix_of(name: str) -> str:
    """Return the ending of a file's name, with its dot; as ``PurePosixPath.suffix``, which takes ten times as long.

    Examples
    --------
    >>> [suffix_of(name) for name in ("street/a.b.png", "a.b/c", ".hidden", "a.")]
    ['.png', '', '', '']
    """
    last = name.rpartition("/")[2]
    at = last.rfind(".")
    return last[at:] if 0 < at < len(last) - 1 else ""


def without_suffix(name: str) -> str:
    """Return a path with slashes without the ending of its name.

    Examples
    --------
    >>> without_suffix("street/a.b.png"), without_suffix("a.b/c")
    ('street/a.b', 'a.b/c')
    """
    return name.removesuffix(suffix_of(name))


def stem_of(name: str) -> str:
    """Return a file's name without folders and ending.

    Examples
    --------
    >>> stem_of("street/a.b.png")
    'a.b'
    """
    return without_suffix(name.rpartition("/")[2])


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str, suffixes: frozenset[str]) -> re.Pattern[str]:
    text = unicodedata.normalize("NFC", pattern)
    text = text if "{parent}" in text else f"{{parent}}/{text}"
    body = "".join(
        FIELDS[part[1:-1]] if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^{}]*\})", text) if part
    )
    body = body.replace(FIELDS["parent"] + "/", FIELDS["parent"])  # the slash belongs to a parent, which may be missing
    known = suffix_of(text).lower() in suffixes
    return re.compile(body + ("" if known else _any_of(suffixes)), re.IGNORECASE if known else 0)


def _any_of(suffixes: Iterable[str]) -> str:
    return f"(?i:{'|'.join(re.escape(suffix) for suffix in sorted(suffixes))})"
