"""What a data set is, and how training draws from it."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fullconv.labelmap import parse_label_map
from fullconv.spec.augment import AugmentSpec
from fullconv.spec.base import Spec
from fullconv.spec.folder import FolderSpec
from fullconv.spec.image import ImageSpec


class DataSpec(Spec):
    """A data set and how training draws from it.

    Parameters
    ----------
    name
        Name of a data set: ``scenes``, ``voc2012``, ``cityscapes`` and others (``fullconv data sets`` lists them), or
        ``folder`` for images and masks of your own.
    root
        Folder of the data set; ``scenes`` needs none.
    train
        The split that is trained on.
    val
        The split that is measured on.
    heads
        Which ground truths of the data set are learned; the net has one output for each.
    streams
        Which of the data set's inputs are read: ``rgb``; ``scenes`` and ``nyudv2`` have ``depth`` and ``hha`` too. In a recipe
        what the model reads, and better left out.
    mean
        What is subtracted from an input in place of the weights' own mean, one number a channel: ``{rgb: [R, G, B]}`` in 0–255,
        of ``hha`` likewise, of ``depth`` the mean logarithm of the depth in millimetres. It is stored with the model.
    std
        What an input is divided by after that, likewise; not of ``depth``.
    hha
        A folder in which HHA images are kept: of ``nyudv2`` ``img_5001.png`` and so on, of ``folder`` ``train/NAME.png``. What is
        missing there, or was made of another depth or camera, is encoded, a quarter of a second for 640×480, and written;
        ``None`` encodes every image each time that it is read.
    download
        Fetch the data set into ``root`` when it is not there.
    count, val_count
        Number of training and of validation images: how many are rendered, or how many of the stored ones are used, from the
        first on; ``None`` takes all.
    size
        (height, width) in pixels at which scenes are rendered; ``None`` for the data set's own.
    scale
        Factor on height and width of images and masks as the net learns them; masks take the nearest label. It is kept with the
        model: what predicts and what measures resizes images by it, and gives labels at the images' own size.
    image
        For ``folder``: how image files are read, see :class:`fullconv.spec.ImageSpec`.
    folder
        For ``folder``: where images and masks are.
    labels
        For ``folder``: what the values or colours of masks mean, see :mod:`fullconv.labelmap`.
    augment
        Changes of the training samples; validation samples are never changed.
    workers
        Number of processes that read images ahead, for each device, at most as many as there are processors; 0 reads them in the
        training process.
    """

    name: str = "scenes"
    root: Path | None = None
    train: str = "train"
    val: str = "val"
    heads: tuple[str, ...] = Field(default=("semantic",), min_length=1)
    streams: tuple[str, ...] = Field(default=("rgb",), min_length=1)
    mean: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    std: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    hha: Path | None = None
    download: bool = False
    count: PositiveInt | None = None
    val_count: PositiveInt | None = None
    size: tuple[PositiveInt, PositiveInt] | None = None
    scale: PositiveFloat = 1.0
    image: ImageSpec = ImageSpec()
    folder: FolderSpec = FolderSpec()
    labels: dict[str, Any] = Field(default_factory=dict)
    augment: AugmentSpec = AugmentSpec()
    workers: NonNegativeInt = 0

    @model_validator(mode="after")
    def _labels_can_be_read(self) -> Self:
        if self.labels:
            parse_label_map(self.labels)
        return self
