"""The published figures, read from ``published.yaml``: what stands beside every measured number."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Published:
    """One published table.

    Attributes
    ----------
    source
        Where it stands and what it was measured on.
    paper, reference
        Figures of the paper and of the reference implementation, by row and quantity.
    others
        Figures of other methods and of later versions, for the record; nothing is measured beside them.
    verified
        Whether the figures were compared with the text itself.
    """

    source: str
    paper: Figures
    reference: Figures = field(default_factory=dict)
    others: Figures = field(default_factory=dict)
    verified: bool = True

    def find(self, item: str, quantity: str) -> tuple[float | None, float | None]:
        """Return the paper's and the reference implementation's figure; ``None`` where they state none."""
        return self.paper.get(item, {}).get(quantity), self.reference.get(item, {}).get(quantity)


@functools.cache
def published(table: str) -> Published:
    """Return a published table by its key, such as ``T2``; one without rows for experiments that the paper has no figures of.

    Examples
    --------
    >>> published("T2").find("FCN-8s", "mean IU")
    (62.7, 65.5)
    """
    text = resources.files("fullconv.paper").joinpath("published.yaml").read_text(encoding="utf-8")
    tables: dict[str, Any] = yaml.safe_load(text)
    return Published(**tables[table]) if table in tables else Published(source="no published figures", paper={})
