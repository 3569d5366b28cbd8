"""The three forms in which people have NYUDv2: the official file, the reference implementation's folders, plain pictures."""

import os
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fullconv.data.images import decode, read_image_as_stored
from fullconv.data.masks import read_mask
from fullconv.data.matlab import open_hdf5, read_label_map, read_mat
from fullconv.errors import DataError
from fullconv.labels import LabelSet, voc_colors

NYUDV2 = LabelSet(
    names=(
        *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter"),
        *("blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books"),
        *("refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand"),
        *("toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop"),
    ),
    colors=voc_colors(41)[1:],
)
"""The 40 classes; unlabelled pixels are 255."""
FIRST = 5001
"""Number of the first frame."""


class Frames(Protocol):
    """One layout: frames by their number."""

    root: Path

    def ids(self, depth: bool = False) -> set[int]:
        """Return the numbers of the frames whose image and mask are there, and their depth if it is asked for."""

    def files(self, number: int, depth: bool = False) -> str:
        """Return where a frame is looked for, for a message."""

    def image(self, number: int) -> NDArray[np.uint8]:
        """Return uint8 (H, W, 3) RGB."""

    def depth(self, number: int) -> NDArray[np.float32]:
        """Return metres (H, W), 0 where there is none."""

    def mask(self, number: int) -> NDArray[np.uint8]:
        """Return labels (H, W) 0 to 39, 255 where there is none."""


class MatFile:
    """The official ``nyu_depth_v2_labeled.mat`` (MATLAB 7.3), its 894 names mapped to 40 classes by ``classMapping40.mat``.

    The mapping is part of Gupta's code; frames are read one by one, so the 2.8 GB are never in memory. A frame's pixels lie in
    one block of the file.
    """

    AXES: ClassVar = {"images": 4, "depths": 3, "labels": 3}
    """What is read, (frame, channel, column, row) or without channels as h5py gives it."""
    FILE: ClassVar = "nyu_depth_v2_labeled.mat"
    MAPPING: ClassVar = "classMapping40.mat"
    LOOKS: ClassVar = f"{FILE} with {MAPPING} (Gupta's mapping of its names) beside it"

    def __init__(self, root: Path) -> None:
        self.root = root
        self._file: Any = None
        self._opened_by = 0
        raw = read_mat(root / self.MAPPING, "mapClass").ravel()
        if raw.dtype.kind not in "iuf" or (raw != np.floor(raw)).any():
            raise DataError(f"{root / self.MAPPING}: mapClass must hold whole numbers; it is {raw.dtype}; copy it again")
        if raw.size and not 1 <= raw.min() <= raw.max() <= len(NYUDV2):
            raise DataError(f"{root / self.MAPPING}: mapClass must map to 1..{len(NYUDV2)}; it has {raw.min()}..{raw.max()}")
        # 0 is unlabelled in both numberings; ours count from 0
        self._to_40 = np.concatenate([[NYUDV2.ignore_index], raw.astype(np.int64) - 1]).astype(np.uint8)
        try:
            stored = {name: self._open()[name] for name in self.AXES}
        except (KeyError, OSError, RuntimeError) as error:  # h5py on damaged headers
            raise DataError(f"{root / self.FILE}: cannot be read ({error}); it is damaged, copy it again") from error
        shapes = {name: getattr(found, "shape", ()) for name, found in stored.items()}
        whole = {name: (*shapes["labels"][:1], *(3,) * (axes - 3), *shapes["labels"][1:]) for name, axes in self.AXES.items()}
        if shapes != whole or len(shapes["labels"]) != self.AXES["labels"]:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise DataError(
                f"{root / self.FILE}: must have images (N, 3, W, H), depths and labels (N, W, H); it has {found}; copy it again"
            )
        kinds = {name: stored[name].dtype for name in self.AXES}
        if kinds["images"] != np.uint8 or kinds["depths"].kind != "f" or kinds["labels"].kind != "u":
            found = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
            raise DataError(
                f"{root / self.FILE}: must have images uint8, depths float, labels unsigned; it has {found}; copy it again"
            )
        self._count = shapes["labels"][0]

    @classmethod
    def find(cls, root: Path) -> Self | None:
        """Return the layout when ``root`` holds it."""
        if not (root / cls.FILE).is_file():
            return None
        if not (root / cls.MAPPING).is_file():
            raise DataError(f"{root / cls.FILE} needs {cls.MAPPING} beside it, the mapping of its 894 names to 40 classes")
        return cls(root)

    def ids(self, depth: bool = False) -> set[int]:  # noqa: D102  # as in Frames, here and below
        return set(range(FIRST, FIRST + self._count))

    def files(self, number: int, depth: bool = False) -> str:  # noqa: D102
        return f"frame {number - FIRST} of {self.FILE}"

    def image(self, number: int) -> NDArray[np.uint8]:  # noqa: D102
        return self._read("images", number).transpose(2, 1, 0)

    def depth(self, number: int) -> NDArray[np.float32]:  # noqa: D102
        metres = self._read("depths", number).astype(np.float32).T
        return np.where(np.isfinite(metres) & (metres > 0), metres, np.float32(0))

    def mask(self, number: int) -> NDArray[np.uint8]:  # noqa: D102
        raw = self._read("labels", number).T
        if raw.max(initial=0) >= len(self._to_40):
            raise DataError(f"{self.root / self.MAPPING} maps {len(self._to_40) - 1} names; frame {number} has name {raw.max()}")
        return self._to_40[raw]

    def _read(self, variable: str, number: int) -> NDArray[Any]:
        try:
            return np.asarray(self._open()[variable][number - FIRST])
        except OSError as error:
            raise DataError(
                f"{self.root / self.FILE}: {variable} of frame {number} is damaged ({error}); copy it again"
            ) from error

    def _open(self) -> Any:
        # each process opens it anew: an open HDF5 file must not be shared with a fork, and cannot be pickled
        if self._opened_by != os.getpid():
            self._file, self._opened_by = open_hdf5(self.root / self.FILE, *self.AXES), os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_opened_by": 0}


