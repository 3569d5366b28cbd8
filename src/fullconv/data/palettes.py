"""Whether the palettes of indexed masks agree: editors and optimisers give every file its own, in an order of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colours of the indices that one mask uses, and how many colours its file has in all."""

    used: Mapping[int, Color]
    length: int

    @property
    def tells_apart(self) -> bool:
        """Whether no two indices in use have one colour."""
        return len(set(self.used.values())) == len(self.used)

    @property
    def grey(self) -> bool:
        """Whether all colours in use are greys, which stand for values."""
        return all(red == green == blue for red, green, blue in self.used.values())

    @property
    def fitted(self) -> bool:
        """Whether the file keeps no more colours than it uses, as optimisers leave it (a power of two, by bits a pixel)."""
        return self.length <= 1 << max(1, max(self.used, default=0).bit_length())


def disagreement(
    palettes: Sequence[Palette], label_of: Callable[[int], int | None] = lambda index: index
) -> tuple[int, int, str] | None:
    """Return two places in ``palettes`` that contradict each other and how, or ``None``.

    They do where one colour has indices of different labels in two files, and where one index has different colours in files
    that keep the colours in use only. Files in which indices share a colour say nothing.

    Parameters
    ----------
    palettes
        One a mask.
    label_of
        The label of an index; ``None`` where it has none.

    Examples
    --------
    >>> red, blue = (255, 0, 0), (0, 0, 255)
    >>> disagreement([Palette({1: red, 2: blue}, 256), Palette({1: blue, 2: red}, 256)])
    (0, 1, '(0, 0, 255) is index 2 in one and 1 in the other')
    """
    index_of: dict[Color, tuple[int, int]] = {}
    color_of: dict[int, tuple[Color, int]] = {}
    for place, palette in enumerate(palettes):
        if not palette.tells_apart:
            continue
        for index, color in palette.used.items():
            if label_of(index) is None:
                continue
            other, first = index_of.setdefault(color, (index, place))
            if label_of(other) != label_of(index):
                return first, place, f"{color} is index {other} in one and {index} in the other"
            if palette.fitted:
                shown, first = color_of.setdefault(index, (color, place))
                if shown != color:
                    return first, place, f"index {index} is {shown} in one and {color} in the other"
    return None
