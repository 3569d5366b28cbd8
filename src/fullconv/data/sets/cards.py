"""What is to be known of each data set before one takes it: licence, citation, size, source, and how its folder looks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Card:
    """What is published about a data set.

    Attributes
    ----------
    title
        Its name in full.
    classes
        How many, and of what.
    splits
        Their names and how many images each has.
    train, val
        The splits that commands take by default: to learn from and to measure on.
    ignored
        The rule for pixels without ground truth.
    license, citation
        In its authors' words, shortened.
    size
        Of the download.
    source
        Where to get it.
    checksums
        Of its files where some are published, and by whom.
    layout
        The folder that ``--data.root`` names, as a tree.
    """

    title: str
    classes: str
    splits: str
    train: str
    val: str
    ignored: str
    license: str
    citation: str
    size: str
    source: str
    checksums: str
    layout: str

    def to_dict(self) -> dict[str, str]:
        """Return everything, JSON-able."""
        return asdict(self)


def _read() -> dict[str, Card]:
    text = (resources.files("fullconv.data.sets") / "cards.yaml").read_text(encoding="utf-8")
    content: Mapping[str, Any] = yaml.safe_load(text)
    return {name: Card(**{key: str(value) for key, value in entry.items()}) for name, entry in content.items()}


CARDS: Mapping[str, Card] = _read()
"""By the names of :data:`fullconv.data.DATASETS`, without ``folder``."""
