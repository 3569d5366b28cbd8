"""What a folder's masks hold, read once: pixels and images of every value or colour, printed back as classes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.markup import escape
from rich.table import Table

from fullconv.data.folder import FolderSegmentation
from fullconv.data.masks import read_stored
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap, codes_of, show_code


@dataclass(frozen=True)
class Survey:
    """Pixels, and masks that hold any, of every code; see :mod:`fullconv.labelmap`."""

    name: str
    label_map: LabelMap
    pixels: dict[int, int]
    images: dict[int, int]

    def table(self) -> Table:
        """Return a row for every class and for what is ignored: what it is made of, its pixels, and in how many masks it is."""
        table = Table("class", "from", title=f"{escape(self.name)}: what the masks mean")
        for column in ("pixels", "%", "masks"):
            table.add_column(column, justify="right")
        total = max(sum(self.pixels.values()), 1)
        names = [*self.label_map.labels.names, "ignore"]
        for label, name in zip([*range(len(names) - 1), self.label_map.labels.ignore_index], names, strict=True):
            codes = self.label_map.codes(label)
            if not codes and name == "ignore":
                continue
            pixels = sum(self.pixels.get(code, 0) for code in codes)
            masks = max((self.images.get(code, 0) for code in codes), default=0)
            source = ", ".join(show_code(code, bare=True) for code in codes[:6]) + (", …" if len(codes) > 6 else "")
            table.add_row(escape(name), source, f"{pixels:,}", f"{100 * pixels / total:.2f}", f"{masks}")
        return table

    @property
    def missing(self) -> list[str]:
        """Classes without any pixel."""
        names = self.label_map.labels.names
        return [name for label, name in enumerate(names) if not any(self.pixels.get(c) for c in self.label_map.codes(label))]


def survey(dataset: FolderSegmentation, progress: Callable[[int, int], None] = lambda done, of: None) -> Survey:
    """Return the :class:`Survey` of a folder's masks.

    Raises
    ------
    DataError
        When masks hold values or colours without a meaning; all of them are counted over all masks first.
    """
    pixels: Counter[int] = Counter()
    images: Counter[int] = Counter()
    first: dict[int, str] = {}
    for number, pair in enumerate(dataset.pairs, start=1):
        found, counts = np.unique(codes_of(read_stored(pair.mask, dataset.label_map)), return_counts=True)
        pixels.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        images.update(found.tolist())
        for code in found.tolist():
            first.setdefault(code, str(pair.mask))
        progress(number, len(dataset.pairs))
    unknown = [(code, count) for code, count in pixels.items() if code not in dataset.label_map.meaning]
    if unknown:
        worst = max(unknown, key=lambda pair: pair[1])[0]
        what = dataset.label_map.explain(unknown, sum(pixels.values()))
        raise DataError(
            f"{dataset.name}: {what}; the first is in {first[worst]}, {images[worst]} of {len(dataset.pairs)} masks have it"
        )
    return Survey(dataset.name, dataset.label_map, dict(pixels), dict(images))
