"""How the files of images are read: which bands, which range of values, which pages."""

import math
from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from fullconv.spec.base import Spec

Limits = tuple[float, float]
"""The values that become 0 and 255."""


class ImageSpec(Spec):
    """How the files of images are read; a trained model keeps it, and reads what it predicts in the same way.

    Parameters
    ----------
    bands
        Which bands of a file the net sees, counted from 1 and in this order: ``[4, 3, 2]``. ``None``: colour or grey, and files
        of other numbers of bands are refused. One band is read as grey; with two, or more than three, the net's first layer is
        made as wide.
    range
        The values that become 0 and 255, as ``[0, 4095]``, or a pair for each band that is read; what lies outside is clipped.
        ``None``: 8 bits as they are, 16 bits as 0 to 65535 where an image uses the upper half of that, and what the files' tags
        say; other depths are refused.
    pages
        Of files of several pages or frames: ``first`` reads the first, ``bands`` takes each for a band. ``None`` refuses them.
    rotation
        Where EXIF turns an image and neither sizes nor edges tell whether its mask lies on the turned image: ``turned`` or
        ``stored``. ``None`` refuses such an image.
    """

    bands: tuple[PositiveInt, ...] | None = None
    range: Limits | tuple[Limits, ...] | None = None
    pages: Literal["first", "bands"] | None = None
    rotation: Literal["turned", "stored"] | None = None

    @property
    def channels(self) -> int:
        """How many channels the net is given: three of colour or grey, else one a band."""
        return 3 if self.bands is None or len(self.bands) == 1 else len(self.bands)

    @property
    def limits(self) -> tuple[Limits, ...] | None:
        """The range as pairs: one for all bands, or one for each."""
        if self.range is None:
            return None
        first = self.range[0]
        return self.range if isinstance(first, tuple) else (self.range,)  # type: ignore[return-value]  # as the line before says

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if self.bands is not None and not self.bands:
            raise ValueError("image.bands is empty; give numbers from 1 on, such as [1, 2, 3], or leave it out")
        for low, high in self.limits or ():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"image.range goes from {low:g} to {high:g}; give two numbers, the smaller one first")
        pairs = len(self.limits or ())
        if pairs > 1 and self.bands is not None and pairs != len(self.bands):
            raise ValueError(f"image.range has {pairs} pairs for {len(self.bands)} bands; give one pair, or one for each band")
        return self


PLAIN = ImageSpec()
"""Colour or grey of 8 bits, one page."""
