"""A CSV table of how much of each image every class covers."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from fullconv.formats import Labelled
from fullconv.labels import LabelSet


def write_areas(path: Path, images: Iterable[Labelled], label_set: LabelSet) -> None:
    """Write a CSV table with a row an image: its name and pixels, then of every class its pixels and their share, 0 to 1."""
    heads = [f"{name} {unit}" for name in label_set.names for unit in ("pixels", "share")]
    # names of files may hold bytes that are no text
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "pixels", *heads])
        table.writerows(_areas(images, len(label_set)))


def _areas(images: Iterable[Labelled], classes: int) -> Iterator[list[str | int]]:
    for name, labels in images:
        counts = np.bincount(labels.ravel(), minlength=classes)[:classes].tolist()
        yield [name, labels.size, *(value for count in counts for value in (count, f"{count / labels.size:.6f}"))]
