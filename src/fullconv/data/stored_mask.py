"""What a mask stores before anything says what it means: values, a palette's indices, colours, alpha; from any kind of file.

Images are read by PIL, ``.npy``, ``.npz`` and ``.mat`` files as arrays (:mod:`fullconv.data.mask_arrays`). Values are
those of the file: a palette image's are its indices, a 16-bit or signed TIFF's its numbers, a bilevel image's 0 and 1 (1 is
white, also where the file says that white is zero).

Letters: H height, W width.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.data.images import decode
from fullconv.data.mask_arrays import ARRAY_SUFFIXES, array_in, whole_numbers
from fullconv.data.mask_pages import read_class_pages
from fullconv.errors import DataError
from fullconv.labelmap import ALPHA, LabelMap, codes_of, show_code

OPAQUE = 128
"""Alpha from which on a pixel counts as visible."""
LOSSY = ("JPEG", "MPO")
GREY_NOISE = 12
"""How far the channels of a grey picture may differ after JPEG."""
_SAMPLE_FORMAT, _SIGNED, _UNSIGNED = 339, 2, 1


@dataclass(frozen=True)
class Stored:
    """What one mask stores: either values (H, W) or colours (H, W, 3).

    Attributes
    ----------
    plain
        Integer (H, W): values, or a palette's indices; or uint8 (H, W, 3): colours.
    kind, mode
        The file's format and PIL's mode, such as ``PNG`` and ``P``; of arrays the suffix and the dtype.
    palette
        uint8 (N, 3): the colours that indices stand for, as many as the file has.
    alpha
        uint8 (H, W), where the file has a channel of it that is not opaque everywhere.
    """

    plain: NDArray[np.integer]
    kind: str
    mode: str
    palette: NDArray[np.uint8] | None = None
    alpha: NDArray[np.uint8] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.plain.shape[0], self.plain.shape[1]

    def undeclared(self) -> NDArray[np.integer]:
        """Return values (H, W) or colours uint8 (H, W, 3), as they are where nothing says what they should be.

        A palette's indices are values, and so are colours of three equal channels.
        """
        return self.plain if self.plain.ndim == 2 else _grey(self.plain, self.kind)

    def declared(self, label_map: LabelMap, source: str | os.PathLike[str]) -> NDArray[np.integer]:
        """Return values or codes (H, W), or colours uint8 (H, W, 3), whichever ``label_map`` speaks of.

        Raises
        ------
        DataError
            When they are colours and the map has none; ``source`` opens the message.
        """
        if not label_map.has_alpha:
            return self._as_declared(label_map, source)
        alpha = np.full(self.size, 255, np.uint8) if self.alpha is None else self.alpha
        codes = ALPHA + alpha.astype(np.int64)
        told = np.isin(np.arange(256) + ALPHA, np.fromiter(label_map.meaning, np.int64))[alpha]
        return codes if told.all() else np.where(told, codes, codes_of(self._as_declared(label_map, source)))

    def shown(self) -> NDArray[np.integer]:
        """Return colours uint8 (H, W, 3) where the file has a palette or colours, else values (H, W)."""
        return self.plain if self.palette is None else _table(self.palette)[self.plain]

    def _as_declared(self, label_map: LabelMap, source: str | os.PathLike[str]) -> NDArray[np.integer]:
        if self.palette is not None:
            known = all(int(value) in label_map.meaning for value in np.unique(self.plain))
            return self.plain if not label_map.has_colors or (label_map.has_values and known) else self.shown()
        if self.plain.ndim == 2:
            if label_map.has_values or not label_map.has_colors:
                return self.plain
            if self.plain.size and not 0 <= self.plain.min() <= self.plain.max() <= 255:
                raise DataError(f"{source}: the mask stores values up to {self.plain.max()}, and data.labels has colours only")
            return np.repeat(self.plain.astype(np.uint8)[..., None], 3, 2)
        if label_map.has_colors:
            return self.plain
        grey = _grey(self.plain, self.kind)
        if grey.ndim == 2:
            return grey
        found, counts = np.unique(codes_of(self.plain), return_counts=True)
        several = ", ".join(show_code(int(code), bare=True) for code in found[np.argsort(-counts)][:4])
        raise DataError(
            f"{source}: the mask stores colours, {len(found)} of them such as {several}, and data.labels has numbers only; "
            "give colours there"
        )


def _grey(colors: NDArray[np.integer], kind: str) -> NDArray[np.integer]:
    """Return the values (H, W) of a grey picture in colours; colours as they are. JPEG makes the channels differ a little."""
    if (colors == colors[..., :1]).all():
        return colors[..., 0]
    if kind in LOSSY and int((colors.max(2) - colors.min(2)).max()) <= GREY_NOISE:
        return colors.mean(2).round().astype(np.uint8)
    return colors


def _table(palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette[:256]
    return table


def stored_at(path: str | os.PathLike[str], pages: str | None = None) -> Stored:
    """Return what the mask at ``path`` stores; of several ``pages`` see :func:`fullconv.data.mask_pages.read_class_pages`.

    Raises
    ------
    DataError
        When the file is missing or damaged, has 16 bits a channel with colours or alpha, or is an array that is no mask.
    """
    if pages is not None:
        return Stored(read_class_pages(path, pages), "TIFF", "")
    if Path(path).suffix.lower() in ARRAY_SUFFIXES:
        return stored_array(array_in(path), path)
    return stored_image(decode(path), path)


def stored_array(array: NDArray[np.generic], path: str | os.PathLike[str]) -> Stored:
    """Return what an array (H, W), (H, W, 1), (1, H, W), or of 3 or 4 channels uint8 stores; ``path`` opens errors."""
    kind = Path(path).suffix.lower().removeprefix(".").upper()
    if array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8:
        alpha = array[..., 3].astype(np.uint8) if array.shape[2] == 4 else None
        return Stored(array[..., :3].astype(np.uint8), kind, str(array.dtype), alpha=_transparent(alpha))
    flat = (
        array[0] if array.ndim == 3 and len(array) == 1 else array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    )
    if flat.ndim != 2 or not flat.size:
        raise DataError(
            f"{path}: an array of the shape {array.shape}; a mask is (H, W) with a whole number for each pixel, or uint8 "
            "(H, W, 3) of colours (of one map for each class take the argmax)"
        )
    return Stored(whole_numbers(flat, path), kind, str(array.dtype))


def stored_image(image: Image.Image, path: str | os.PathLike[str]) -> Stored:
    """Return what an image read whole from ``path`` stores."""
    kind, mode = image.format or "", image.mode
    if mode in ("P", "PA"):
        palette = np.array(image.getpalette() or [], np.uint8)
        indices = np.asarray(image if mode == "P" else image.getchannel(0))
        alpha = np.asarray(image.getchannel(1)) if mode == "PA" else None
        return Stored(indices, kind, mode, palette[: len(palette) // 3 * 3].reshape(-1, 3), _transparent(alpha))
    if mode in ("LA", "La"):
        _refuse_16_bits(path, kind)
        return Stored(np.asarray(image.getchannel(0)), kind, mode, alpha=_transparent(np.asarray(image.getchannel(1))))
    if mode in ("1", "L", "F") or mode.startswith("I"):
        return Stored(whole_numbers(_numbers(image), path), kind, mode)
    _refuse_16_bits(path, kind)
    alpha = None
    if mode in ("RGBA", "RGBa"):
        image = image.convert("RGBA")
        alpha = _transparent(np.asarray(image.getchannel("A")))
    image.info.pop("transparency", None)  # one colour of many, which the colour tells itself; PIL would warn
    return Stored(np.asarray(image.convert("RGB")), kind, mode, alpha=alpha)


def _numbers(image: Image.Image) -> NDArray[np.generic]:
    """Return a grey image's numbers with the sign that a TIFF states: PIL takes 8 bits as unsigned and 32 as signed."""
    values = np.asarray(image)
    stated = tuple(getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, ())) if image.format == "TIFF" else ()
    if stated == (_SIGNED,) and values.dtype == np.uint8:
        return values.view(np.int8)
    if stated in ((), (_UNSIGNED,)) and image.format == "TIFF" and values.dtype == np.int32 and values.size and values.min() < 0:
        return values.view(np.uint32)
    return values


def _transparent(alpha: NDArray[np.generic] | None) -> NDArray[np.uint8] | None:
    return None if alpha is None or (alpha == 255).all() else alpha.astype(np.uint8)


def _refuse_16_bits(path: str | os.PathLike[str], kind: str) -> None:
    """Refuse a PNG of which PIL drops the low bytes: 16 bits a channel with colours or alpha."""
    if kind != "PNG" or not Path(path).is_file():
        return
    with Path(path).open("rb") as file:
        start = file.read(25)
    if start[24:25] == b"\x10":
        raise DataError(
            f"{path}: 16 bits a channel with colours or alpha, of which only the upper 8 can be read; save the mask with 8 bits, "
            "or as grey without alpha"
        )
