"""LabelMap: from what people store in masks (numbers, palette indices, colours, alpha) to the labels 0..K-1 and ignore.

The map is declared, never guessed; in a recipe it reads like this:

.. code-block:: yaml

    labels:
      background: 0
      road: [1, 7]                    # several values, one class
      vehicle: 11-14, 17              # the same as text, with ranges
      sky: {color: [128, 128, 128]}   # a colour
      tree: ["#008000", "#00ff00"]    # colours
      border: ignore                  # value 255 has no truth
      unknown: {ignore: -1}           # nor has -1
      outside: {alpha: 0-127}         # pixels of masks with an alpha channel, by its values 0..255

Classes are numbered in the order in which they stand. A value that no entry names is an error with its count; 255 is never
taken for background. ``[1, 7, 9]`` may be three values or a colour, so three whole numbers of 0..255 in a list are refused:
write ``1, 7, 9`` or ``{color: [1, 7, 9]}``. An ignored value that lies among the classes' values looks like a mistake and must
be confirmed: ``{ignore: 9, among_classes: true}``; so must one that covers more than all objects do, which the data doctor
takes for a class: ``{ignore: 255, large: true}``.

Where alpha is declared it comes first: a pixel whose alpha has a meaning has that one, whatever its colour.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError, SpecError
from fullconv.labels import LabelSet, is_background, voc_colors

COLOR = 1 << 40
"""Added to a colour's 24 bits, so that colours and values are numbers that never meet."""
ALPHA = 1 << 39
"""Added to an alpha of 0..255, likewise; what is below is a value."""
SMALLEST_VALUE, LARGEST_VALUE = -(1 << 31), (1 << 32) - 1
MOST_VALUES = 1 << 16
"""In one range."""
IGNORE = 255
CONFIRMATIONS = ("among_classes", "large")
_GRAMMAR = (
    "write a value (7), several ([1, 7] or '11-14, 17'), a colour ('#808080' or {color: [128, 128, 128]}), several colours in a "
    "list, {alpha: 0-127}, `ignore` for 255, or {ignore: …} for another value"
)


@dataclass(frozen=True)
class LabelMap:
    """What every stored value or colour of a data set's masks means.

    Parameters
    ----------
    labels
        The classes, in order.
    meaning
        Label of every known code: a stored value, ``ALPHA`` plus an alpha, or ``COLOR`` plus a colour's 24 bits.
    large
        Ignored codes of which it is confirmed that they may cover more than the objects do.

    Examples
    --------
    >>> label_map = parse_label_map({"road": 1, "sky": 2, "void": "ignore"})
    >>> label_map.apply(np.array([[1, 2, 255]], np.uint8)).tolist()
    [[0, 1, 255]]
    >>> label_map.apply(np.array([[1, 3]], np.uint8), "a.png")
    Traceback (most recent call last):
    fullconv.errors.DataError: a.png: value 3 (1 px, 50.0 %) is not in labels; the nearest is 2 (sky). Name or ignore it
    """

    labels: LabelSet
    meaning: Mapping[int, int]
    large: frozenset[int] = frozenset()

    @classmethod
    def identity(cls, labels: LabelSet) -> "LabelMap":
        """Return the map of masks that store the labels themselves."""
        return cls(labels, {label: label for label in (*range(len(labels)), labels.ignore_index)})

    @property
    def has_values(self) -> bool:
        """Whether any entry is a stored value."""
        return any(code < ALPHA for code in self.meaning)

    @property
    def has_alpha(self) -> bool:
        """Whether any entry is an alpha."""
        return any(ALPHA <= code < COLOR for code in self.meaning)

    @property
    def has_colors(self) -> bool:
        """Whether any entry is a colour."""
        return any(code >= COLOR for code in self.meaning)

    def apply(self, stored: NDArray[np.integer], source: str = "mask") -> NDArray[np.uint8]:
        """Return the labels uint8 (H, W) of a mask.

        Parameters
        ----------
        stored
            Values or codes (H, W), or colours uint8 (H, W, 3).
        source
            Opens error messages.

        Raises
        ------
        DataError
            When the mask holds values or colours without a meaning: counts, and the nearest known one, are named.
        """
        if stored.dtype == np.uint8 and stored.ndim == 2:
            known = np.full(256, -1, np.int16)
            for code in self.meaning.keys() & set(range(256)):
                known[code] = self.meaning[code]
            labels = known[stored]
            if labels.min(initial=0) >= 0:
                return labels.astype(np.uint8)
        found, positions, counts = np.unique(codes_of(stored), return_inverse=True, return_counts=True)
        unknown = [(int(code), int(n)) for code, n in zip(found, counts, strict=True) if int(code) not in self.meaning]
        if unknown:
            raise DataError(f"{source}: {self.explain(unknown, int(counts.sum()))}")
        table = np.array([self.meaning[int(code)] for code in found], np.uint8)
        return table[positions].reshape(stored.shape[:2])

    def explain(self, unknown: Sequence[tuple[int, int]], total: int) -> str:
        """Return what is wrong with codes that have no meaning, from (code, pixels) and all pixels."""
        worst = sorted(unknown, key=lambda pair: -pair[1])
        parts = [f"{show_code(code)} ({count} px, {100 * count / max(total, 1):.1f} %)" for code, count in worst[:3]]
        more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
        near = self._nearest(worst[0][0])
        known = "" if near is None else f"; the nearest is {show_code(near, bare=True)} ({self.name_of(near)})"
        several = len(worst) > 1
        verb, hint = ("are", "Name or ignore them") if several else ("is", "Name or ignore it")
        return f"{', '.join(parts)}{more} {verb} not in labels{known}. {hint}"

    def name_of(self, code: int) -> str:
        """Return the class of a known code, or ``ignore``."""
        label = self.meaning[code]
        return "ignore" if label == self.labels.ignore_index else self.labels.names[label]

    def codes(self, label: int) -> list[int]:
        """Return all codes of a label, the ignore label included."""
        return sorted(code for code, meaning in self.meaning.items() if meaning == label)

    def _nearest(self, code: int) -> int | None:
        """Return the known code of the same kind that is closest in value, or in colour."""
        kind = [known for known in self.meaning if kind_of(known) == kind_of(code)]
        if code < COLOR:
            return min(kind, key=lambda known: (abs(known - code), known), default=None)
        color = np.array(color_of(code))
        return min(kind, key=lambda known: int(((np.array(color_of(known)) - color) ** 2).sum()), default=None)


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


