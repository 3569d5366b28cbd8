"""LoveDA (Wang et al. 2021): land cover of three Chinese cities at 0.3 m, 1024x1024, 7 classes; 0 is no data.

::

    root/{Train,Val}/{Rural,Urban}/images_png/NUMBER.png       2522 and 1669 images
    root/{Train,Val}/{Rural,Urban}/masks_png/NUMBER.png

The truth of Test is not published.
"""

from fullconv.data.published import LOVEDA, LOVEDA_VALUES
from fullconv.data.sets.folders import PublishedFolder
from fullconv.labelmap import LabelMap, parse_label_map
from fullconv.labels import LabelSet
from fullconv.spec import FolderSpec

_LAYOUT = FolderSpec(
    images="{split}", masks="{split}", image_pattern="{parent}/images_png/{stem}.png", pattern="{parent}/masks_png/{stem}.png"
)
_LABELS = LabelSet(tuple(LOVEDA), tuple(color for _, color in LOVEDA.values()))
LOVEDA_FOLDER = PublishedFolder(
    "loveda",
    [(_LAYOUT, LabelMap(_LABELS, parse_label_map(LOVEDA_VALUES).meaning))],
    {"train": "Train", "val": "Val"},
    ("LoveDA", "loveda"),
    {"test": "it is not published; measure on val, or send predictions to the benchmark that its page names"},
)
