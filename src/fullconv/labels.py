"""LabelSet: what the numbers in a label map mean, and how they are drawn and stored as palette PNGs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullconv.errors import DataError

# VOC draws its void border in this colour; it is distinct from every class colour of the VOC palette.
VOID_COLOR = (224, 224, 192)


def voc_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return the first ``count`` (1 to 256) colours of the PASCAL VOC palette, as (red, green, blue) in 0..255.

    The bits of an index are dealt to red, green and blue in turn, the lowest first, filling each channel from its
    highest bit down (VOC development kit, ``VOClabelcolormap``).

    Examples
    --------
    >>> voc_colors(4)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """
    return tuple(_voc_color(index) for index in range(count))


def _voc_color(index: int) -> tuple[int, int, int]:
    red, green, blue = (sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8)) for channel in range(3))
    return red, green, blue


def is_background(name: str) -> bool:
    """Return whether a class is called as what is left over.

    Examples
    --------
    >>> is_background("Background"), is_background("road")
    (True, False)
    """
    return "background" in name.lower() or name.lower() == "bg"


@dataclass(frozen=True)
class LabelSet:
    """The classes of one head: ``names[k]`` and ``colors[k]`` belong to label ``k``; ``ignore_index`` is no class.

    Parameters
    ----------
    names
        One name a class, all different; 1 to 255, as ``ignore_index`` needs a number too.
    colors
        One (red, green, blue) in 0..255 a class; VOC's palette where there are none.
    ignore_index
        The label of pixels without ground truth, after the classes, at most 255; drawn in VOC's light void colour.

    Raises
    ------
    DataError
        When names, colours and ignore value do not fit together.

    Examples
    --------
    >>> labels = LabelSet(("floor", "wall"))
    >>> len(labels)
    2
    >>> labels.colorize(np.array([[0, 1, 255]]))[0].tolist()
    [[0, 0, 0], [128, 0, 0], [224, 224, 192]]
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...] = ()
    ignore_index: int = 255

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 1 <= count <= 255 or len(set(self.names)) != count:
            raise DataError(f"a label set needs 1 to 255 different names; got {count}: {', '.join(self.names)}")
        if not self.colors:
            object.__setattr__(self, "colors", voc_colors(count))
        if len(self.colors) != count or not all(len(c) == 3 and all(0 <= v <= 255 for v in c) for c in self.colors):
            raise DataError(f"{count} classes need {count} colours of three values in 0..255; got {self.colors}")
        if not count <= self.ignore_index <= 255:
            raise DataError(f"the ignore value must lie in {count}..255 (after the classes); got {self.ignore_index}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def palette(self) -> list[int]:
        """The 256 colours of a palette image, flat (768 values in 0..255); labels that mean nothing are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colors
        table[self.ignore_index] = VOID_COLOR
        return table.ravel().tolist()

    def check(self, labels: NDArray[np.integer], source: str = "label map") -> None:
        """Raise :class:`DataError`, naming values and counts, when ``labels`` holds anything but classes and ignore.

        ``labels`` is an integer array (H, W); ``source`` opens the message.
        """
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(f"{source}: labels are integers (H, W); got {labels.dtype} {labels.shape}")
        strange = labels[((labels < 0) | (labels >= len(self))) & (labels != self.ignore_index)]
        if strange.size:
            values, counts = np.unique(strange, return_counts=True)
            found = ", ".join(f"{v} ({c} px)" for v, c in list(zip(values, counts, strict=True))[:5])
            raise DataError(
                f"{source}: labels outside 0..{len(self) - 1} and not {self.ignore_index} (ignore): {found}"
                f"{' and more' if len(values) > 5 else ''}; the mask belongs to another label set or stores colours"
            )

    def colorize(self, labels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the picture uint8 (H, W, 3) RGB of integer ``labels`` (H, W)."""
        self.check(labels)
        return np.array(self.palette, np.uint8).reshape(256, 3)[labels]

    @property
    def foreground(self) -> int | None:
        """The class that is told from a background, of two classes: the one not called so, else the second; else ``None``.

        Examples
        --------
        >>> LabelSet(("polyp", "background")).foreground, LabelSet(("cat", "dog")).foreground, LabelSet(("a",)).foreground
        (0, 1, None)
        """
        if len(self.names) != 2:
            return None
        return 0 if is_background(self.names[1]) and not is_background(self.names[0]) else 1

    def to_image(self, labels: NDArray[np.integer]) -> Image.Image:
        """Return ``labels`` (H, W) as a PIL image of mode ``P``: indices are labels, the palette their colours."""
        self.check(labels)
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette(self.palette)
        return image

    def to_dict(self) -> dict[str, Any]:
        """Return names, colours and ignore value as JSON-able lists; :meth:`from_dict` reads them."""
        return {
            "names": list(self.names),
            "colors": [list(color) for color in self.colors],
            "ignore_index": self.ignore_index,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LabelSet":
        """Return the label set that :meth:`to_dict` described.

        Raises
        ------
        DataError
            When a key is missing or a value is of another kind.
        """
        try:
            names = tuple(str(name) for name in data["names"])
            colors = tuple((int(r), int(g), int(b)) for r, g, b in data["colors"])
            ignore_index = int(data["ignore_index"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"a label set needs names, colors (triples) and ignore_index; got {data!r}") from error
        return cls(names, colors, ignore_index)


def difference(model: LabelSet, data: LabelSet) -> str:
    """Return in words how the classes of a data set differ from a model's; empty where names and order are the same.

    Examples
    --------
    >>> print(difference(LabelSet(("road", "car")), LabelSet(("road", "vehicle"))))
    label 1 is car to the model and vehicle in the data, all else is the same: renamed? Use the model's names
    >>> print(difference(LabelSet(("road", "car")), LabelSet(("car", "road"))))
    the same classes in another order, label 0 is road to the model and car in the data: put data.labels in the model's order
    """
    mine, theirs = model.names, data.names
    places = [place for place in range(min(len(mine), len(theirs))) if mine[place] != theirs[place]]
    shown = [f"label {place} is {mine[place]} to the model and {theirs[place]} in the data" for place in places[:3]]
    more = ", …" if len(places) > 3 else ""
    if mine == theirs:
        return ""
    if sorted(mine) == sorted(theirs):
        return f"the same classes in another order, {shown[0]}: put data.labels in the model's order"
    if len(mine) == len(theirs) > len(places) and not {mine[place] for place in places} & set(theirs):
        return f"{', '.join(shown)}{more}, all else is the same: renamed? Use the model's names"
    sides = (
        ("only the model has", [name for name in mine if name not in theirs]),
        ("only the data have", [name for name in theirs if name not in mine]),
    )
    parts = [f"{who} {', '.join(names[:4])}{', …' if len(names) > 4 else ''}" for who, names in sides if names]
    return f"the model has {len(mine)} classes, the data {len(theirs)}; {'; '.join(parts)}"


VOC = LabelSet(
    names=(
        *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
        *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
    ),
    colors=voc_colors(21),
)
"""The 21 classes of PASCAL VOC with their palette; 255 is void (borders and hard objects)."""
