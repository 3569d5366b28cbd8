"""CamVid (Brostow et al. 2009) as it comes with SegNet: 11 classes and void, 360x480, in folders or by its text lists.

::

    root/train  trainannot  val  valannot  test  testannot        701 pairs: 367, 101, 233
    root/train.txt  val.txt  test.txt                             optional: lines "IMAGE MASK", of which file names are taken
"""

from fullconv.data.folder.folder import FolderSegmentation
from fullconv.data.folder.pairing import find_pairs
from fullconv.data.sets.files import folder_of
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap
from fullconv.labels import LabelSet
from fullconv.spec import DataSpec, FolderSpec

CAMVID = LabelSet(
    names=(
        *("sky", "building", "pole", "road", "pavement", "tree"),
        *("sign", "fence", "car", "pedestrian", "bicyclist"),
    ),
    colors=(
        *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
        *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
    ),
)
"""The 11 classes of SegNet's version with CamVid's colours; 11 in its masks is void."""
VOID = 11
LAYOUT = FolderSpec(images="{split}", masks="{split}annot")


def open_camvid(spec: DataSpec, split: str) -> FolderSegmentation:
    """Return ``split`` (train, val or test) of SegNet's CamVid under ``spec.root``.

    Raises
    ------
    DataError
        When the folder or the split are missing, or images have no masks.
    """
    given = folder_of("camvid", spec.root)
    root = next((path for path in (given, given / "CamVid") if (path / "train").is_dir()), given)
    if not (root / f"{split}annot").is_dir():
        there = sorted(path.name.removesuffix("annot") for path in root.glob("*annot"))
        raise DataError(
            f"no split {split!r} of CamVid in {root}: looked for {split}/ and {split}annot/, the layout of SegNet's copy; "
            f"there are {', '.join(there) or 'none'}"
        )
    meaning = {value: value for value in range(len(CAMVID))} | {VOID: CAMVID.ignore_index}
    return FolderSegmentation(f"camvid {split}", find_pairs(root, LAYOUT, split), LabelMap(CAMVID, meaning))
