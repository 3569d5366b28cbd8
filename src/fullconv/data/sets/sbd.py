"""SBD (Hariharan et al. 2011): VOC2011's images with masks by other hands, on 8498 of which the paper trains; VOC measures.

::

    root/SBD/{img,cls}/ID.{jpg,mat}  train.txt  val.txt           or root/benchmark_RELEASE/dataset/..., as its archive unpacks
    root/VOCdevkit/VOC2011 or VOC2012 ...                         see fullconv.data.sets.voc
"""

import tarfile
from pathlib import Path

import torchvision

from fullconv.data.images import read_image_as_stored
from fullconv.data.matlab import read_mat
from fullconv.data.sample import RGB, SEMANTIC, Dataset, Sample
from fullconv.data.sets.complete import check_files
from fullconv.data.sets.voc import VOCSegmentation
from fullconv.data.text import read_text
from fullconv.errors import DataError
from fullconv.labels import VOC
from fullconv.spec import DataSpec

LISTS = {"train": ("train",), "trainaug": ("train", "val")}
"""SBD's own lists that make up each training split; ``trainaug`` has VOC's train too."""


class SBDSegmentation:
    """Training images of SBD, and for ``trainaug`` of VOC, without those that are measured: stream ``rgb``, head ``semantic``.

    Where both have a mask VOC's is taken: it has void borders, SBD's has none.

    Parameters
    ----------
    folder
        SBD's, with ``img`` and ``cls``.
    split
        ``train``: SBD's train, 8498 images. ``trainaug``: all of SBD and VOC's train (10 582 with VOC2012's val measured).
    voc
        VOC's own training images, all of which ``trainaug`` takes; ``None`` for ``train``.
    measured
        Ids that must not be trained on.

    Raises
    ------
    DataError
        When lists or files are missing; on access when a file is damaged.
    """

    def __init__(self, folder: Path, split: str, voc: VOCSegmentation | None, measured: frozenset[str]) -> None:
        self.name = f"sbd {split}"
        self.labels = {SEMANTIC: VOC}
        self.folder = folder
        self._voc = {name: (voc, index) for index, name in enumerate(voc.ids)} if voc else {}
        listed = {name for part in LISTS[split] for name in _listed(folder / f"{part}.txt")}
        self.ids = sorted((listed | self._voc.keys()) - measured)
        check_files(self.name, folder, ["img/ID.jpg", "cls/ID.mat"], [name for name in self.ids if name not in self._voc])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[index]
        if name in self._voc:
            voc, position = self._voc[name]
            return voc[position]
        path = self.folder / "cls" / f"{name}.mat"
        mask = read_mat(path, "GTcls", "Segmentation")
        VOC.check(mask, str(path))
        return Sample.from_arrays(name, {RGB: read_image_as_stored(self.folder / "img" / f"{name}.jpg")}, {SEMANTIC: mask})


def _listed(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; SBD's list of image ids belongs there")
    return read_text(path).split()


def _open(spec: DataSpec, split: str, year: str) -> Dataset:
    if split not in LISTS:
        return VOCSegmentation(spec.root, year, split, download=spec.download)
    if spec.val in LISTS:
        raise DataError(f"sbd has no split {spec.val!r} to measure on; take one of VOC{year}'s, such as seg11valid or val")
    measured = VOCSegmentation(spec.root, year, spec.val, download=spec.download)
    own = VOCSegmentation(spec.root, year, "train") if split == "trainaug" else None
    return SBDSegmentation(_folder(Path(str(spec.root)), spec.download), split, own, frozenset(measured.ids))


def _folder(root: Path, download: bool) -> Path:
    places = (root / "SBD", root / "sbd", root / "benchmark_RELEASE" / "dataset", root)
    found = next((path for path in places if (path / "cls").is_dir() and (path / "img").is_dir()), None)
    if found is None and download:
        try:
            torchvision.datasets.SBDataset(str(root / "SBD"), image_set="train", mode="segmentation", download=True)
        except (OSError, RuntimeError, ValueError, tarfile.TarError) as error:
            raise DataError(f"torchvision could not fetch SBD to {root / 'SBD'}: {error}; check network and disk") from error
        found = root / "SBD"
    if found is None:
        raise DataError(
            f"no SBD at {root}: looked for img/ and cls/ in SBD, benchmark_RELEASE/dataset and the folder itself; put it there, "
            "or fetch it with --data.download true (1.4 GB)"
        )
    return found


def open_sbd_voc2011(spec: DataSpec, split: str) -> Dataset:
    """Return SBD's train or trainaug without the images of ``spec.val``, or a split of VOC2011, under ``spec.root``."""
    return _open(spec, split, "2011")


def open_sbd_voc2012(spec: DataSpec, split: str) -> Dataset:
    """Return SBD's train or trainaug without the images of ``spec.val``, or a split of VOC2012, under ``spec.root``."""
    return _open(spec, split, "2012")
