"""Pictures of label maps: truth and prediction side by side, errors, overlays, legends. Drawn with PIL."""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fullconv.errors import DataError
from fullconv.labels import VOID_COLOR, LabelSet

WRONG = (235, 40, 40)
INK, PAPER, _MARGIN, _TEXT = (30, 30, 30), (255, 255, 255), 8, 14

Row = tuple[NDArray[np.uint8], NDArray[np.integer], NDArray[np.integer]]
"""Image uint8 (H, W, 3) RGB, truth (H, W), prediction (H, W)."""
Comparison = tuple[NDArray[np.uint8], NDArray[np.integer], Mapping[str, NDArray[np.integer]]]
"""Image and truth, and several predictions by name."""
Entry = tuple[tuple[int, int, int], str]
"""Colour and text of a legend."""


def error_picture(
    image: NDArray[np.uint8], truth: NDArray[np.integer], prediction: NDArray[np.integer], ignore_index: int = 255
) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3): the image, dark, where the prediction is right; red where wrong; pale where ignored.

    Raises
    ------
    DataError
        When image uint8 (H, W, 3), ``truth`` (H, W) and ``prediction`` (H, W) differ in size.
    """
    if not image.shape[:2] == truth.shape == prediction.shape:
        raise DataError(
            f"image {image.shape[:2]}, truth {truth.shape} and prediction {prediction.shape} must have one size (H, W)"
        )
    luma = image @ np.array([0.299, 0.587, 0.114])
    picture = np.repeat((0.4 * luma)[..., None], 3, axis=2)
    wrong = truth != prediction
    picture[wrong] = 0.75 * np.array(WRONG) + 0.25 * luma[wrong, None]
    picture[truth == ignore_index] = VOID_COLOR
    return picture.round().astype(np.uint8)


def shares(labels: NDArray[np.integer], label_set: LabelSet) -> dict[str, float]:
    """Return the share of pixels, 0 to 1, of every class that occurs in ``labels`` (H, W), the largest first."""
    return shares_of(np.bincount(labels.ravel(), minlength=256)[: len(label_set)], label_set, labels.size)


def shares_of(counts: NDArray[np.integer], label_set: LabelSet, pixels: int) -> dict[str, float]:
    """Return the share of ``pixels`` of every class that occurs, the largest first, from the number of each class (K,)."""
    order = np.argsort(-counts, kind="stable")
    return {label_set.names[k]: float(counts[k] / pixels) for k in order if counts[k]}


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
    picture = Image.fromarray(painted(image, labels, label_set, opacity))
    colors = dict(zip(label_set.names, label_set.colors, strict=True))
    entries = [(colors[name], f"{name} {percent(share)}") for name, share in shares(labels, label_set).items()]
    return with_legend(picture, entries)


def painted(
    image: NDArray[np.uint8], labels: NDArray[np.integer], label_set: LabelSet, opacity: float = 0.55
) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3): an image with its label map drawn over it; parameters and errors are those of :func:`overlay`."""
    if image.shape[:2] != labels.shape:
        raise DataError(f"the labels are {labels.shape} but the image is {image.shape[:2]} (H, W); predict on this image")
    mixed = (1 - opacity) * image + opacity * label_set.colorize(labels)
    mixed[_borders(labels)] = 255
    return mixed.round().astype(np.uint8)


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


def font_for(width: int) -> ImageFont.FreeTypeFont:
    """Return a font in a size, in pixels, that suits a picture ``width`` pixels wide."""
    return _font(min(max(round(0.6 * width**0.5), 11), 32))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # PIL's own font has hardly more than English letters; classes have names in many languages
    import matplotlib as mpl  # late, as it takes a tenth of a second

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def with_legend(picture: Image.Image, entries: Sequence[Entry]) -> Image.Image:
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


def prediction_grid(rows: Sequence[Row], label_set: LabelSet, *, width: int = 240) -> Image.Image:
    """Return an RGB image with a line for each row, columns image, truth, prediction, error, and a legend below.

    Parameters
    ----------
    rows
        At least one (image, truth, prediction); sizes may differ between rows.
    label_set
        Names and colours of truth and prediction; the legend shows the classes that occur.
    width
        Of one column in pixels; heights follow each image's shape.

    Raises
    ------
    DataError
        When there is no row, or labels are not in ``label_set``.
    """
    lines = [
        (image, *map(label_set.colorize, (truth, found)), error_picture(image, truth, found, label_set.ignore_index))
        for image, truth, found in rows
    ]
    marks = [(WRONG, "wrong"), ((60, 60, 60), "right (dark)")]
    maps = [labels for _, *both in rows for labels in both]
    return _grid(("image", "ground truth", "prediction", "error"), lines, _entries(label_set, maps) + marks, width)


def comparison_grid(rows: Sequence[Comparison], label_set: LabelSet, *, width: int = 240) -> Image.Image:
    """Return an RGB image with a line for each row, columns image, truth, and each prediction by its name; legend below.

    Parameters
    ----------
    rows
        At least one (image, truth, predictions by name), with the same names in every row.
    label_set, width
        As for :func:`prediction_grid`.
    """
    names = tuple(rows[0][2]) if rows else ()
    # by name, as the mappings may hold them in different orders
    lines = [(image, *map(label_set.colorize, (truth, *(found[name] for name in names)))) for image, truth, found in rows]
    titles = ("image", "ground truth", *names)
    maps = [labels for _, truth, found in rows for labels in (truth, *found.values())]
    return _grid(titles, lines, _entries(label_set, maps), width)


def _entries(label_set: LabelSet, maps: Sequence[NDArray[np.integer]]) -> list[Entry]:
    """Colours and names of the classes that occur, and of what has no ground truth."""
    found = {int(k) for labels in maps for k in np.unique(labels)}
    entries = [(label_set.colors[k], label_set.names[k]) for k in sorted(found & set(range(len(label_set))))]
    return entries + ([(VOID_COLOR, "no ground truth")] if label_set.ignore_index in found else [])


def _grid(
    titles: Sequence[str], lines: Sequence[Sequence[NDArray[np.uint8]]], entries: Sequence[Entry], width: int
) -> Image.Image:
    if not lines:
        raise DataError("a grid of predictions needs at least one row")
    heights = [max(1, round(line[0].shape[0] * width / line[0].shape[1])) for line in lines]
    top = _TEXT + 2 * _MARGIN
    sheet = Image.new("RGB", (_MARGIN + len(titles) * (width + _MARGIN), top + sum(heights) + _MARGIN * len(heights)), PAPER)
    for column, title in enumerate(titles):
        left = _MARGIN + column * (width + _MARGIN)
        ImageDraw.Draw(sheet).text((left, _MARGIN), title, font=_font(_TEXT), fill=INK)
        below = top
        for line, height in zip(lines, heights, strict=True):
            # labels and errors keep their hard borders, only the photograph is smoothed
            resampling = Image.Resampling.NEAREST if column else Image.Resampling.LANCZOS
            sheet.paste(Image.fromarray(line[column]).resize((width, height), resampling), (left, below))
            below += height + _MARGIN
    return with_legend(sheet, entries)
