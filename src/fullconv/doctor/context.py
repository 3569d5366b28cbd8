"""A data set under examination: its sources, the facts of every pair, and what the masks of each split hold."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.markup import escape
from rich.table import Table

from fullconv.data.rotation import Lies, agreed
from fullconv.doctor.facts import Facts, MaskFacts
from fullconv.doctor.sources import Source
from fullconv.labelmap import LabelMap, show_codes
from fullconv.spec import DataSpec


@dataclass(frozen=True)
class Survey:
    """The masks of a split, counted.

    Attributes
    ----------
    name
        Of the data set.
    split
        Such as ``train``.
    label_map
        What their values or colours mean.
    masks
        Those that could be read.
    """

    name: str
    split: str
    label_map: LabelMap
    masks: tuple[MaskFacts, ...]

    @cached_property
    def pixels(self) -> dict[int, int]:
        """Pixels of every code (see :mod:`fullconv.labelmap`)."""
        total: Counter[int] = Counter()
        for mask in self.masks:
            total.update(mask.pixels)
        return dict(total)

    @cached_property
    def by_label(self) -> dict[int, tuple[int, int]]:
        """Pixels, and masks that hold any, of every class and of the ignore label."""
        labels = self.label_map.labels
        found = dict.fromkeys((*range(len(labels)), labels.ignore_index), (0, 0))
        for mask in self.masks:
            own: Counter[int] = Counter()
            for code, count in mask.pixels.items():
                if code in self.label_map.meaning:
                    own[self.label_map.meaning[code]] += count
            for label, count in own.items():
                found[label] = found[label][0] + count, found[label][1] + 1
        return found

    @cached_property
    def solid(self) -> dict[int, int]:
        """Of every code the pixels whose four neighbours have it too."""
        total: Counter[int] = Counter()
        for mask in self.masks:
            total.update(mask.solid)
        return dict(total)

    @property
    def total(self) -> int:
        """All pixels, with a meaning or not."""
        return sum(mask.total for mask in self.masks)

    @property
    def ignored(self) -> float:
        """The share of pixels without ground truth, 0 to 1."""
        return self.by_label[self.label_map.labels.ignore_index][0] / max(self.total, 1)

    @property
    def missing(self) -> list[str]:
        """Classes without any pixel."""
        return [name for label, name in enumerate(self.label_map.labels.names) if not self.by_label[label][0]]

    def classes(self) -> dict[str, dict[str, int]]:
        """Return pixels and masks of every class, and of ``ignore``."""
        names = [*self.label_map.labels.names, "ignore"]
        return {name: {"pixels": p, "masks": m} for name, (p, m) in zip(names, self.by_label.values(), strict=True)}


def survey(name: str, split: str, label_map: LabelMap, facts: Sequence[Facts]) -> Survey:
    """Return the :class:`Survey` of the masks of a split."""
    masks = (fact.mask for fact in facts if fact.split == split)
    return Survey(name, split, label_map, tuple(mask for mask in masks if isinstance(mask, MaskFacts)))


def class_table(surveys: Sequence[Survey]) -> Table:
    """Return a row for every class and for what is ignored: what it is made of, and in each split its pixels and its masks."""
    first = surveys[0]
    table = Table("class", "from", title=f"{escape(first.name)}: what the masks mean")
    for one in surveys:
        for column in (f"{one.split} pixels", "%", "masks"):
            table.add_column(column, justify="right")
    names = [*first.label_map.labels.names, "ignore"]
    for label, name in zip(first.by_label, names, strict=True):
        codes = first.label_map.codes(label)
        if not codes:
            continue
        source = show_codes(codes)
        cells = []
        for one in surveys:
            pixels, masks = one.by_label[label]
            cells += [f"{pixels:,}", f"{100 * pixels / max(one.total, 1):.2f}", f"{masks}"]
        table.add_row(escape(name), source, *cells)
    return table


@dataclass(frozen=True)
class Context:
    """What the checks look at.

    Attributes
    ----------
    name
        What reports call the data set.
    spec
        Where it is and how it is drawn from.
    sources
        The split that is trained on, then the one that is measured on, unless that is the same.
    facts
        Of all pairs of all sources.
    """

    name: str
    spec: DataSpec
    sources: Sequence[Source]
    facts: Sequence[Facts]

    @property
    def label_map(self) -> LabelMap:
        """What masks store."""
        return self.sources[0].label_map

    def masks(self) -> Iterator[tuple[Facts, MaskFacts]]:
        """Yield the pairs whose mask could be read."""
        for fact in self.facts:
            if isinstance(fact.mask, MaskFacts):
                yield fact, fact.mask

    def surveys(self) -> tuple[Survey, ...]:
        """Return what the masks of each split hold."""
        return self._surveys

    @cached_property
    def rotation(self) -> Lies:
        """On which pixels masks lie where EXIF turns the image and they do not tell, by the recipe or by the other pairs."""
        return self.spec.image.rotation or agreed([lies for fact in self.facts if (lies := fact.lies)])

    @cached_property
    def _surveys(self) -> tuple[Survey, ...]:
        return tuple(survey(self.name, source.split, self.label_map, self.facts) for source in self.sources)
