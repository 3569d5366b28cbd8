"""What a data set is, and how training draws from it."""

from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

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
    download
        Fetch the data set into ``root`` when it is not there.
    count, val_count
        Number of training and validation samples: of rendered ones how many there are, of stored ones the first so
        many; ``None`` takes all.
    size
        (height, width) in pixels at which scenes are rendered; ``None`` for the data set's own.
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
    download: bool = False
    count: PositiveInt | None = None
    val_count: PositiveInt | None = None
    size: tuple[PositiveInt, PositiveInt] | None = None
    augment: AugmentSpec = AugmentSpec()
    workers: NonNegativeInt = 0
