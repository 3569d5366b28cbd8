"""COCO-Stuff (Caesar et al. 2018), all 164 000 images: 80 things and 91 stuffs; 255 is unlabelled.

::

    root/images/{train2017,val2017}/NUMBER.jpg            118 287 and 5000 images, or without images/
    root/annotations/{train2017,val2017}/NUMBER.png       of stuffthingmaps_trainval2017.zip, or in stuffthingmaps/

The masks store a label of ``labels.txt`` less one, 0 to 181; 11 of those 182 labels have no pixel in COCO and are no classes
here, which leaves 171. Should one occur all the same, that is an error. There are no official colours; VOC's palette is taken.
"""

from fullconv.data.sets.files import packaged_rows
from fullconv.data.sets.folders import PublishedFolder
from fullconv.labelmap import LabelMap
from fullconv.labels import LabelSet, voc_colors
from fullconv.spec import FolderSpec

_ROWS = packaged_rows("coco-stuff-classes")
COCO_STUFF = LabelSet(tuple(name for _, name in _ROWS), voc_colors(len(_ROWS) + 1)[1:])
_MEANING = LabelMap(COCO_STUFF, {255: COCO_STUFF.ignore_index} | {int(value): label for label, (value, _) in enumerate(_ROWS)})


def _layout(images: str, masks: str) -> FolderSpec:
    return FolderSpec(
        images=f"{images}{{split}}2017", masks=f"{masks}/{{split}}2017", image_pattern="{stem}.jpg", pattern="{stem}.png"
    )


COCO_STUFF_FOLDER = PublishedFolder(
    "coco-stuff",
    [(_layout(images, masks), _MEANING) for images in ("images/", "") for masks in ("annotations", "stuffthingmaps")],
    {"train": "train", "val": "val"},
    ("dataset", "coco", "coco_stuff164k"),
    {"test": "it is not published; measure on val"},
)
