"""Codes: stored values, alphas and colours as numbers that never meet, and how a recipe's ``labels`` writes them.

The grammar is described in :mod:`fullconv.labelmap`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import SpecError

COLOR = 1 << 40
"""Added to a colour's 24 bits, so that colours and values are numbers that never meet."""
ALPHA = 1 << 39
"""Added to an alpha of 0..255, likewise; what is below is a value."""
SMALLEST_VALUE, LARGEST_VALUE = -(1 << 31), (1 << 32) - 1
MOST_VALUES = 1 << 16
"""In one range."""
IGNORE = 255
_GRAMMAR = (
    "write a value (7), several ([1, 7] or '11-14, 17'), a colour ('#808080' or {color: [128, 128, 128]}), several colours in a "
    "list, {alpha: 0-127}, `ignore` for 255, or {ignore: …} for another value"
)


def codes_of(stored: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the code int64 (H, W) of each pixel of a mask of values or codes (H, W) or of colours (H, W, 3)."""
    if stored.ndim == 2:
        return stored.astype(np.int64)
    red, green, blue = (stored[..., channel].astype(np.int64) for channel in range(3))
    return COLOR + (red << 16) + (green << 8) + blue


def color_of(code: int) -> tuple[int, int, int]:
    """Return (red, green, blue) of a colour's code."""
    return (code >> 16) & 255, (code >> 8) & 255, code & 255


def code_of_color(color: Sequence[int]) -> int:
    """Return the code of (red, green, blue)."""
    red, green, blue = color
    return COLOR + (red << 16) + (green << 8) + blue


def kind_of(code: int) -> str:
    """Return ``value``, ``alpha`` or ``colour``."""
    return "colour" if code >= COLOR else "alpha" if code >= ALPHA else "value"


def show_code(code: int, bare: bool = False) -> str:
    """Return ``value 7`` or ``colour (1, 2, 3)``; bare without the first word."""
    text = str(color_of(code) if code >= COLOR else code - ALPHA if code >= ALPHA else code)
    return text if bare else f"{kind_of(code)} {text}"


def show_codes(codes: Sequence[int], most: int = 6) -> str:
    """Return some codes without their kind, neighbours as a range; ``…`` stands for those past the first ``most`` parts.

    Examples
    --------
    >>> show_codes([0, 1, 2, 7, 8])
    '0-2, 7, 8'
    """
    parts: list[list[int]] = []
    for code in codes:
        if parts and code == parts[-1][-1] + 1 and code < COLOR:
            parts[-1].append(code)
        else:
            parts.append([code])
    shown = []
    for part in parts:
        ends = [show_code(code, bare=True) for code in part]
        shown += [f"{ends[0]}-{ends[-1]}"] if len(part) > 2 else ends
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")


def read_codes(name: str, entry: Any) -> list[int]:
    """Return the codes that one entry stands for.

    Examples
    --------
    >>> read_codes("vehicle", "11-13, 17")
    [11, 12, 13, 17]
    >>> [show_code(code) for code in read_codes("sky", [{"color": [128, 128, 128]}, "#ff0000"])]
    ['colour (128, 128, 128)', 'colour (255, 0, 0)']
    """
    if isinstance(entry, Mapping):
        codes = _read_kind(name, entry)
    elif isinstance(entry, (list, tuple)):
        _refuse_three_numbers(name, entry)
        codes = [code for part in entry for code in read_codes(name, part)]
    elif isinstance(entry, str):
        codes = _read_text(name, entry)
    elif isinstance(entry, int) and not isinstance(entry, bool):
        codes = [entry] if SMALLEST_VALUE <= entry <= LARGEST_VALUE else []
    else:
        raise SpecError(f"labels.{name}: cannot read {entry!r}; {_GRAMMAR}")
    if not codes:
        limits = f"{SMALLEST_VALUE}..{LARGEST_VALUE}"
        raise SpecError(f"labels.{name}: {entry!r} must be values in {limits} or colours of three values in 0..255")
    return codes


def _refuse_three_numbers(name: str, entry: Sequence[Any]) -> None:
    """Refuse a list that reads as three values and as a colour."""
    if _is_color(entry):
        text = ", ".join(map(str, entry))
        raise SpecError(
            f"labels.{name}: [{text}] may be three values or a colour; write '{text}' for the values, or "
            f"{{color: [{text}]}} or '#{_hex(entry)}' for the colour"
        )


def _hex(color: Sequence[int]) -> str:
    return "".join(f"{part:02x}" for part in color)


def _is_color(entry: Any) -> bool:
    if not isinstance(entry, (list, tuple)):
        return False
    numbers = [part for part in entry if isinstance(part, int) and not isinstance(part, bool)]
    return len(entry) == len(numbers) == 3 and all(0 <= number <= 255 for number in numbers)


def _read_kind(name: str, entry: Mapping[str, Any]) -> list[int]:
    """Return the codes of ``{color: …}``, one or several in a list, or of ``{alpha: …}``."""
    if len(entry) != 1 or not set(entry) <= {"color", "alpha"}:
        raise SpecError(f"labels.{name}: cannot read {dict(entry)!r}; {_GRAMMAR}")
    ((kind, given),) = entry.items()
    if kind == "alpha":
        levels = read_codes(name, given)
        if not all(0 <= level <= 255 for level in levels):
            raise SpecError(f"labels.{name}: alpha is 0..255, such as {{alpha: 128-255}}; got {given!r}")
        return [ALPHA + level for level in levels]
    colors = given if isinstance(given, (list, tuple)) and not _is_color(given) else [given]
    codes = []
    for color in colors:
        text = _hex(color) if _is_color(color) else str(color).removeprefix("#")
        if not re.fullmatch(r"[0-9a-fA-F]{6}", text):
            raise SpecError(
                f"labels.{name}: {color!r} is no colour; write three numbers of 0..255, {{color: [128, 64, 0]}}, or '#804000'"
            )
        codes.append(COLOR + int(text, 16))
    return codes


def _read_text(name: str, text: str) -> list[int]:
    codes: list[int] = []
    for part in (piece.strip() for piece in text.split(",")):
        if re.fullmatch(r"#[0-9a-fA-F]{6}", part):
            codes.append(COLOR + int(part[1:], 16))
        elif match := re.fullmatch(r"(-?\d{1,10})(?:\s*-\s*(-?\d{1,10}))?", part):
            first, last = int(match[1]), int(match[2] or match[1])
            if last - first >= MOST_VALUES or not SMALLEST_VALUE <= first <= LARGEST_VALUE:
                raise SpecError(f"labels.{name}: {part!r} is no range of at most {MOST_VALUES} values that masks can store")
            codes += range(first, last + 1)
        else:
            raise SpecError(f"labels.{name}: cannot read {text!r}; {_GRAMMAR}")
    return codes
