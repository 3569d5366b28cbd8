"""LabelMap: from what people store in masks (numbers, palette indices, colours, alpha) to the labels 0..K-1 and ignore.

The map is declared, never guessed; in a recipe it reads like this:

.. code-block:: yaml

    labels:
      background: 0
      road: [1, 7]                    # several values, one class
      vehicle: 11-14, 17              # the same as text, with ranges
      sky: {color: [128, 128, 128]}   # a colour
      tree: ["#008000", "#00ff00"]    # colours
      border: ignore                  # value 255 has no ground truth
      unknown: {ignore: -1}           # nor has -1
      outside: {alpha: 0-127}         # pixels of masks with an alpha channel, by its values 0..255

Classes are numbered in the order in which they stand. A value that no entry names is an error with its count; 255 is never
taken for background. ``[1, 7, 9]`` may be three values or a colour, so three whole numbers of 0..255 in a list are refused:
write ``1, 7, 9`` or ``{color: [1, 7, 9]}``. An ignored value that lies among the classes' values looks like a mistake and must
be confirmed: ``{ignore: 9, among_classes: true}``; so must one that covers more than all objects do, which the data doctor
takes for a class: ``{ignore: 255, large: true}``.

Where alpha is declared it comes first: a pixel whose alpha has a meaning has that one, whatever its colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError, SpecError
from fullconv.label_codes import (
    ALPHA,
    COLOR,
    IGNORE,
    code_of_color,
    codes_of,
    color_of,
    kind_of,
    read_codes,
    show_code,
    show_codes,
)
from fullconv.labels import LabelSet, is_background, voc_colors

__all__ = [
    "ALPHA",
    "COLOR",
    "IGNORE",
    "LabelMap",
    "code_of_color",
    "codes_of",
    "color_of",
    "kind_of",
    "parse_label_map",
    "read_codes",
    "show_code",
    "show_codes",
]

CONFIRMATIONS = ("among_classes", "large")


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


def parse_label_map(entries: Mapping[str, Any]) -> LabelMap:
    """Return the :class:`LabelMap` that a recipe's ``labels`` declares; see the module for how it is written.

    Classes have the colour of their first colour entry, the others the colours of VOC's palette that are free.

    Raises
    ------
    SpecError
        When an entry cannot be read, a value has two meanings, there is no class, or an ignored value lies among the
        classes' values without being confirmed.
    """
    if "ignore" in entries and not _ignores(entries["ignore"]):
        raise SpecError(
            f"labels.ignore: {entries['ignore']!r} would make a class called ignore; for no ground truth write void: ignore, "
            "or void: {ignore: VALUE}; call a class otherwise"
        )
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


def _colors(names: Sequence[str], classes: Sequence[Sequence[int]]) -> tuple[tuple[int, int, int], ...]:
    """Return a colour for each class: its own where the masks give one; black is left to a background."""
    own = [next((color_of(code) for code in codes if code >= COLOR), None) for codes in classes]
    usual = voc_colors(256) if is_background(names[0]) else voc_colors(256)[1:]
    free = (color for color in usual if color not in own)
    return tuple(color or next(free) for color in own)
