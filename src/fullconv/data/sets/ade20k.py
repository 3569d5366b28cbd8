"""ADE20K (Zhou et al. 2017) as its release for scene parsing: 150 classes, indoors and outdoors; 0 is void.

::

    root/images/{training,validation}/ADE_*.jpg        20 210 and 2000 images
    root/annotations/{training,validation}/ADE_*.png   0 void, 1 to 150 classes

The names are the first of each line of its ``objectInfo150.txt``. What is none of the 150 (0) is ignored, as its benchmark does.
"""

from fullconv.data.sets.files import packaged_rows
from fullconv.data.sets.folders import PublishedFolder
from fullconv.labelmap import LabelMap
from fullconv.labels import LabelSet
from fullconv.spec import FolderSpec

_ROWS = packaged_rows("ade20k-classes")
ADE20K = LabelSet(tuple(row[0] for row in _ROWS), tuple((int(red), int(green), int(blue)) for _, red, green, blue in _ROWS))
ADE20K_FOLDER = PublishedFolder(
    "ade20k",
    [
        (
            FolderSpec(images="images/{split}", masks="annotations/{split}", image_pattern="{stem}.jpg", pattern="{stem}.png"),
            LabelMap(ADE20K, {0: ADE20K.ignore_index} | {label + 1: label for label in range(len(ADE20K))}),
        )
    ],
    {"train": "training", "val": "validation"},
    ("ADEChallengeData2016", "ade20k"),
    {"test": "it is not published; measure on val"},
)
