"""What a data set is, and how training draws from it."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fullconv.labelmap import parse_label_map
from fullconv.spec.base import Spec


class AugmentSpec(Spec):
    """Random changes of a training image and its masks together; by default there are none, as in the reference.

    Parameters
    ----------
    flip
        Mirror left-right with probability one half.
    scale
        Range of a uniformly drawn factor on height and width.
    crop
        (height, width) in pixels of a random window; smaller images are padded with the ignore value. ``None``: whole
        images.
    color
        Strength in [0, 1] of changes in brightness, contrast, saturation and hue.
    rotate
        Largest turn to either side, in degrees.
    shift
        Largest move along each axis either way, in whole pixels (the paper's jitter: 32).
    """

    flip: bool = False
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    crop: tuple[PositiveInt, PositiveInt] | None = None
    color: float = Field(default=0.0, ge=0, le=1)
    rotate: float = Field(default=0.0, ge=0, le=180)
    shift: NonNegativeInt = 0


class FolderSpec(Spec):
    """Where a folder of the user's own keeps its images and masks, and how it is split.

    Parameters
    ----------
    images, masks
        Folders below the root, searched through; ``{split}`` stands for the split's name. An image and its mask have the same
        path below them but for the suffix. Without ``{split}`` the splits are drawn.
    mask_suffix
        What a mask's name has after its image's, such as ``_mask``.
    pairs
        A CSV file below the root with the columns image, mask, split, in place of all that; depth may be a fourth.
    annotations
        The export of an annotation tool below the root, in place of masks: a file or a folder, with ``{split}`` where there is
        one for each split; see :mod:`fullconv.formats.recognise`. Images are looked for below ``images`` where that is there,
        else below the root. Each class is drawn with the value that ``labels`` gives its name.
    rename
        Classes of annotations that count as a label of another name, as ``background`` or as ``ignore``: ``{puppy: dog}``.
    class_attribute
        Of annotations of VIA: which attribute of regions names their class, where they have several.
    depth
        Folder of depth maps below the root, called as the images, for nets that read depth or HHA; ``{split}`` as in ``images``.
        A list's own column comes first.
    depth_unit
        Of their values: metres, centimetres, millimetres, or the metres in one step.
    camera
        ``nyud``, or ``FX,FY,CX,CY,HEIGHT,WIDTH`` in pixels; HHA needs it.
    val_share, test_share, seed
        Of drawn splits: the share of pairs that fall to val and to test, and which do.
    """

    images: str = "images/{split}"
    masks: str = "masks/{split}"
    mask_suffix: str = ""
    pairs: Path | None = None
    annotations: str | None = None
    rename: dict[str, str] = Field(default_factory=dict)
    class_attribute: str | None = None
    depth: str | None = None
    depth_unit: PositiveFloat | str | None = None
    camera: str | None = None
    val_share: float = Field(default=0.2, ge=0, lt=1)
    test_share: float = Field(default=0.0, ge=0, lt=1)
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _shares_leave_some(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError(f"val_share {self.val_share} and test_share {self.test_share} leave nothing to train on")
        if self.annotations is None and ("{split}" in self.images) != ("{split}" in self.masks):
            raise ValueError(f"images {self.images!r} and masks {self.masks!r} must both have {{split}}, or none of them")
        if self.depth is not None and ("{split}" in self.depth) != ("{split}" in self.images and self.pairs is None):
            raise ValueError(f"depth {self.depth!r} must have {{split}} where images {self.images!r} have it, and not with pairs")
        return self


class DataSpec(Spec):
    """A data set and how training draws from it.

    Parameters
    ----------
    name
        One of ``fullconv.data.DATASETS``.
    root
        Its folder; ``scenes`` needs none.
    train, val
        The splits that are trained on and measured on.
    heads
        Which of the data set's truths are learned, one output of the net each.
    streams
        Which of the data set's inputs are read: ``rgb``; ``scenes`` and ``nyudv2`` have ``depth`` and ``hha`` too. In a recipe
        what the model reads, and better left out.
    mean
        What is subtracted from an input in place of the weights' own mean, one number a channel: ``{rgb: [R, G, B]}`` in 0–255,
        of ``hha`` likewise, of ``depth`` the mean logarithm of the depth in millimetres. It is stored with the model.
    hha
        A folder where HHA pictures are kept: of ``nyudv2`` ``img_5001.png`` and so on, of ``folder`` ``train/NAME.png``. What is
        missing there, or was made of another depth or camera, is encoded, a quarter of a second for 640×480, and written;
        ``None`` encodes every picture each time that it is read.
    download
        Fetch the data set into ``root`` when it is not there.
    count, val_count
        Number of training and validation samples: of rendered ones how many there are, of stored ones the first so
        many; ``None`` takes all.
    size
        (height, width) in pixels at which scenes are rendered; ``None`` for the data set's own.
    scale
        Factor on height and width of images and masks as the net learns them; masks take the nearest label. It is kept with the
        model: what predicts and what measures resizes images by it, and gives labels at the images' own size.
    folder
        Of ``folder``: where images and masks are.
    labels
        Of ``folder``: what the masks' values or colours mean, see :mod:`fullconv.labelmap`.
    augment
        Changes of the training samples; validation samples are never changed.
    workers
        Processes that read ahead, for each device; 0 reads in the training process.
    """

    name: str = "scenes"
    root: Path | None = None
    train: str = "train"
    val: str = "val"
    heads: tuple[str, ...] = Field(default=("semantic",), min_length=1)
    streams: tuple[str, ...] = Field(default=("rgb",), min_length=1)
    mean: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    hha: Path | None = None
    download: bool = False
    count: PositiveInt | None = None
    val_count: PositiveInt | None = None
    size: tuple[PositiveInt, PositiveInt] | None = None
    scale: PositiveFloat = 1.0
    folder: FolderSpec = FolderSpec()
    labels: dict[str, Any] = Field(default_factory=dict)
    augment: AugmentSpec = AugmentSpec()
    workers: NonNegativeInt = 0

    @model_validator(mode="after")
    def _labels_can_be_read(self) -> Self:
        if self.labels:
            parse_label_map(self.labels)
        return self
