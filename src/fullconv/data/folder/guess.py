"""What a folder without a recipe seems to hold, faults or not."""

import contextlib
from pathlib import Path

from fullconv.data.folder.annotations import valued
from fullconv.data.folder.contents import look_into
from fullconv.data.folder.guess_image import guess_image, guess_mask_pages
from fullconv.data.folder.guess_labels import read_guess, refuse_swapped
from fullconv.data.folder.layout import guess_layout
from fullconv.data.folder.pairing import match_files, split_to_measure_on
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
    contents = look_into(masks, lenient=True, pages=mask_pages)
    labels = layout.meanings(contents.pixels) or read_guess(root, contents, lenient=True).entries
    image = guess_image([pair.image for pair in pairs])
    val = split_to_measure_on(root, layout.folder, pairs, layout.train, layout.val)
    folder = layout.folder.model_copy(update={"mask_pages": mask_pages})
    return DataSpec(name="folder", root=root, train=layout.train, val=val, folder=folder, labels=labels, image=image.spec)
