"""The table of areas counts every pixel of every class."""

import csv
from pathlib import Path

from annotated import CLASSES, RING

from fullconv.formats.areas import write_areas


def test_areas(tmp_path: Path) -> None:
    write_areas(tmp_path / "areas.csv", [("sea/a, b.png", RING), ("lost\udcff.png", RING[:1, :1])], CLASSES)
    with (tmp_path / "areas.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        head, first, second = csv.reader(file)
    assert head == [
        *("image", "pixels", "background pixels", "background share", "cat pixels", "cat share"),
        *("dog, or wolf pixels", "dog, or wolf share"),
    ]
    assert first == ["sea/a, b.png", "12", "2", "0.166667", "8", "0.666667", "1", "0.083333"]
    assert second == ["lost\udcff.png", "1", "0", "0.000000", "1", "1.000000", "0", "0.000000"]
