"""SIFT Flow (Liu, Yuen, Torralba 2009): outdoor photographs, 256x256, each with two truths (Tighe and Lazebnik 2010).

::

    root/Images/FOLDER/NAME.jpg              FOLDER is spatial_envelope_256x256_static_8outdoorcategories
    root/SemanticLabels/FOLDER/NAME.mat      variable S: 0 void, 1 to 33 classes
    root/GeoLabels/FOLDER/NAME.mat           variable S: -1 void, 1 to 3 classes

The official split has 2488 photographs for training and 200 to measure on. As the reference (``siftflow_layers.py`` and its
lists) we leave out the two of training that have no annotation, highway_bost181 and street_urb506: ``trainval`` has 2486.
"""

from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import read_image_as_stored
from fullconv.data.matlab import read_label_map
from fullconv.data.sample import RGB, SEMANTIC, Sample
from fullconv.data.sets.complete import check_files
from fullconv.errors import DataError
from fullconv.labels import LabelSet, voc_colors
from fullconv.spec import DataSpec

SPLITS = ("trainval", "test")
FOLDER = "spatial_envelope_256x256_static_8outdoorcategories"
PLACES = ("", "SiftFlowDataset", "SiftFlow", "sift-flow")
"""Folders below the root in which a copy is looked for."""


@dataclass(frozen=True)
class Truth:
    """One of the two labelings: where it lies, its classes (stored from 1 on), and the lowest stored value, which is void."""

    folder: str
    labels: LabelSet
    lowest: int

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return the mask (H, W), classes from 0 on, 255 void; 0 is void in both labelings, as in the reference."""
        stored = read_label_map(path, "S", self.lowest, len(self.labels))
        return np.where(stored <= 0, self.labels.ignore_index, stored - 1).astype(np.uint8)


HEADS = {
    SEMANTIC: Truth(
        "SemanticLabels",
        LabelSet(
            names=(
                *("awning", "balcony", "bird", "boat", "bridge", "building", "bus", "car", "cow", "crosswalk", "desert", "door"),
                *("fence", "field", "grass", "moon", "mountain", "person", "plant", "pole", "river", "road", "rock", "sand"),
                *("sea", "sidewalk", "sign", "sky", "staircase", "streetlight", "sun", "tree", "window"),
            ),
            colors=voc_colors(34)[1:],
        ),
        0,
    ),
    "geometric": Truth(
        "GeoLabels", LabelSet(("sky", "horizontal", "vertical"), ((120, 180, 230), (90, 160, 90), (200, 120, 80))), -1
    ),
}
"""The truths by head: 33 semantic and 3 geometric classes."""


class SIFTFlow:
    """SIFT Flow: stream ``rgb``, heads ``semantic`` (33 classes) and ``geometric`` (sky, horizontal, vertical), 255 = void.

    Cow, desert and moon have no pixel in ``test``. The means over classes leave them out by the metrics' policy ``skip``; the
    reference's ``score.py`` counts them as 0 as soon as one pixel is called so.

    Parameters
    ----------
    folder
        The copy's, with ``Images``.
    split
        trainval or test.
    heads
        Which of the truths are read; the files of others need not be there.

    Raises
    ------
    DataError
        For a split that there is not, and when files are missing; on access when a file is damaged, of another MATLAB
        version, holds other labels or has another size than its image.
    """

    def __init__(self, folder: Path, split: str, heads: Collection[str] = tuple(HEADS)) -> None:
        if split not in SPLITS:
            raise DataError(f"no split {split!r} of SIFT Flow; there are {', '.join(SPLITS)}")
        self.name = f"siftflow {split}"
        self.labels = {head: truth.labels for head, truth in HEADS.items()}
        self.folder = folder
        self.heads = tuple(head for head in HEADS if head in heads)
        self.ids = (resources.files("fullconv.data.sets") / "lists" / f"siftflow-{split}.txt").read_text(encoding="utf-8").split()
        masks = [f"{HEADS[head].folder}/{FOLDER}/ID.mat" for head in self.heads]
        check_files(self.name, folder, [f"Images/{FOLDER}/ID.jpg", *masks], self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[index]
        image = read_image_as_stored(self.folder / "Images" / FOLDER / f"{name}.jpg")
        masks = {head: HEADS[head].read(self.folder / HEADS[head].folder / FOLDER / f"{name}.mat") for head in self.heads}
        return Sample.from_arrays(name, {RGB: image}, masks)


def open_siftflow(spec: DataSpec, split: str) -> SIFTFlow:
    """Return ``split`` (trainval or test) of the SIFT Flow under ``spec.root``.

    Raises
    ------
    DataError
        When the folder holds none, or files are missing.
    """
    if spec.root is None or not Path(spec.root).is_dir():
        raise DataError(f"siftflow needs its folder (train: --data.root DIR, evaluate: --root DIR); got {spec.root}")
    folder = next((path for path in (spec.root / place for place in PLACES) if (path / "Images" / FOLDER).is_dir()), None)
    if folder is None:
        raise DataError(
            f"no SIFT Flow in {spec.root}: looked for Images/{FOLDER} in it and in {', '.join(PLACES[1:])}; unpack "
            "SiftFlowDataset.zip (http://www.cs.unc.edu/~jtighe/Papers/ECCV10) there"
        )
    return SIFTFlow(folder, split, spec.heads)
