"""A data set under examination: its sources, and the facts of every pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fullconv.doctor.facts import Facts, MaskFacts
from fullconv.doctor.sources import Source
from fullconv.doctor.survey import Survey, survey
from fullconv.labelmap import LabelMap
from fullconv.spec import DataSpec


@dataclass(frozen=True)
class Case:
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
        return tuple(survey(self.name, source.split, self.label_map, self.facts) for source in self.sources)
