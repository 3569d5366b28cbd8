"""Layouts of well-known data sets and tools, in which names alone do not say which file is the ground truth.

::

    Cityscapes          leftImg8bit/train/aachen/*_leftImg8bit.png   gtFine/train/aachen/*_gtFine_labelIds.png (or labelTrainIds)
    Oxford-IIIT Pet     images/*.jpg        annotations/trimaps/*.png  annotations/trainval.txt  test.txt
    DRIVE               training/images/21_training.tif  training/1st_manual/21_manual1.gif  (mask/ is the field of view)
    LoveDA              Train/Rural/images_png/0.png     Train/Rural/masks_png/0.png
    Supervisely         ds0/img/*.jpg       ds0/masks_machine/*.png
    labelme2voc, CVAT, VOC   JPEGImages     SegmentationClassPNG or SegmentationClass   ImageSets/Segmentation/train.txt
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fullconv.data.published import CITYSCAPES_IDS, CITYSCAPES_TRAIN_IDS, LOVEDA_VALUES, PET_VALUES
from fullconv.spec import FolderSpec


@dataclass(frozen=True)
class Known:
    """A layout that is known by its folders.

    Attributes
    ----------
    title
        What ``fullconv init`` calls it.
    folder
        Where its files are, ``{split}`` for the split.
    labels
        What its values mean, where that is published.
    name
        Of the data set that :data:`fullconv.data.DATASETS` has for it.
    """

    title: str
    folder: FolderSpec
    labels: Mapping[str, object] | None = None
    name: str | None = None


def _city(kind: str, truth: str = "gtFine") -> FolderSpec:
    return FolderSpec(
        images="leftImg8bit/{split}",
        masks=f"{truth}/{{split}}",
        image_pattern="{stem}_leftImg8bit",
        pattern=f"{{stem}}_{truth}_{kind}",
    )


def _beside(images: str, masks: str, split: bool) -> FolderSpec:
    base = "{split}" if split else "."
    return FolderSpec(images=base, masks=base, image_pattern=f"{{parent}}/{images}", pattern=f"{{parent}}/{masks}")


def _voc(masks: str, lists: bool) -> FolderSpec:
    where = "ImageSets/Segmentation/{split}.txt" if lists else None
    return FolderSpec(images="JPEGImages", masks=masks, lists=where)


KNOWN: tuple[Known, ...] = (
    Known("Cityscapes, train ids", _city("labelTrainIds"), CITYSCAPES_TRAIN_IDS, "cityscapes"),
    Known("Cityscapes, label ids", _city("labelIds"), CITYSCAPES_IDS, "cityscapes"),
    Known("Cityscapes, coarse train ids", _city("labelTrainIds", "gtCoarse"), CITYSCAPES_TRAIN_IDS),
    Known("Cityscapes, coarse label ids", _city("labelIds", "gtCoarse"), CITYSCAPES_IDS),
    Known(
        "Oxford-IIIT Pet",
        FolderSpec(images="images", masks="annotations/trimaps", lists="annotations/{split}.txt"),
        PET_VALUES,
        "oxford-pets",
    ),
    Known("Oxford-IIIT Pet without its lists", FolderSpec(images="images", masks="annotations/trimaps"), PET_VALUES),
    Known(
        "DRIVE",
        FolderSpec(images="{split}/images", masks="{split}/1st_manual", image_pattern="{stem}_{split}", pattern="{stem}_manual1"),
    ),
    Known("LoveDA", _beside("images_png/{stem}", "masks_png/{stem}", True), LOVEDA_VALUES, "loveda"),
    Known("Supervisely", _beside("img/{stem}", "masks_machine/{stem}", False)),
    Known("Supervisely", _beside("img/{stem}", "masks_machine/{name}.png", False)),
    *(
        Known(title, _voc(masks, lists))
        for lists in (True, False)
        for title, masks in (("labelme2voc", "SegmentationClassPNG"), ("VOC", "SegmentationClass"))
    ),
)
