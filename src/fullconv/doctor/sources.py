"""What is examined: the splits of a data set as pairs of files with a label map, or as samples that are rendered."""

from dataclasses import dataclass, field
from pathlib import Path

from fullconv.data import DATASETS, open_dataset, spec_of
from fullconv.data.archive import is_archive, unpacked
from fullconv.data.folder.annotations import label_map_of, valued
from fullconv.data.folder.folder import FolderSegmentation
from fullconv.data.folder.folder_depth import depth_settings
from fullconv.data.folder.guess import guess_spec
from fullconv.data.folder.pairing import match_files, with_depths
from fullconv.data.pairs import Pair
from fullconv.data.sample import RGB, Dataset
from fullconv.data.scaled import Scaled
from fullconv.errors import SpecError
from fullconv.labelmap import LabelMap
from fullconv.spec import DataSpec, ImageSpec
from fullconv.spec.image import PLAIN
from fullconv.spec.recipe import load_recipe


@dataclass(frozen=True)
class Source:
    """A split as it is examined.

    Attributes
    ----------
    split
        Its name.
    dataset
        Its samples as training reads them.
    head
        The truth that is examined.
    label_map
        What masks store.
    pairs
        The files of every sample; none when samples are rendered.
    images, masks
        Files without a partner, by name.
    depth_unit
        Of the pairs' depth maps; ``None`` when depth is not read.
    image, mask_pages
        How images and masks of several pages are read.
    """

    split: str
    dataset: Dataset
    head: str
    label_map: LabelMap
    pairs: tuple[Pair, ...] = ()
    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    depth_unit: str | float | None = None
    image: ImageSpec = PLAIN
    mask_pages: str | None = None


def open_sources(spec: DataSpec, most: int | None = None) -> list[Source]:
    """Return the splits of a data set that are trained on and measured on; one when both are the same.

    Of a folder of one's own at most ``most`` pairs of each split, spread over it.

    Raises
    ------
    DataError
        When folder or split are missing; files that lack a partner, or are damaged, are no reason.
    SpecError
        When there is no such data set.
    """
    if spec.root is not None and is_archive(spec.root):
        spec = spec.model_copy(update={"root": unpacked(spec.root)})
    splits = dict.fromkeys((spec.train, spec.val))
    if spec.name == "folder":
        return [_folder_source(spec, split, most) for split in splits]
    return [_named_source(spec, split) for split in splits]


def _folder_source(spec: DataSpec, split: str, most: int | None) -> Source:
    if spec.root is None or not spec.root.is_dir() or not spec.labels:
        open_dataset(spec, split)  # says what is missing
    root, label_map = Path(str(spec.root)), label_map_of(spec)
    match = match_files(root, spec.folder, split)
    pairs = valued(match.pairs, spec.labels, spec.folder.rename)
    if most is not None and len(pairs) > most:
        pairs = [pairs[place * len(pairs) // most] for place in range(most)]
    settings = spec.image, spec.folder.mask_pages
    dataset = FolderSegmentation(f"{root.resolve().name} {split}", pairs, label_map, *settings)
    unit = None
    if set(spec.streams) != {RGB}:
        unit, _ = depth_settings(spec)
        pairs = with_depths(root, spec.folder, split, pairs)
    return Source(
        split, _scaled(dataset, spec), spec.heads[0], label_map, tuple(pairs), match.images, match.masks, unit, *settings
    )


def _named_source(spec: DataSpec, split: str) -> Source:
    dataset = open_dataset(spec, split)
    head = spec.heads[0]
    stored = DATASETS[spec.name](spec, split)
    pairs, label_map = getattr(stored, "pairs", ()), getattr(stored, "label_map", None)
    if not pairs or label_map is None:
        return Source(split, dataset, head, LabelMap.identity(dataset.labels[head]))
    return Source(split, _scaled(stored, spec), head, label_map, tuple(pairs))


def _scaled(dataset: Dataset, spec: DataSpec) -> Dataset:
    return dataset if spec.scale == 1 else Scaled(dataset, spec.scale)


def read_target(target: str, root: Path | None) -> DataSpec:
    """Return the data that a name of a data set, a folder or a recipe stands for.

    Parameters
    ----------
    target
        Such as ``voc2012``, ``photos/`` or ``photos.yaml``.
    root
        The folder of a named data set, or one to take in place of the recipe's.

    Raises
    ------
    SpecError
        When it is none of them.
    DataError
        As :func:`guess_spec`.
    """
    if target in DATASETS and target != "folder":
        return spec_of(target, root)
    if Path(target).is_dir():
        if root is not None:
            raise SpecError(f"{target} is a folder itself; --root {root} goes with the name of a data set or with a recipe")
        return guess_spec(Path(target))
    if is_archive(Path(target)):
        return guess_spec(unpacked(Path(target)))
    try:
        given = load_recipe(target).data
    except SpecError as error:
        if Path(target).is_file():
            raise
        raise SpecError(
            f"{target} is no data set ({', '.join(name for name in DATASETS if name != 'folder')}), no folder and no recipe"
        ) from error
    return given if root is None else given.model_copy(update={"root": root})
