"""The data sets by name; all yield :class:`~fullconv.data.sample.Sample`."""

from collections.abc import Callable
from pathlib import Path

from fullconv.data.archive import is_archive, unpacked
from fullconv.data.folder.folder_depth import open_own
from fullconv.data.sample import DEPTH, HHA, RGB, Dataset
from fullconv.data.scaled import Scaled
from fullconv.data.scenes.scenes import open_scenes
from fullconv.data.sets.ade20k import ADE20K_FOLDER
from fullconv.data.sets.camvid import open_camvid
from fullconv.data.sets.cards import CARDS
from fullconv.data.sets.cityscapes import CITYSCAPES_FOLDER
from fullconv.data.sets.coco_stuff import COCO_STUFF_FOLDER
from fullconv.data.sets.kvasir import open_kvasir
from fullconv.data.sets.loveda import LOVEDA_FOLDER
from fullconv.data.sets.nyud import open_nyudv2
from fullconv.data.sets.oxford_pets import PETS_FOLDER
from fullconv.data.sets.pascal_context import open_pascal_context
from fullconv.data.sets.sbd import open_sbd_voc2011, open_sbd_voc2012
from fullconv.data.sets.siftflow import open_siftflow
from fullconv.data.sets.voc import open_voc2011, open_voc2012
from fullconv.data.subset import Subset
from fullconv.errors import SpecError, nearest
from fullconv.spec import DataSpec

DATASETS: dict[str, Callable[[DataSpec, str], Dataset]] = {
    "scenes": open_scenes,
    "voc2011": open_voc2011,
    "voc2012": open_voc2012,
    "sbd-voc2011": open_sbd_voc2011,
    "sbd-voc2012": open_sbd_voc2012,
    "nyudv2": open_nyudv2,
    "siftflow": open_siftflow,
    "pascal-context": open_pascal_context,
    "camvid": open_camvid,
    "cityscapes": CITYSCAPES_FOLDER.open,
    "ade20k": ADE20K_FOLDER.open,
    "oxford-pets": PETS_FOLDER.open,
    "coco-stuff": COCO_STUFF_FOLDER.open,
    "loveda": LOVEDA_FOLDER.open,
    "kvasir": open_kvasir,
    "folder": open_own,
}
"""How each data set is opened from a ``DataSpec`` and the name of a split."""
STREAMS = dict.fromkeys(("nyudv2", "scenes", "folder"), (RGB, DEPTH, HHA))
"""The input streams of data sets that have more than ``rgb``."""


def spec_of(name: str, root: Path | None = None) -> DataSpec:
    """Return how a data set is described that is known by its name and folder alone.

    Examples
    --------
    >>> spec_of("siftflow").val
    'test'
    """
    train, val = (CARDS[name].train, CARDS[name].val) if name in CARDS else ("train", "val")
    return DataSpec(name=name, root=root, train=train, val=val)


def open_dataset(spec: DataSpec, split: str, *, own_size: bool = False) -> Dataset:
    """Return ``split`` (such as ``spec.train`` or ``spec.val``) of the data set that ``spec`` describes.

    It has the heads ``spec.heads``, and at most ``spec.count`` samples for the training split, ``spec.val_count`` for
    any other.

    Parameters
    ----------
    spec, split
        What and which.
    own_size
        Leave images and masks at their own size, whatever ``spec.scale`` says: to measure on them.

    Raises
    ------
    SpecError
        For a name that is not in :data:`DATASETS` (the nearest is named), a stream that there is not or a head without
        ground truth.
    DataError
        When folder, split or files are missing.
    """
    if spec.name not in DATASETS:
        near = nearest(spec.name, DATASETS, 1, 0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        if is_archive(Path(spec.name)):
            hint = "for a zip of your own say `fullconv init FILE` and give the recipe that it writes. "
        raise SpecError(f"no data set {spec.name!r}: {hint}There are {', '.join(DATASETS)}")
    if spec.root is not None and is_archive(spec.root):
        spec = spec.model_copy(update={"root": unpacked(spec.root)})
    streams = STREAMS.get(spec.name, (RGB,))
    if not set(spec.streams) <= set(streams):
        raise SpecError(f"{spec.name} has the streams {', '.join(streams)}; asked for are {', '.join(spec.streams)}")
    count = spec.count if split == spec.train else spec.val_count
    found = DATASETS[spec.name](spec, split)
    return Subset(found if spec.scale == 1 or own_size else Scaled(found, spec.scale), spec.heads, count)
