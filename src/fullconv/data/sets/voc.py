"""PASCAL VOC segmentation (Everingham et al. 2010) from a VOCdevkit folder, and the paper's seg11valid split."""

import difflib
import os
import re
import tarfile
from importlib import resources
from pathlib import Path

import torchvision

from fullconv.data.images import read_image_as_stored
from fullconv.data.masks import read_mask
from fullconv.data.pairs import Pair
from fullconv.data.sample import RGB, SEMANTIC, Sample
from fullconv.data.text import read_text
from fullconv.errors import DataError
from fullconv.labelmap import LabelMap
from fullconv.labels import VOC
from fullconv.spec import DataSpec

PACKAGED_SPLITS = ("seg11valid",)
_LISTS = Path("ImageSets") / "Segmentation"


class VOCSegmentation:
    """VOC's segmentation pairs: stream ``rgb``, head ``semantic`` with 21 classes, 255 = void; sizes differ.

    Parameters
    ----------
    root
        The VOCdevkit folder (with ``VOC2012/`` inside), the folder around it, or ``VOC2012`` itself.
    year
        ``"2011"`` or ``"2012"`` (any year whose folder has segmentation lists works).
    split
        A list in ``ImageSets/Segmentation``, such as ``train``, ``val``, ``trainval``; or ``seg11valid``, the 736
        images of VOC2011 val that SBD's training set lacks, on which the reference measures: the copy's own list if it
        has one, else the list that comes with fullconv.
    download
        Fetch the year with torchvision when ``root`` does not hold it (2 GB).

    Raises
    ------
    DataError
        When the folder, the split or any of its files is missing; on access when a file is damaged.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None, year: str = "2012", split: str = "train", *, download: bool = False
    ) -> None:
        self.name = f"voc{year} {split}"
        self.labels = {SEMANTIC: VOC}
        self.folder = _folder(root, year, download)
        self.ids = _ids(self.folder, split)
        self._check_files()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[index]
        image = read_image_as_stored(self._image(name))
        mask = read_mask(self._mask(name), VOC)
        if image.shape[:2] != mask.shape:
            raise DataError(f"{self._mask(name)}: the mask is {mask.shape} but its image is {image.shape[:2]} (H, W)")
        return Sample.from_arrays(name, {RGB: image}, {SEMANTIC: mask})

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The files of every sample."""
        return tuple(Pair(name, self._image(name), self._mask(name)) for name in self.ids)

    @property
    def label_map(self) -> LabelMap:
        """What the masks' numbers mean: themselves."""
        return LabelMap.identity(VOC)

    def _image(self, name: str) -> Path:
        return self.folder / "JPEGImages" / f"{name}.jpg"

    def _mask(self, name: str) -> Path:
        return self.folder / "SegmentationClass" / f"{name}.png"

    def _check_files(self) -> None:
        # one listing a folder: asking for each of some thousand files is slow on network disks
        present = {entry for path in (self._image(""), self._mask("")) for entry in _entries(path.parent)}
        missing = [name for name in self.ids if not {self._image(name), self._mask(name)} <= present]
        if missing:
            raise DataError(
                f"{self.name}: {len(missing)} of {len(self.ids)} ids have no image or no mask under {self.folder} "
                f"(JPEGImages/ID.jpg, SegmentationClass/ID.png): {', '.join(missing[:5])}{', …' * (len(missing) > 5)}; "
                "complete the copy, or shorten the split's list in ImageSets/Segmentation"
            )


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _folder(root: str | os.PathLike[str] | None, year: str, download: bool) -> Path:
    if root is None:
        raise DataError(
            f"voc{year} needs its folder (train: --data.root DIR, evaluate: --root DIR), a VOCdevkit that holds VOC{year}; "
            "with --data.download true it is fetched there by torchvision (2 GB)"
        )
    found = _find(Path(root), year)
    if found is None and download:
        _download(Path(root), year)
        found = _find(Path(root), year)
    if found is None:
        others = sorted(path.parents[1].name for path in Path(root).glob(f"VOC20*/{_LISTS}"))
        hint = f" It holds {', '.join(others)}: choose that year, or" if others else " Pass the VOCdevkit folder, or"
        raise DataError(
            f"no VOC{year} at {root}: looked for VOC{year}/{_LISTS}, VOCdevkit/VOC{year}/{_LISTS} and {_LISTS} in it."
            f"{hint} --data.download true to fetch it"
        )
    return found


def _find(root: Path, year: str) -> Path | None:
    own = root.resolve().name
    another_year = own != f"VOC{year}" and re.fullmatch(r"VOC20\d\d", own) is not None
    inside = [root / f"VOC{year}", root / "VOCdevkit" / f"VOC{year}", root / "TrainVal" / "VOCdevkit" / f"VOC{year}"]
    candidates = inside if another_year else [*inside, root]
    return next((path for path in candidates if (path / _LISTS).is_dir()), None)


def _download(root: Path, year: str) -> None:
    try:
        torchvision.datasets.VOCSegmentation(str(root), year=year, image_set="train", download=True)
    except (OSError, RuntimeError, ValueError, tarfile.TarError) as error:
        raise DataError(f"torchvision could not fetch VOC{year} to {root}: {error}; check network and disk") from error


def _ids(folder: Path, split: str) -> list[str]:
    path = folder / _LISTS / f"{split}.txt"
    splits = sorted({entry.stem for entry in path.parent.glob("*.txt")} | set(PACKAGED_SPLITS))
    if split not in splits:
        near = difflib.get_close_matches(split, splits, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise DataError(f"no split {split!r} in {path.parent}: {hint}There are {', '.join(splits)}")
    own = path.is_file()
    text = read_text(path) if own else (resources.files("fullconv.data.sets") / "lists" / f"voc-{split}.txt").read_text()
    ids = text.split()
    if not ids:
        raise DataError(f"{path} is empty; it must list one image id a line")
    return ids


def open_voc2011(spec: DataSpec, split: str) -> VOCSegmentation:
    """Return ``split`` of VOC2011 under ``spec.root``."""
    return VOCSegmentation(spec.root, "2011", split, download=spec.download)


def open_voc2012(spec: DataSpec, split: str) -> VOCSegmentation:
    """Return ``split`` of VOC2012 under ``spec.root``."""
    return VOCSegmentation(spec.root, "2012", split, download=spec.download)
