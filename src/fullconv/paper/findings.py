"""What an experiment of the paper finds: rows beside the published figures, claims with their evidence, pictures.

Whether one net is better than another is judged in one way everywhere, see :mod:`fullconv.paper.verdicts`.

All of it goes to ``result.json`` and comes back from there.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter
from rich.markup import escape
from rich.table import Table

from fullconv.paper.published import published

HEADER = ("what", "quantity", "paper", "reference", "measured", "seconds", "data", "protocol")
"""The columns of every table of experiments."""
MEASURED = HEADER.index("measured")
Verdict = bool | None
"""Holds, does not hold, or undecided (``None``)."""
REPEATED = tuple(HEADER.index(column) for column in ("what", "seconds", "data", "protocol"))


@dataclass(frozen=True)
class Row:
    """One measured quantity beside the published ones.

    Parameters
    ----------
    item, quantity
        What was measured, such as ``FCN-8s`` and ``mean IU``; percentages unless the quantity ends in a unit (``forward ms``).
    measured
        One value for each seed; empty when it could not be measured, and ``needs`` says why.
    data, protocol
        The data set, split and number of images; how it was trained and measured.
    seconds
        That it took: training and measuring, all seeds together.
    paper, reference
        The figures of the paper and of its reference implementation.
    needs
        What is missing, and where it was looked for.
    digits
        Behind the point, in tables.
    """

    item: str
    quantity: str
    measured: tuple[float, ...]
    data: str
    protocol: str
    seconds: float = 0.0
    paper: float | None = None
    reference: float | None = None
    needs: str = ""
    digits: int = 1

    @property
    def mean(self) -> float:
        """Mean over the seeds; ``nan`` when nothing was measured."""
        return statistics.fmean(self.measured) if self.measured else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; 0 for a single one."""
        return statistics.stdev(self.measured) if len(self.measured) > 1 else 0.0

    def cells(self, verified: bool = True) -> tuple[str, ...]:
        """Return the texts of the columns :data:`HEADER`."""
        paper = _figure(self.paper) if verified or self.paper is None else f"{_figure(self.paper)} (unverified)"
        texts = (self.item, self.quantity, paper, _figure(self.reference), self._measured())
        return (*texts, f"{self.seconds:.0f}" if self.seconds else "–", self.data, self.protocol)

    def _measured(self) -> str:
        if not self.measured:
            return f"not run: {self.needs}"
        text = f"{self.mean:.{self.digits}f}"
        return f"{text} ± {self.spread:.{self.digits}f}" if len(self.measured) > 1 else text


@dataclass(frozen=True)
class Claim:
    """Something that the paper says, whether it came out here, and the numbers that say so.

    Attributes
    ----------
    text, evidence
        In words.
    holds
        ``None`` where the numbers cannot decide it.
    """

    text: str
    holds: Verdict
    evidence: str

    @property
    def verdict(self) -> str:
        """``Holds``, ``Does NOT hold`` or ``Undecided``."""
        return {True: "Holds", False: "Does NOT hold", None: "Undecided"}[self.holds]


@dataclass(frozen=True)
class Picture:
    """A picture in the experiment's folder, by its file name, and what it shows."""

    file: str
    caption: str


@dataclass(frozen=True)
class Finding:
    """All that one experiment found; ``notes`` are paragraphs for the page."""

    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every row was measured."""
        return all(row.measured for row in self.rows)

    def row(self, item: str, quantity: str) -> Row:
        """Return one row."""
        return next(row for row in self.rows if (row.item, row.quantity) == (item, quantity))

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Finding":
        """Return what :meth:`to_dict` made; a ValueError or KeyError where it is something else."""
        fields = {key: content[key] for key in ("rows", "claims", "pictures", "notes")}
        return TypeAdapter(cls).validate_python(fields)

    def table(self, name: str) -> Table:
        """Return the rows as a rich table, claims and notes below; ``name`` is the experiment's, such as ``T2``."""
        verdicts = (f"{claim.verdict}: {claim.text} ({claim.evidence})" for claim in self.claims)
        source = published(name).source
        seeds = max((len(row.measured) for row in self.rows), default=0)
        title = f"{name}; measured: mean ± standard deviation of {seeds} seeds" if seeds > 1 else name
        table = Table(title=escape(title), caption=escape("\n".join((f"paper: {source}", *verdicts, *self.notes))))
        table.caption_justify = "left"
        for number, column in enumerate(HEADER):
            table.add_column(column, justify="right" if 2 <= number <= 5 else "left", overflow="fold")
        for texts in self.cells(name):
            table.add_row(*map(escape, texts))
        return table

    def markdown(self, name: str) -> str:
        """Return rows, claims and notes as Markdown."""
        lines = [f"| {' | '.join(HEADER)} |", "|---|---|---:|---:|---:|---:|---|---|"]
        lines += [f"| {' | '.join(text.replace('|', ' ') for text in texts)} |" for texts in self.cells(name)]
        verdicts = [f"- {claim.verdict.replace('NOT', '**not**')}: {claim.text} ({claim.evidence})." for claim in self.claims]
        parts = ["\n".join(lines), "\n".join(verdicts), *self.notes]
        return "\n\n".join(part for part in parts if part) + "\n"

    def cells(self, name: str) -> list[tuple[str, ...]]:
        """Return the texts of all rows, those of :data:`REPEATED` columns only where they change."""
        shown: list[tuple[str, ...]] = []
        before: tuple[str, ...] = ("",) * len(HEADER)
        for row in self.rows:
            texts = row.cells(published(name).verified)
            same_item = texts[0] == before[0]
            hidden = {i for i in REPEATED if texts[i] == before[i] and (same_item or HEADER[i] == "data")}
            again = not row.measured and texts[MEASURED] == before[MEASURED]  # a reason is told once
            told = [*texts[:MEASURED], "not run" if again else texts[MEASURED], *texts[MEASURED + 1 :]]
            shown.append(tuple("" if i in hidden else text for i, text in enumerate(told)))
            before = texts
        return shown


def paired(table: str, item: str, quantity: str, measured: Sequence[float], **more: Any) -> Row:
    """Return a row with the published figures of ``table`` beside what was measured.

    Examples
    --------
    >>> row = paired("T2", "FCN-8s", "mean IU", [44.0, 45.0], data="scenes val", protocol="staged")
    >>> row.cells()[2:5]
    ('62.7', '65.5', '44.5 ± 0.7')
    """
    paper, reference = published(table).find(item, quantity)
    return Row(item, quantity, tuple(measured), paper=paper, reference=reference, **more)


def not_run(table: str, needs: str, data: str) -> Finding:
    """Return the published rows of an experiment that could not run, each saying what it ``needs``."""
    figures = published(table).paper
    names = [(item, quantity) for item, values in figures.items() for quantity in values] or [(table, "all")]
    return Finding(tuple(paired(table, item, quantity, (), data=data, protocol="–", needs=needs) for item, quantity in names))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
