"""What a folder without a recipe seems to hold, faults or not."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.folder import match_files
from fullconv.data.images import decode
from fullconv.data.layout import Contents, guess_labels, guess_layout
from fullconv.data.masks import undeclared_in
from fullconv.doctor.runs import Runs, inner
from fullconv.errors import DataError
from fullconv.labelmap import codes_of
from fullconv.spec import DataSpec

SAMPLE = 100
"""Masks of a split that labels are guessed from, spread over it."""
MOST_CLASSES = 255
MOST_SPECKS = 8
"""Values that occur only as specks and still are classes of a guess; more of them are what smoothing leaves."""


def guess_spec(root: Path) -> DataSpec:
    """Return the data set that a folder without a recipe seems to hold: its layout and labels as ``fullconv init`` guesses.

    Unlike there, damaged masks are passed over, and many values that occur only as specks (what smoothing and JPEG leave
    along borders) are no classes.

    Raises
    ------
    DataError
        When the folder holds no pairs, or no mask can be read.
    """
    layout = guess_layout(root)
    pairs = match_files(root, layout.folder, layout.train).pairs
    labels = guess_labels(root, _contents([pair.mask for pair in pairs]))
    return DataSpec(name="folder", root=root, train=layout.train, val=layout.val, folder=layout.folder, labels=labels)


def _contents(masks: Sequence[Path]) -> Contents:
    """Return what most masks hold: those of the commonest kind, as colours among indices are a fault, not classes."""
    found: dict[str, list[NDArray[np.integer]]] = {}
    for at in np.unique(np.linspace(0, len(masks) - 1, min(SAMPLE, len(masks))).round()):
        try:
            image = decode(masks[int(at)])
        except DataError:
            continue
        stored = undeclared_in(image)
        kind = "palette" if image.mode == "P" else "values" if stored.ndim == 2 else "colours"
        found.setdefault(kind, []).append(codes_of(stored))
    if not found:
        raise DataError(f"none of the {len(masks)} masks beside {masks[0]} can be read; they are damaged or no images")
    chosen = max(found.values(), key=len)
    pixels: Counter[int] = Counter()
    solid: set[int] = set()
    for codes in chosen:
        runs = Runs.of(codes)
        pixels.update(dict(zip(runs.codes.tolist(), runs.pixels.tolist(), strict=True)))
        solid.update(np.unique(inner(codes)).tolist())
    kept = set(pixels) if len(pixels.keys() - solid) <= MOST_SPECKS else solid
    kept = kept if len(kept) <= MOST_CLASSES else {code for code, _ in pixels.most_common(MOST_CLASSES)}
    sizes = [(codes.shape[0], codes.shape[1]) for codes in chosen]
    return Contents({code: pixels[code] for code in sorted(kept)}, len(chosen), sizes)
