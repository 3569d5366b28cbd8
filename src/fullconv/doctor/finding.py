"""What the doctor found, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table

from fullconv.doctor.context import Survey, class_table

Level = Literal["error", "warning", "note"]
LEVELS: dict[Level, str] = {"error": "bold red", "warning": "yellow", "note": "dim"}
"""``error``: training would fail or mislead. ``warning``: look at it. ``note``: good to know. With their style in a table."""
SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One fault or fact of a data set.

    Attributes
    ----------
    level
        See :data:`LEVELS`.
    kind
        Its name, the same for every data set, such as ``images without mask``.
    count
        How many files, pairs or classes it is about.
    what
        A sentence with the count and a few names.
    fix
        What to do; empty for notes that need nothing.
    names
        All it is about.
    """

    level: Level
    kind: str
    count: int
    what: str
    fix: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """All that was found in a data set.

    Attributes
    ----------
    name
        Of the data set.
    pairs
        How many there are in each split.
    findings
        Errors first, then warnings, then notes.
    surveys
        What the masks of each split hold.
    """

    name: str
    pairs: dict[str, int]
    findings: tuple[Finding, ...]
    surveys: tuple[Survey, ...]

    def of(self, level: Level) -> list[Finding]:
        """Return the findings of a level."""
        return [finding for finding in self.findings if finding.level == level]

    def classes(self) -> Table:
        """Return the label map with the pixels of every class."""
        return class_table(self.surveys)

    def table(self) -> Table:
        """Return the findings as a rich table: level, what was found, what to do."""
        there = ", ".join(f"{count} {split}" for split, count in self.pairs.items())
        table = Table("", "found", "to do", title=f"{escape(self.name)}: {there}", show_lines=True)
        for finding in self.findings:
            style = LEVELS[finding.level]
            table.add_row(f"[{style}]{finding.level}[/]", escape(finding.what), escape(finding.fix))
        return table

    def verdict(self) -> str:
        """Return how many findings of each level there are, in words."""
        counts = {level: len(self.of(level)) for level in LEVELS}
        said = ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items())
        return f"{said}: {'training would fail or mislead' if counts['error'] else 'nothing that keeps training from working'}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything, JSON-able."""
        return {
            "data": self.name,
            "pairs": self.pairs,
            "findings": [asdict(finding) for finding in self.findings],
            "classes": {survey.split: survey.classes() for survey in self.surveys},
        }


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first few of some names.

    Examples
    --------
    >>> listed(["a", "b", "c", "d"])
    'a, b, c, …'
    """
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")


def counted(count: int, noun: str) -> str:
    """Return a number and its noun.

    Examples
    --------
    >>> counted(1, "mask"), counted(3, "mask")
    ('1 mask', '3 masks')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
