"""What a folder without a recipe seems to hold, faults or not."""

import contextlib
from pathlib import Path

from fullconv.data.folder.contents import look_into
from fullconv.data.folder.folder import match_files
from fullconv.data.folder.guess_labels import read_guess, refuse_swapped
from fullconv.data.folder.layout import guess_layout
from fullconv.errors import DataError
from fullconv.spec import DataSpec


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
    refuse_swapped(root, layout.folder, pairs)
    masks = [pair.mask for pair in pairs]
    with contextlib.suppress(DataError):  # what is wrong with validation is a finding; here it may have classes of its own
        masks += [pair.mask for pair in match_files(root, layout.folder, layout.val).pairs]
    labels = read_guess(root, look_into(list(dict.fromkeys(masks)), lenient=True), lenient=True).entries
    return DataSpec(name="folder", root=root, train=layout.train, val=layout.val, folder=layout.folder, labels=labels)
