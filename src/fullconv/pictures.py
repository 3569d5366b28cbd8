"""Pictures of label maps: truth and prediction side by side, errors, overlays, legends. Drawn with PIL."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fullconv.errors import DataError
from fullconv.labels import LabelSet

WRONG = (235, 40, 40)
IGNORED = (128, 128, 128)
_INK, _PAPER, _MARGIN, _TEXT = (30, 30, 30), (255, 255, 255), 8, 14

Row = tuple[NDArray[np.uint8], NDArray[np.integer], NDArray[np.integer]]
"""Image uint8 (H, W, 3) RGB, truth (H, W), prediction (H, W)."""


def error_picture(
    image: NDArray[np.uint8], truth: NDArray[np.integer], prediction: NDArray[np.integer], ignore_index: int = 255
) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3): the image, dark, where the prediction is right; red where wrong; grey where ignored."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    picture = np.repeat((0.4 * luma)[..., None], 3, axis=2)
    wrong = truth != prediction
    picture[wrong] = 0.75 * np.array(WRONG) + 0.25 * luma[wrong, None]
    picture[truth == ignore_index] = IGNORED
    return picture.round().astype(np.uint8)


def overlay(
    image: NDArray[np.uint8], labels: NDArray[np.integer], label_set: LabelSet, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3): the colours of ``labels`` (H, W) laid over ``image`` with ``opacity`` in 0..1."""
    mixed = (1 - opacity) * image + opacity * label_set.colorize(labels)
    return mixed.round().astype(np.uint8)


def legend(label_set: LabelSet, present: Iterable[int], width: int) -> Image.Image:
    """Return an RGB image ``width`` px wide: colour and name of the classes ``present``, in lines as many as needed.

    Labels that are no class of ``label_set`` (ignore) are left out.
    """
    classes = sorted({int(k) for k in present} & set(range(len(label_set))))
    return _entries([(label_set.colors[k], label_set.names[k]) for k in classes], width)


def _entries(entries: Sequence[tuple[tuple[int, int, int], str]], width: int) -> Image.Image:
    font = ImageFont.load_default(_TEXT)
    places, left, top, line = [], _MARGIN, _MARGIN, _TEXT + 8
    for color, name in entries:
        needed = _TEXT + 5 + round(font.getlength(name)) + 2 * _MARGIN
        if left > _MARGIN and left + needed > width:
            left, top = _MARGIN, top + line
        places.append((left, top, color, name))
        left += needed
    canvas = Image.new("RGB", (width, top + line + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for left, top, color, name in places:
        draw.rectangle((left, top + 2, left + _TEXT, top + 2 + _TEXT), fill=color, outline=_INK)
        draw.text((left + _TEXT + 5, top), name, font=font, fill=_INK)
    return canvas


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
    if not rows:
        raise DataError("a grid of predictions needs at least one row")
    titles = ("image", "truth", "prediction", "error")
    total = _MARGIN + len(titles) * (width + _MARGIN)
    lines = [_line(row, label_set, width, total) for row in rows]
    present = {int(k) for _, *maps in rows for labels in maps for k in np.unique(labels)}
    header = Image.new("RGB", (total, _TEXT + 2 * _MARGIN), _PAPER)
    for column, title in enumerate(titles):
        place = (_MARGIN + column * (width + _MARGIN), _MARGIN)
        ImageDraw.Draw(header).text(place, title, font=ImageFont.load_default(_TEXT), fill=_INK)
    marks = _entries([(WRONG, "wrong"), ((60, 60, 60), "right (dark)"), (IGNORED, "no truth")], total)
    return _column([header, *lines, legend(label_set, present, total), marks])


def _line(row: Row, label_set: LabelSet, width: int, total: int) -> Image.Image:
    image, truth, prediction = row
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    error = error_picture(image, truth, prediction, label_set.ignore_index)
    cells = (image, label_set.colorize(truth), label_set.colorize(prediction), error)
    line = Image.new("RGB", (total, height + _MARGIN), _PAPER)
    for column, cell in enumerate(cells):
        # labels and errors keep their hard borders, only the photograph is smoothed
        resampling = Image.Resampling.NEAREST if column else Image.Resampling.LANCZOS
        picture = Image.fromarray(cell).resize((width, height), resampling)
        line.paste(picture, (_MARGIN + column * (width + _MARGIN), 0))
    return line


def _column(parts: Sequence[Image.Image]) -> Image.Image:
    canvas = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), _PAPER)
    top = 0
    for part in parts:
        canvas.paste(part, (0, top))
        top += part.height
    return canvas
