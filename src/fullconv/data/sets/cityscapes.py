"""Cityscapes (Cordts et al. 2016): streets of 50 cities, 1024x2048, measured on 19 of 34 classes.

::

    root/leftImg8bit/{train,val}/CITY/NAME_leftImg8bit.png      2975 and 500 images
    root/gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png       or _labelTrainIds.png, as its scripts write it

The 15 ids that are not measured are ignored, as in its ``labels.py``. The truth of test is not published.
"""

from fullconv.data.published import CITYSCAPES, CITYSCAPES_IDS, CITYSCAPES_TRAIN_IDS
from fullconv.data.sets.folders import PublishedFolder
from fullconv.labelmap import LabelMap, parse_label_map
from fullconv.labels import LabelSet
from fullconv.spec import FolderSpec

LABELS = LabelSet(tuple(CITYSCAPES), tuple(color for _, color in CITYSCAPES.values()))


def _layout(kind: str) -> FolderSpec:
    return FolderSpec(
        images="leftImg8bit/{split}",
        masks="gtFine/{split}",
        image_pattern="{stem}_leftImg8bit.png",
        pattern=f"{{stem}}_gtFine_{kind}.png",
    )


CITYSCAPES_FOLDER = PublishedFolder(
    "cityscapes",
    [
        (_layout("labelIds"), LabelMap(LABELS, parse_label_map(CITYSCAPES_IDS).meaning)),
        (_layout("labelTrainIds"), LabelMap(LABELS, parse_label_map(CITYSCAPES_TRAIN_IDS).meaning)),
    ],
    {"train": "train", "val": "val"},
    ("cityscapes", "Cityscapes"),
    {"test": "its masks are all void; measure on val, or send predictions to www.cityscapes-dataset.com"},
)