class ReferenceFolder:
    """The reference's folders: ``data/images/img_N.png``, ``segmentation/img_N.mat``, ``data/depth/img_N.png`` (millimetres)."""

    LOOKS: ClassVar = "data/images/img_5001.png with segmentation/ and data/depth/ (the reference implementation's)"

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def find(cls, root: Path) -> Self | None:
        """Return the layout when ``root`` holds it."""
        return cls(root) if (root / "data" / "images").is_dir() and (root / "segmentation").is_dir() else None

    def ids(self, depth: bool = False) -> set[int]:  # noqa: D102
        images, masks = self.root / "data" / "images", self.root / "segmentation"
        found = _numbers(images, "img_", ".png") & _numbers(masks, "img_", ".mat")
        return found & _numbers(self.root / "data" / "depth", "img_", ".png") if depth else found

    def files(self, number: int, depth: bool = False) -> str:  # noqa: D102
        return f"data/images/img_{number}.png and segmentation/img_{number}.mat" + f" and data/depth/img_{number}.png" * depth

    def image(self, number: int) -> NDArray[np.uint8]:  # noqa: D102
        return read_image_as_stored(self.root / "data" / "images" / f"img_{number}.png")

    def depth(self, number: int) -> NDArray[np.float32]:  # noqa: D102
        return np.asarray(decode(self.root / "data" / "depth" / f"img_{number}.png"), np.float32) / np.float32(1000)

    def mask(self, number: int) -> NDArray[np.uint8]:  # noqa: D102
        path = self.root / "segmentation" / f"img_{number}.mat"
        raw = read_label_map(path, "segmentation", 0, len(NYUDV2))
        return np.where(raw == 0, NYUDV2.ignore_index, raw - 1).astype(np.uint8)


class PictureFolder:
    """Plain pictures ``images/N.jpg``, ``labels40/N.png``, ``depths/N.png``, N counted from 0 in the official order.

    Labels are 0 to 39 and 255. Depth of 8 bits has 10 m at 255 (what remains of it after that is steps of 4 cm), of 16 bits it
    is in millimetres.
    """

    LOOKS: ClassVar = "images/0.jpg with labels40/ and depths/ (plain pictures)"
    STEP: ClassVar = {"L": 10 / 255, "I;16": 0.001, "I": 0.001}
    """Metres of one step by the picture's mode."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def find(cls, root: Path) -> Self | None:
        """Return the layout when ``root`` holds it."""
        return cls(root) if (root / "images").is_dir() and (root / "labels40").is_dir() else None

    def ids(self, depth: bool = False) -> set[int]:  # noqa: D102
        found = _numbers(self.root / "images", "", ".jpg") & _numbers(self.root / "labels40", "", ".png")
        return {FIRST + n for n in (found & _numbers(self.root / "depths", "", ".png") if depth else found)}

    def files(self, number: int, depth: bool = False) -> str:  # noqa: D102
        name = number - FIRST
        return f"images/{name}.jpg and labels40/{name}.png" + f" and depths/{name}.png" * depth

    def image(self, number: int) -> NDArray[np.uint8]:  # noqa: D102
        return read_image_as_stored(self.root / "images" / f"{number - FIRST}.jpg")

    def depth(self, number: int) -> NDArray[np.float32]:  # noqa: D102
        path = self.root / "depths" / f"{number - FIRST}.png"
        picture = decode(path)
        if picture.mode not in self.STEP:
            raise DataError(f"{path}: depth must be 8-bit or 16-bit grey; this picture is {picture.mode}")
        return np.asarray(picture, np.float32) * np.float32(self.STEP[picture.mode])

    def mask(self, number: int) -> NDArray[np.uint8]:  # noqa: D102
        return read_mask(self.root / "labels40" / f"{number - FIRST}.png", NYUDV2)


def _numbers(folder: Path, prefix: str, suffix: str) -> set[int]:
    names = (path.stem for path in folder.iterdir() if path.suffix == suffix) if folder.is_dir() else ()
    numbers = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return {int(number) for number in numbers if number.isdecimal()}
