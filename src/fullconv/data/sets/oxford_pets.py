"""Oxford-IIIT Pet (Parkhi et al. 2012): cats and dogs; the pet against the background.

::

    root/images/NAME.jpg
    root/annotations/trimaps/NAME.png        1 pet, 2 background, 3 border
    root/annotations/trainval.txt  test.txt  3680 and 3669 names, with the breed's numbers behind them

The border, where the annotation does not say what is pet, is ignored: neither learned nor measured. The breeds are not read.
"""

from fullconv.data.published import PET_VALUES
from fullconv.data.sets.folders import PublishedFolder
from fullconv.labelmap import parse_label_map
from fullconv.spec import FolderSpec

_LAYOUT = FolderSpec(images="images", masks="annotations/trimaps", lists="annotations/{split}.txt", pattern="{stem}.png")
PETS_FOLDER = PublishedFolder(
    "oxford-pets",
    [(_LAYOUT, parse_label_map(PET_VALUES))],
    {"trainval": "trainval", "test": "test"},
    ("oxford-iiit-pet", "oxford-pets"),
    {},
)
