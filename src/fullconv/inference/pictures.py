"""Pictures from outside (any mode, any rotation) as upright RGB arrays, and label maps drawn over them with a legend.

Letters: H height, W width.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fullconv.errors import DataError
from fullconv.labels import LabelSet

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image when a folder is searched; a file that is named itself may be called anything."""

PAPER, INK = (255, 255, 255), (32, 32, 32)


def read_picture(source: str | os.PathLike[str] | Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as uint8 (H, W, 3) RGB, upright.

    Unlike :func:`fullconv.data.images.read_image`, which takes the pixels of a data set as they are stored because masks
    lie on them, this takes whatever a camera or an editor writes.

    Parameters
    ----------
    source
        A path, a PIL image, or an array uint8 (H, W, 3) RGB or (H, W) grey. The rotation that a camera notes in EXIF is
        applied; transparent pixels are laid on white; grey, palette and CMYK are converted; 16 bits become 8 (divided by
        257); of an animation the first frame is taken.

    Raises
    ------
    DataError
        When the file is missing, no image, cut short, or so large that it may be an attack (PIL's limit); when an array
        has another dtype or shape. The file is named.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    if isinstance(source, Image.Image):
        return _upright_rgb(source, "the image")
    if not Path(source).exists():
        raise DataError(f"{source}: no such file")
    if Path(source).is_dir():
        raise DataError(f"{source}: a folder, not an image")
    try:
        with Image.open(source) as image:
            image.load()
            return _upright_rgb(image, str(source))
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{source}: not an image, or of a format that PIL does not read") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{source}: more pixels than PIL lets pass ({error}); cut or shrink it first") from error
    except DataError:
        raise
    # the decoders of damaged files raise whatever comes: OSError, SyntaxError, ValueError, struct.error, EOFError
    except Exception as error:
        raise DataError(f"{source}: cannot be read ({error}); it is damaged or cut short, copy it again") from error


def _check_array(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise DataError(f"an array must be uint8 (H, W, 3) RGB or (H, W) grey with at least one pixel; got {array.dtype} {array.shape}")
    return array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)


def _upright_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        wide = image.mode != "I" or values.max(initial=0) > 255  # mode I holds 8 or 16 bits in 32
        grey = np.clip(values // 257 if wide else values, 0, 255)
        return _check_array(grey.astype(np.uint8))
    if image.mode == "F":
        raise DataError(f"{name}: floating point pixels have no agreed range; save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        sheet = Image.new("RGBA", image.size, (*PAPER, 255))
        image = Image.alpha_composite(sheet, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def shares(labels: NDArray[np.integer], label_set: LabelSet) -> dict[str, float]:
    """Return the share of pixels, 0 to 1, of every class that occurs in ``labels`` (H, W), the largest first."""
    counts = np.bincount(labels.ravel(), minlength=256)[: len(label_set)]
    order = np.argsort(-counts, kind="stable")
    return {label_set.names[k]: float(counts[k] / labels.size) for k in order if counts[k]}


def overlay(image: NDArray[np.uint8], labels: NDArray[np.integer], label_set: LabelSet, opacity: float = 0.55) -> Image.Image:
    """Return a picture with its label map drawn over it, and below it a legend of the classes present with their shares.

    Parameters
    ----------
    image, labels
        uint8 (H, W, 3) RGB, and the labels (H, W) of its pixels.
    label_set
        Names and colours.
    opacity
        Of the colours, 0 to 1. Borders between classes are drawn in white.

    Returns
    -------
    PIL.Image.Image
        RGB, W wide (at least 160 px, for the legend) and H plus the legend high.
    """
    if image.shape[:2] != labels.shape:
        raise DataError(f"the labels are {labels.shape} but the image is {image.shape[:2]} (H, W); predict on this image")
    mixed = (1 - opacity) * image + opacity * label_set.colorize(labels)
    mixed[_borders(labels)] = 255
    picture = Image.fromarray(mixed.round().astype(np.uint8))
    colors = dict(zip(label_set.names, label_set.colors, strict=True))
    entries = [(colors[name], f"{name} {percent(share)}") for name, share in shares(labels, label_set).items()]
    return with_legend(picture, entries)


def percent(share: float) -> str:
    """Return a share, 0 to 1, in percent as it is read best: whole numbers, but ``<1%`` instead of 0.

    Examples
    --------
    >>> percent(0.476), percent(0.002)
    ('48%', '<1%')
    """
    return f"{share:.0%}" if share >= 0.01 else "<1%"


def _borders(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    borders = np.zeros(labels.shape, bool)
    borders[:-1] = labels[:-1] != labels[1:]
    borders[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return borders


def font_for(width: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Return PIL's own font in a size, in pixels, that suits a picture ``width`` pixels wide."""
    return ImageFont.load_default(size=min(max(width // 36, 11), 32))


def with_legend(picture: Image.Image, entries: Sequence[tuple[tuple[int, int, int], str]]) -> Image.Image:
    """Return ``picture`` with a white strip below: a patch of colour and a text for each entry, in as many rows as needed."""
    width = max(picture.width, 160)
    font = font_for(width)
    height = math.ceil(font.getbbox("Ág")[3])
    step = round(height * 1.6)
    places, x, y = [], step // 2, 0
    for _, text in entries:
        extent = height + height // 2 + math.ceil(font.getlength(text)) + step
        if x + extent > width and x > step // 2:
            x, y = step // 2, y + step
        places.append((x, y))
        x += extent
    sheet = Image.new("RGB", (width, picture.height + (y + step + step // 2 if entries else 0)), PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    for (color, text), (left, top) in zip(entries, places, strict=True):
        top += picture.height + step // 3
        draw.rectangle((left, top, left + height, top + height), fill=color, outline=INK)
        draw.text((left + height + height // 2, top), text, fill=INK, font=font)
    return sheet
