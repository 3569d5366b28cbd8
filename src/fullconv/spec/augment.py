"""How training changes its images at random."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from fullconv.spec.base import Spec


def _rising(key: str, given: tuple[float, float]) -> tuple[float, float]:
    low, high = given
    if low > high:
        raise ValueError(f"{key}: a range is [lowest, highest], and {low:g} is above {high:g}; write [{high:g}, {low:g}]")
    return given


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

    @field_validator("scale")
    @classmethod
    def _scale_rises(cls, given: tuple[float, float]) -> tuple[float, float]:
        return _rising("data.augment.copy_paste.scale", given)

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
        Range of a uniformly drawn factor by which height and width of the image are resized.
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
        Largest rotation to either side, in degrees.
    shift
        Largest move along each axis either way, in whole pixels (the paper's jitter: 32).
    transforms
        Further transforms of ``torchvision.transforms.v2`` by name with their own parameters, in order, after colour:
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

    @field_validator("scale")
    @classmethod
    def _scale_rises(cls, given: tuple[float, float]) -> tuple[float, float]:
        return _rising("data.augment.scale", given)

    @field_validator("transforms", mode="before")
    @classmethod
    def _one_name_each(cls, given: Any) -> Any:
        """Let a name alone, or a name without parameters, stand for one without any, and what holds nothing for nothing."""
        return _entries(given, "data.augment.transforms")

    @model_validator(mode="after")
    def _crops_of_a_class_are_crops(self) -> Self:
        if self.crop_class and self.crop is None:
            raise ValueError(
                "data.augment.crop_class needs the crops it is a share of; set data.augment.crop, such as [320, 320]"
            )
        return self


def _entries(given: Any, where: str) -> tuple[dict[str, dict[str, Any]], ...]:
    """Return transforms in the one form that there is: name to parameters, one mapping a transform."""
    if isinstance(given, str | Mapping):
        given = [given]
    if not isinstance(given, list | tuple):
        raise ValueError(f"{where}: they are a list, such as [{{GaussianBlur: {{kernel_size: 5}}}}], not {given!r}")
    return tuple(entry for each in given for entry in _entry(each, where))


def _entry(given: Any, where: str) -> list[dict[str, dict[str, Any]]]:
    """Return one transform, or none where it is one that holds others and holds none."""
    each = {given: {}} if isinstance(given, str) else given
    if not isinstance(each, Mapping) or len(each) != 1 or not isinstance(next(iter(each)), str):
        raise ValueError(
            f"{where}: each is one name with parameters, such as {{GaussianBlur: {{kernel_size: 5}}}}, not {given!r}"
        )
    ((name, more),) = each.items()
    if more is None:
        more = {}
    if not isinstance(more, Mapping) or not all(isinstance(key, str) for key in more):
        raise ValueError(f"{where}: {name} has its parameters by name, such as {{kernel_size: 5}}, not {more!r}")
    if name == "RandomApply" and "transforms" in more:
        more = {**more, "transforms": list(_entries(more["transforms"], f"{where}: {name}"))}
        return [{name: more}] if more["transforms"] else []
    return [{name: dict(more)}]
