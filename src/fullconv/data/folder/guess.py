"""What a folder without a recipe seems to hold, faults or not."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.folder.annotations import valued
from fullconv.data.folder.folder import match_files, split_to_measure_on
from fullconv.data.folder.guess_image import guess_image, guess_mask_pages
from fullconv.data.folder.guess_labels import Contents, guess_labels, refuse_swapped
from fullconv.data.folder.layout import guess_layout
from fullconv.data.images import decode
from fullconv.data.mask_pages import read_class_pages
from fullconv.data.mask_runs import Runs, inner
from fullconv.data.masks import undeclared_in
from fullconv.errors import DataError
from fullconv.labelmap import codes_of
from fullconv.spec import DataSpec

SAMPLE = 400
"""Masks that labels are guessed from, spread over train and val."""
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
        When the folder holds no pairs, no mask can be read, or images and masks are swapped.
    """
    layout = guess_layout(root)
    pairs = match_files(root, layout.folder, layout.train).pairs
    if layout.folder.annotations is not None:
        valued(pairs, layout.labels, {})
        val = split_to_measure_on(root, layout.folder, pairs, layout.train, layout.val)
        image = guess_image([pair.image for pair in pairs])
        return DataSpec(
            name="folder", root=root, train=layout.train, val=val, folder=layout.folder, labels=layout.labels, image=image.spec
        )
    refuse_swapped(root, layout.folder, pairs)
    masks = [Path(pair.mask) for pair in pairs]
    with contextlib.suppress(DataError):  # what is wrong with validation is a finding; here it may have classes of its own
        masks += [Path(pair.mask) for pair in match_files(root, layout.folder, layout.val).pairs]
    masks = list(dict.fromkeys(masks))
    mask_pages = guess_mask_pages(masks)
    contents = _contents(masks, mask_pages)
    labels = layout.meanings(contents.pixels) or guess_labels(root, contents)
    image = guess_image([pair.image for pair in pairs])
    val = split_to_measure_on(root, layout.folder, pairs, layout.train, layout.val)
    folder = layout.folder.model_copy(update={"mask_pages": mask_pages})
    return DataSpec(name="folder", root=root, train=layout.train, val=val, folder=folder, labels=labels, image=image.spec)


@dataclass
class _Kind:
    """What the masks of one kind hold: pixels of every code, codes that fill more than specks, sizes."""

    pixels: Counter[int] = field(default_factory=Counter)
    solid: set[int] = field(default_factory=set)
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def add(self, codes: NDArray[np.int64]) -> None:
        runs = Runs.of(codes)
        self.pixels.update(dict(zip(runs.codes.tolist(), runs.pixels.tolist(), strict=True)))
        self.solid.update(np.unique(inner(codes)).tolist())
        self.sizes.append((codes.shape[0], codes.shape[1]))


def _contents(masks: Sequence[Path], pages: str | None) -> Contents:
    """Return what masks hold: those of the commonest kind, as colours among indices are a fault, not classes."""
    kinds: dict[str, _Kind] = {}
    for at in np.unique(np.linspace(0, len(masks) - 1, min(SAMPLE, len(masks))).round()):
        try:
            image = decode(masks[int(at)]) if pages is None else None
            stored = undeclared_in(image) if image is not None else read_class_pages(masks[int(at)], str(pages))
        except DataError:
            continue
        kind = "palette" if image is not None and image.mode == "P" else "values" if stored.ndim == 2 else "colours"
        kinds.setdefault(kind, _Kind()).add(codes_of(stored))
    if not kinds:
        raise DataError(f"none of the {len(masks)} masks beside {masks[0]} can be read; they are damaged or no images")
    found = max(kinds.values(), key=lambda kind: len(kind.sizes))
    specks = found.pixels.keys() - found.solid
    kept = found.pixels.keys() - (specks if len(specks) > MOST_SPECKS else set())
    if len(kept) > MOST_CLASSES:
        kept = {code for code, _ in found.pixels.most_common(MOST_CLASSES)}
    return Contents({code: found.pixels[code] for code in sorted(kept)}, len(found.sizes), found.sizes)
