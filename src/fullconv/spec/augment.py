"""How training changes its images at random."""

from typing import Any, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from fullconv.spec.base import Spec


class CopyPasteSpec(Spec):
    """What is cut out of other training images and laid over one; a bare number in YAML is the share.

    Parameters
    ----------
    share
        Probability of it for each image, in [0, 1].
    classes
        Names of the classes that are pasted; by default all but one that is called ``background``.
    scale
        Range of a uniformly drawn factor on height and width of what is pasted.
    """

    share: float = Field(default=0.0, ge=0, le=1)
    classes: tuple[str, ...] = ()
    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 1.5)

    @model_validator(mode="before")
    @classmethod
    def _share_alone(cls, given: Any) -> Any:
        return {"share": given} if isinstance(given, int | float) and not isinstance(given, bool) else given


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
    crop_class
        Share of the crops, in [0, 1], that are centred, as far as the image reaches, on a pixel of a class: the class is drawn
        evenly from those in the image, the pixel evenly from its pixels. The others lie anywhere.
    copy_paste
        Lay pixels of a class of another training image over the image first, see :class:`CopyPasteSpec`.
    color
        Strength in [0, 1] of changes in brightness, contrast, saturation and hue.
    rotate
        Largest turn to either side, in degrees.
    shift
        Largest move along each axis either way, in whole pixels (the paper's jitter: 32).
    transforms
        Further ones of ``torchvision.transforms.v2`` by name with their own parameters, in order, after colour:
        ``[{GaussianBlur: {kernel_size: 5}}, {RandomPerspective: {distortion_scale: 0.2}}]``, see
        :mod:`fullconv.data.named_transforms`.
    """

    flip: bool = False
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    crop: tuple[PositiveInt, PositiveInt] | None = None
    crop_class: float = Field(default=0.0, ge=0, le=1)
    copy_paste: CopyPasteSpec = CopyPasteSpec()
    color: float = Field(default=0.0, ge=0, le=1)
    rotate: float = Field(default=0.0, ge=0, le=180)
    shift: NonNegativeInt = 0
    transforms: tuple[dict[str, dict[str, Any]], ...] = ()

    @field_validator("transforms", mode="before")
    @classmethod
    def _one_name_each(cls, given: Any) -> Any:
        """Let a name alone, or a name without parameters, stand for one without any."""
        if not isinstance(given, list | tuple):
            raise ValueError("data.augment.transforms: they are a list, such as [{GaussianBlur: {kernel_size: 5}}]")
        entries = [{each: {}} if isinstance(each, str) else each for each in given]
        if any(not isinstance(each, dict) or len(each) != 1 for each in entries):
            raise ValueError(
                "data.augment.transforms: each is one name with parameters, such as {GaussianBlur: {kernel_size: 5}}"
            )
        return tuple({name: more or {} for name, more in each.items()} for each in entries)

    @model_validator(mode="after")
    def _crops_of_a_class_are_crops(self) -> Self:
        if self.crop_class and self.crop is None:
            raise ValueError(
                "data.augment.crop_class needs the crops it is a share of; set data.augment.crop, such as [320, 320]"
            )
        return self
