"""What the values in the masks of published data sets mean, as a recipe's ``labels`` say it (:mod:`fullconv.labelmap`).

The data sets by name take them, and ``fullconv init`` where it meets their layout.
"""

from collections.abc import Mapping

CITYSCAPES = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
"""Id and colour of the 19 classes that Cityscapes is measured on, in the order of their train ids, after its ``labels.py``."""
CITYSCAPES_IDS: Mapping[str, object] = {name: number for name, (number, _) in CITYSCAPES.items()} | {
    "void": {"ignore": "0-6, 9-10, 14-16, 18, 29-30, 255", "among_classes": True}
}
"""Of ``*_labelIds.png``: 15 of the 34 ids are not measured."""
CITYSCAPES_TRAIN_IDS: Mapping[str, object] = {name: number for number, name in enumerate(CITYSCAPES)} | {"void": "ignore"}
"""Of ``*_labelTrainIds.png``."""

LOVEDA = {
    "background": (1, (255, 255, 255)),
    "building": (2, (255, 0, 0)),
    "road": (3, (255, 255, 0)),
    "water": (4, (0, 0, 255)),
    "barren": (5, (159, 129, 183)),
    "forest": (6, (0, 255, 0)),
    "agriculture": (7, (255, 195, 128)),
}
"""Value and colour of the classes of LoveDA, after its repository."""
LOVEDA_VALUES: Mapping[str, object] = {name: value for name, (value, _) in LOVEDA.items()} | {"no data": {"ignore": 0}}

PET_VALUES: Mapping[str, object] = {"pet": 1, "background": 2, "border": {"ignore": 3}}
"""Of the trimaps of Oxford-IIIT Pet; the border, which belongs to neither for sure, is ignored."""
