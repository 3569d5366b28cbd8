"""Bands of any number and depth to what a net reads: the chosen bands, from 0 to 255.

Letters: C bands, H height, W width.
"""

import numpy as np
from numpy.typing import NDArray

from fullconv.data.stored import Stored
from fullconv.errors import DataError
from fullconv.spec import ImageSpec
from fullconv.spec.image import Limits

PAPER = 255
"""What transparent pixels are laid on: white."""
DEEP = 65535
_ADVICE = "a recipe declares it by data.image.range (`fullconv init` proposes it), and a model keeps it; or save 8 bits a channel"


def prepared(stored: Stored, how: ImageSpec, name: str) -> NDArray[np.uint8]:
    """Return the bands that ``how`` chooses as uint8 (H, W, C), of a single one three times.

    Parameters
    ----------
    stored
        What the file has.
    how
        Which bands and which range of values.
    name
        Opens errors.

    Raises
    ------
    DataError
        When the file lacks a band, has more bands than are declared, or values whose range nobody declared.

    Examples
    --------
    >>> twelve_bits = Stored(np.array([[[0], [2048], [4095]]], np.uint16))
    >>> prepared(twelve_bits, ImageSpec(range=(0, 4095)), "a.tif")[0, :, 0].tolist()
    [0, 128, 255]
    """
    values, alpha = _chosen(stored, how, name)
    limits = how.limits or _undeclared(stored, values, name)
    if stored.values.dtype == np.uint8 and max(high for _, high in limits) > 255:
        raise DataError(
            f"{name}: 8 bits a band, and data.image.range goes to {max(high for _, high in limits):g}; save all images at one "
            "depth"
        )
    if len(limits) not in (1, values.shape[2]):
        raise DataError(f"{name}: {values.shape[2]} bands, and data.image.range has {len(limits)} pairs; give one, or one a band")
    image = scaled(values, limits, stored.nodata)
    if alpha is not None:
        share = scaled(alpha[..., None], (_whole(alpha.dtype),)).astype(np.float32) / 255
        image = (image * share + PAPER * (1 - share)).round().astype(np.uint8)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def scaled(values: NDArray[np.generic], limits: tuple[Limits, ...], nodata: float | None = None) -> NDArray[np.uint8]:
    """Return values (H, W, C) as uint8: from 0 at the first to 255 at the second of each pair, clipped; holes become 0."""
    low, high = (np.array(side, np.float64) for side in zip(*limits, strict=True))
    if values.dtype == np.uint8 and (low == 0).all() and (high == 255).all():
        return values  # type: ignore[return-value]  # as the line before says
    numbers = values.astype(np.float64)
    hole = ~np.isfinite(numbers) if nodata is None else ~np.isfinite(numbers) | (numbers == nodata)
    with np.errstate(invalid="ignore"):
        shares = ((numbers - low) * (255 / (high - low))).clip(0, 255)
    return np.where(hole, 0, shares).round().astype(np.uint8)


def _chosen(stored: Stored, how: ImageSpec, name: str) -> tuple[NDArray[np.generic], NDArray[np.generic] | None]:
    """Return the bands (H, W, C) that are meant, and the transparency (H, W) beside them."""
    values = stored.values
    count = values.shape[2]
    if how.bands is not None:
        if max(how.bands) > count:
            raise DataError(
                f"{name}: {count} band{'s' * (count > 1)}, and data.image.bands, which a trained model keeps, reads "
                f"{list(how.bands)}; give files with all of them"
            )
        return values[..., [band - 1 for band in how.bands]], None
    if count in (2, 4) and (stored.alpha or _opaque(values[..., -1])):
        return values[..., :-1], values[..., -1] if stored.alpha else None
    if count not in (1, 3):
        every = list(range(1, count + 1))
        raise DataError(
            f"{name}: {count} bands, where colour has three; a recipe says which are read by data.image.bands, such as "
            f"{every[:3] if count > 3 else every[:1]} or {every if count < 7 else f'[1, …, {count}]'}, and a model keeps it"
        )
    return values, None


def used_bands(stored: Stored) -> int:
    """Return how many bands a file has, transparency left out where it says nothing or the format says that it is such."""
    count = stored.values.shape[2]
    return count - 1 if count in (2, 4) and (stored.alpha or _opaque(stored.values[..., -1])) else count


def _opaque(alpha: NDArray[np.generic]) -> bool:
    """Return whether a band says nothing: it is at its largest value everywhere."""
    return bool((alpha == _whole(alpha.dtype)[1]).all())


def _whole(dtype: np.dtype[np.generic]) -> Limits:
    return (0.0, float(2 ** (8 * dtype.itemsize - (dtype.kind == "i")) - 1)) if dtype.kind in "iu" else (0.0, 1.0)


def _undeclared(stored: Stored, values: NDArray[np.generic], name: str) -> tuple[Limits, ...]:
    """Return the range where no recipe says one: of 8 bits, as the file says, or of 16 bits that are used."""
    kind = stored.values.dtype
    if kind == np.uint8:
        return ((0.0, 255.0),)
    if kind == np.bool_:
        return ((0.0, 1.0),)
    if stored.declared is not None:
        return (stored.declared,)
    if kind.kind == "f":
        raise DataError(f"{name}: floating point pixels have no agreed range ({_span(values)}); {_ADVICE}")
    least, most = int(values.min()), int(values.max())
    if least < 0 or most > DEEP:
        raise DataError(f"{name}: {8 * kind.itemsize}-bit pixels have no agreed range ({_span(values)}); {_ADVICE}")
    if kind.itemsize == 4 and most <= 255:  # PIL holds 8 bits of some formats in 32
        return ((0.0, 255.0),)
    if most <= DEEP // 2:
        raise DataError(
            f"{name}: {8 * kind.itemsize}-bit pixels of which none is above {most}, so they may be of "
            f"{max(most.bit_length(), 1)} bits and would be almost black as 0 to {DEEP}; {_ADVICE}"
        )
    return ((0.0, float(DEEP)),)


def _span(values: NDArray[np.generic]) -> str:
    numbers = values[np.isfinite(values.astype(np.float64))]
    return f"these go from {numbers.min():.5g} to {numbers.max():.5g}" if numbers.size else "none of these is a number"