def parse_label_map(entries: Mapping[str, Any]) -> LabelMap:
    """Return the :class:`LabelMap` that a recipe's ``labels`` declares; see the module for how it is written.

    Classes have the colour of their first colour entry, the others the colours of VOC's palette that are free.

    Raises
    ------
    SpecError
        When an entry cannot be read, a value has two meanings, there is no class, or an ignored value lies among the
        classes' values without being confirmed.
    """
    classes = {name: read_codes(name, entry) for name, entry in entries.items() if not _ignores(entry)}
    ignored = {name: _ignored_codes(name, entry) for name, entry in entries.items() if _ignores(entry)}
    if not 1 <= len(classes) <= IGNORE:
        raise SpecError(f"labels must name 1 to 255 classes; got {len(classes)}")
    meaning: dict[int, int] = {}
    owner: dict[int, str] = {}
    for number, (name, codes) in enumerate([*classes.items(), *ignored.items()]):
        for code in codes:
            if code in owner:
                raise SpecError(f"labels: {show_code(code)} stands for {owner[code]} and for {name}; give it one meaning")
            owner[code] = name
            meaning[code] = number if name in classes else IGNORE
    _refuse_ignored_among_classes(entries, classes, ignored)
    large = {code for name, codes in ignored.items() if _confirms(entries[name], "large") for code in codes}
    return LabelMap(LabelSet(tuple(classes), _colors(list(classes), list(classes.values()))), meaning, frozenset(large))


def _ignores(entry: Any) -> bool:
    return entry == "ignore" or (isinstance(entry, Mapping) and "ignore" in entry)


def _ignored_codes(name: str, entry: Any) -> list[int]:
    if entry == "ignore":
        return [IGNORE]
    extra = set(entry) - {"ignore", *CONFIRMATIONS}
    if extra:
        known = f"ignore, {', '.join(CONFIRMATIONS)}"
        raise SpecError(f"labels.{name}: unknown {', '.join(sorted(map(str, extra)))}; known are {known}")
    return read_codes(name, entry["ignore"])


def _confirms(entry: Any, what: str) -> bool:
    return isinstance(entry, Mapping) and entry.get(what) is True


def _refuse_ignored_among_classes(
    entries: Mapping[str, Any], classes: Mapping[str, Sequence[int]], ignored: Mapping[str, Sequence[int]]
) -> None:
    values = [code for codes in classes.values() for code in codes if code < ALPHA]
    for name, codes in ignored.items():
        confirmed = _confirms(entries[name], "among_classes")
        inside = [code for code in codes if code < ALPHA and values and min(values) <= code <= max(values)]
        if inside and not confirmed:
            raise SpecError(
                f"labels.{name} ignores {inside[0]}, which lies among the classes' values {min(values)}..{max(values)}; if "
                f"that is meant, say so: {name}: {{ignore: {inside[0]}, among_classes: true}}"
            )


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
                f"labels.{name}: {color!r} is no colour; write three whole numbers of 0..255, {{color: [128, 64, 0]}}, or '#804000'"
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


def _colors(names: Sequence[str], classes: Sequence[Sequence[int]]) -> tuple[tuple[int, int, int], ...]:
    """Return a colour for each class: its own where the masks give one; black is left to a background."""
    own = [next((color_of(code) for code in codes if code >= COLOR), None) for codes in classes]
    usual = voc_colors(256) if is_background(names[0]) else voc_colors(256)[1:]
    free = (color for color in usual if color not in own)
    return tuple(color or next(free) for color in own)
