"""Guess what the masks of a folder hold, for ``fullconv init`` to write down; a person sees and corrects it."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullconv.data.drawn_mask import DrawnMask
from fullconv.data.images import decode
from fullconv.data.mask_pages import undeclared_pages
from fullconv.data.masks import undeclared_in
from fullconv.data.pairs import Pair
from fullconv.data.text import read_text
from fullconv.errors import DataError
from fullconv.labelmap import COLOR, codes_of, color_of
from fullconv.spec import FolderSpec

SAMPLE = 400
"""Masks that are looked into, spread over the folder."""
MOST_CODES = 255


def refuse_swapped(root: Path, folder: FolderSpec, pairs: Sequence[Pair]) -> None:
    """Stop where the folder of masks holds photographs and that of images what masks look like.

    Raises
    ------
    DataError
        When of the first, the last and a pair between them every mask has more values than labels can and no image does.
    """
    for pair in {0: pairs[0], 1: pairs[len(pairs) // 2], 2: pairs[-1]}.values():
        try:
            found = [len(np.unique(codes_of(undeclared_in(decode(path))))) for path in (pair.image, pair.mask)]
        except DataError:
            return  # a damaged file is told of elsewhere
        if not found[0] <= MOST_CODES < found[1]:
            return
    raise DataError(
        f"{root}: {folder.masks} holds photographs and {folder.images} what looks like masks; are the two swapped? Rename them"
    )


@dataclass(frozen=True)
class Contents:
    """What the masks that were looked into hold: pixels of every code (see :mod:`fullconv.labelmap`), and their sizes."""

    pixels: dict[int, int]
    masks: int
    sizes: list[tuple[int, int]]

    @property
    def colors(self) -> bool:
        """Whether the masks store colours."""
        return any(code >= COLOR for code in self.pixels)


def look_into(masks: Sequence[Path | DrawnMask], pages: str | None = None) -> Contents:
    """Return what masks hold: palette images by their indices, equal channels as grey; ``pages`` as ``FolderSpec.mask_pages``.

    Raises
    ------
    DataError
        When a mask cannot be read, or they hold so many values that they cannot be labels.
    """
    chosen = [masks[int(i)] for i in np.unique(np.linspace(0, len(masks) - 1, min(SAMPLE, len(masks))).round())]
    pixels: Counter[int] = Counter()
    sizes = []
    for path in chosen:
        stored = undeclared_pages(path, pages)
        codes, counts = np.unique(codes_of(stored), return_counts=True)
        pixels.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        sizes.append((stored.shape[0], stored.shape[1]))
        if len(pixels) > MOST_CODES + 1:
            raise DataError(
                f"{path}: the masks hold more than {MOST_CODES} different {'colours' if stored.ndim == 3 else 'values'}, so they "
                "are no labels as they are: saved as JPEG, resized with smoothing, or instance numbers? Save them without "
                "loss, one value a class"
            )
    return Contents(dict(sorted(pixels.items())), len(chosen), sizes)


def guess_labels(root: Path, contents: Contents) -> dict[str, object]:
    """Return a declaration for :func:`fullconv.labelmap.parse_label_map`: a class for every code, named by a list where one is.

    255 among smaller values becomes void; where there is nothing but 0 and 255, 255 is the foreground. A list of names is
    ``classes.txt``, ``labels.txt`` or ``names.txt`` (one a line, numbered from the smallest value), CVAT's ``labelmap.txt``
    or Roboflow's ``_classes.csv``.
    """
    codes = list(contents.pixels)
    if codes == [0, 255]:
        return {"background": 0, "foreground": 255}
    named = _named_codes(root, codes)
    void = 255 in codes and len(codes) > 1 and 255 not in named and not contents.colors
    entries: dict[str, object] = {}
    for number, code in enumerate(code for code in codes if not (void and code == 255)):
        value = list(color_of(code)) if code >= COLOR else code
        entries[named.get(code) or f"class {number if code >= COLOR else code}"] = value
    return entries | ({"void": "ignore"} if void else {})


def _named_codes(root: Path, codes: Sequence[int]) -> dict[int, str]:
    cvat, roboflow = root / "labelmap.txt", next(iter(sorted(root.rglob("_classes.csv"))), None)
    if cvat.is_file():
        rows = [line.split(":") for line in read_text(cvat).splitlines() if line and line[0] != "#"]
        found = {}
        for name, color, *_ in (row for row in rows if len(row) >= 2 and row[1].count(",") == 2):
            try:
                red, green, blue = (int(part) for part in color.split(","))
            except ValueError as error:
                raise DataError(
                    f"{cvat}: the color of {name} is {color!r}; write it as three numbers, such as 128,64,0"
                ) from error
            found[COLOR + (red << 16) + (green << 8) + blue] = name
        return found
    if roboflow is not None:
        lines = read_text(roboflow).splitlines()
        rows = [row for row in csv.reader(lines) if len(row) == 2 and row[0].strip().isdigit()]
        return {int(value): name.strip() for value, name in rows}
    lists = (root / name for name in ("classes.txt", "labels.txt", "names.txt"))
    path = next((path for path in lists if path.is_file()), None)
    if path is None:
        return {}
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    values = [code for code in codes if code < COLOR and code != 255]
    start = 1 if values and min(values) > 0 else 0
    return {start + i: name for i, name in enumerate(names)} if values else {}
