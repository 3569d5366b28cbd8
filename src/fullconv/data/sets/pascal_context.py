"""PASCAL-Context (Mottaghi et al. 2014): VOC2010's images labelled whole; the 59 most frequent classes and background.

::

    root/VOCdevkit/VOC2010/JPEGImages/ID.jpg     or VOC2010 in root, or root itself
    root/VOCdevkit/VOC2010/ImageSets/Main/train.txt  val.txt
    root/pascal-context/trainval/ID.mat          variable LabelMap, numbers of labels.txt; or in root, or in VOC2010
    root/pascal-context/labels.txt               lines "397: table"
    root/pascal-context/train.txt  val.txt       optional, in place of VOC2010's

The classes stand in the order of the official ``59_labels.txt``. As in the reference (``pascalcontext_layers.py``), three of them
are called otherwise in ``labels.txt``, and all that is none of the 59 is background, a class that is learned and scored.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import read_image_as_stored
from fullconv.data.matlab import read_label_map
from fullconv.data.sample import RGB, SEMANTIC, Sample
from fullconv.data.sets.complete import check_files
from fullconv.data.text import read_text
from fullconv.errors import DataError
from fullconv.labels import VOC, LabelSet, voc_colors
from fullconv.spec import DataSpec

CONTEXT = LabelSet(
    names=(
        *VOC.names,
        *("bag", "bed", "bench", "book", "building", "cabinet", "ceiling", "clothes", "computer", "cup", "door", "fence"),
        *("floor", "flower", "food", "grass", "ground", "keyboard", "light", "mountain", "mouse", "curtain", "platform"),
        *("sign", "plate", "road", "rock", "shelves", "sidewalk", "sky", "snow", "bedcloth", "track", "tree", "truck", "wall"),
        *("water", "window", "wood"),
    ),
    colors=voc_colors(60),
)
"""Background and the 59 classes, VOC's 20 first; there is no void, so 255 never occurs."""
NAMED_OTHERWISE = {"diningtable": "table", "clothes": "cloth", "bedcloth": "bedclothes"}
"""What ``labels.txt`` calls three of the classes."""
SPLITS = {"train": 4998, "val": 5105}
"""Splits and how many images each has."""


class PASCALContext:
    """PASCAL-Context: stream ``rgb``, head ``semantic`` with 60 classes, all pixels labelled; sizes differ.

    Parameters
    ----------
    voc
        The folder of VOC2010, with ``JPEGImages``.
    annotation
        The folder with ``trainval`` and ``labels.txt``.
    split
        train or val.

    Raises
    ------
    DataError
        For a split that there is not or is not whole, when ``labels.txt`` lacks a class or files are missing; on access when a
        file is damaged, of another MATLAB version or has another size than its image.
    """

    def __init__(self, voc: Path, annotation: Path, split: str) -> None:
        if split not in SPLITS:
            raise DataError(f"no split {split!r} of PASCAL-Context; there are {', '.join(SPLITS)}")
        self.name = f"pascal-context {split}"
        self.labels = {SEMANTIC: CONTEXT}
        self.voc, self.annotation = voc, annotation
        self.ids = _listed(voc, annotation, split)
        self._classes = _classes(annotation / "labels.txt")
        check_files(self.name, voc, ["JPEGImages/ID.jpg"], self.ids)
        check_files(self.name, annotation, ["trainval/ID.mat"], self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[index]
        image = read_image_as_stored(self.voc / "JPEGImages" / f"{name}.jpg")
        stored = read_label_map(self.annotation / "trainval" / f"{name}.mat", "LabelMap", 0, len(self._classes) - 1)
        return Sample.from_arrays(name, {RGB: image}, {SEMANTIC: self._classes[stored]})


def _listed(voc: Path, annotation: Path, split: str) -> list[str]:
    places = (annotation / f"{split}.txt", voc / "ImageSets" / "Main" / f"{split}.txt")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise DataError(f"no list of PASCAL-Context's {split}: looked for {places[0]} and {places[1]}, which VOC2010 has")
    ids = list(dict.fromkeys(read_text(path).split()))
    if len(ids) != SPLITS[split]:
        raise DataError(
            f"{path}: lists {len(ids)} images, and {split} of PASCAL-Context has {SPLITS[split]}; take VOC2010's "
            f"ImageSets/Main/{split}.txt (VOC2012's are others), and data.count or data.val_count for a part"
        )
    return ids


def _classes(path: Path) -> NDArray[np.uint8]:
    """Return the class of every number that a uint16 LabelMap can hold: a table (65536,), 0 for what is none of the 59."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; PASCAL-Context's list of names (lines such as 397: table) belongs there")
    lines = re.findall(r"^\s*(\d{1,9})\s*:\s*(.+?)\s*$", read_text(path), flags=re.MULTILINE)
    numbers = {name.replace(" ", ""): int(number) for number, name in lines}
    stored = [NAMED_OTHERWISE.get(name, name) for name in CONTEXT.names[1:]]
    missing = [name for name in stored if not 0 < numbers.get(name, 0) < 2**16]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of the {len(stored)} classes have no line such as 397: table in it: "
            f"{', '.join(missing[:5])}{', …' * (len(missing) > 5)}; take the labels.txt with the 459 names"
        )
    twice = [name for name in stored if list(numbers.values()).count(numbers[name]) > 1]
    if twice:
        raise DataError(
            f"{path}: {', '.join(twice[:5])}{', …' * (len(twice) > 5)} share a number with another name; copy it again"
        )
    table = np.zeros(2**16, np.uint8)
    table[[numbers[name] for name in stored]] = np.arange(1, len(CONTEXT))
    return table


def open_pascal_context(spec: DataSpec, split: str) -> PASCALContext:
    """Return ``split`` (train or val) of the PASCAL-Context under ``spec.root``.

    Raises
    ------
    DataError
        When the folder lacks VOC2010 or the labels, or files are missing.
    """
    root = spec.root
    if root is None or not Path(root).is_dir():
        raise DataError(f"pascal-context needs its folder (train: --data.root DIR, evaluate: --root DIR); got {root}")
    images = (root / "VOCdevkit" / "VOC2010", root / "VOC2010", root)
    voc = next((path for path in images if (path / "JPEGImages").is_dir()), None)
    if voc is None:
        raise DataError(
            f"no VOC2010 in {root}: looked for JPEGImages in VOCdevkit/VOC2010, VOC2010 and the folder itself; unpack "
            "VOCtrainval_03-May-2010.tar (http://host.robots.ox.ac.uk/pascal/VOC/voc2010) there"
        )
    annotations = (root / "pascal-context", root, voc)
    annotation = next((path for path in annotations if (path / "trainval").is_dir()), None)
    if annotation is None:
        raise DataError(
            f"no PASCAL-Context in {root}: looked for trainval in pascal-context, the folder itself and {voc.name}; unpack "
            "trainval.tar.gz (https://cs.stanford.edu/~roozbeh/pascal-context) there"
        )
    return PASCALContext(voc, annotation, split)
