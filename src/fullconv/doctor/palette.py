"""The palette behind a data set's masks, and what is left of it when they are saved as colours or as grey."""

from fullconv.doctor.context import Context
from fullconv.labels import VOID_COLOR, voc_colors

Color = tuple[int, int, int]


def palette_of(context: Context) -> dict[int, Color]:
    """Return the colours of the data set's own palette images by index; VOC's palette where there are none."""
    return own_palette(context) or {
        **dict(enumerate(voc_colors(max(21, len(context.label_map.labels))))),
        context.label_map.labels.ignore_index: VOID_COLOR,
    }


def own_palette(context: Context) -> dict[int, Color]:
    """Return the colours of the data set's own palette images by index, the first image's where they differ."""
    own: dict[int, Color] = {}
    for _, mask in context.masks():
        own = {**(mask.palette.used if mask.palette else {}), **own}
    return own


def palette_greys(context: Context) -> set[int]:
    """Return the greys that converting makes of the palette's colours."""
    return {luma(color) for color in palette_of(context).values()}


def luma(color: Color) -> int:
    """Return the grey 0..255 that PIL makes of a colour.

    Examples
    --------
    >>> luma((128, 0, 0)), luma((0, 128, 0))
    (38, 75)
    """
    red, green, blue = color
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
