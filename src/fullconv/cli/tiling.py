"""The options of ``predict`` for images that are larger than the memory."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

if TYPE_CHECKING:
    from fullconv.inference.tiled.jobs import Tiling

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
WINDOWS = 8
"""That ``--verify`` computes once more."""


@Parameter(name="*", negative="")
@dataclass(frozen=True)
class Parts:
    """Images that do not fit into memory are predicted in parts, which together are exactly the whole.

    Parameters
    ----------
    max_memory
        What the process may take, such as 2GB or 800MB; by default what is free.
    tile
        Cut larger images into tiles of so many pixels a side, in place of what the memory suggests.
    verify
        Of images in parts, compute random windows once more by themselves and say by how much logits differ.
    approximate
        Blend windows where the model sees the whole image at once (global pooling), and no parts can be exact.
    """

    max_memory: str | None = None
    tile: int | None = None
    verify: bool = False
    approximate: bool = False

    def tiling(self, say: Callable[[str], None]) -> "Tiling":
        """Return what the options say.

        Raises
        ------
        SpecError
            When the memory is no number of bytes, or the tile no number of pixels.
        """
        from fullconv.errors import SpecError
        from fullconv.inference.tiled.jobs import Tiling

        if self.tile is not None and self.tile < 1:
            raise SpecError(f"--tile is {self.tile}; accepted is a number of pixels, 1 and more")
        memory = None if self.max_memory is None else bytes_of(self.max_memory)
        return Tiling(memory, self.tile, WINDOWS * self.verify, self.approximate, say)


def bytes_of(text: str) -> int:
    """Return a number of bytes with a unit.

    Raises
    ------
    SpecError
        When it is none.

    Examples
    --------
    >>> bytes_of("1.5GB"), bytes_of("800 MiB")
    (1500000000, 838860800)
    """
    from fullconv.errors import SpecError

    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", text, re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        raise SpecError(f"--max-memory is {text!r}; accepted are bytes with a unit, such as 2GB, 800MB or 2GiB")
    number, unit, binary = found.groups()
    scale = 1024 ** list(UNITS).index(unit.upper()) if binary else UNITS[unit.upper()]
    return int(float(number) * scale)


AS_NEEDED = Parts()
"""None of the options given."""
