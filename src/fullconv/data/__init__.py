"""The data sets by name; all yield :class:`~fullconv.data.sample.Sample`."""

import difflib
from collections.abc import Callable

from fullconv.data.camvid import open_camvid
from fullconv.data.folder import open_folder
from fullconv.data.sample import Dataset
from fullconv.data.scaled import Scaled
from fullconv.data.scenes import open_scenes
from fullconv.data.subset import Subset
from fullconv.data.voc import open_voc2011, open_voc2012
from fullconv.errors import SpecError
from fullconv.spec import DataSpec

DATASETS: dict[str, Callable[[DataSpec, str], Dataset]] = {
    "scenes": open_scenes,
    "voc2011": open_voc2011,
    "voc2012": open_voc2012,
    "camvid": open_camvid,
    "folder": open_folder,
}
"""How each data set is opened from a ``DataSpec`` and the name of a split."""


def open_dataset(spec: DataSpec, split: str) -> Dataset:
    """Return ``split`` (such as ``spec.train`` or ``spec.val``) of the data set that ``spec`` describes.

    It has the heads ``spec.heads``, and at most ``spec.count`` samples for the training split, ``spec.val_count`` for
    any other.

    Raises
    ------
    SpecError
        For a name that is not in :data:`DATASETS` (the nearest is named) or a head without truth.
    DataError
        When folder, split or files are missing.
    """
    if spec.name not in DATASETS:
        near = difflib.get_close_matches(spec.name, DATASETS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SpecError(f"no data set {spec.name!r}: {hint}There are {', '.join(DATASETS)}")
    count = spec.count if split == spec.train else spec.val_count
    found = DATASETS[spec.name](spec, split)
    return Subset(found if spec.scale == 1 else Scaled(found, spec.scale), spec.heads, count)
