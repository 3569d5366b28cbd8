"""A large image that is being predicted: how it is cut, which of its rows are finished, and what is kept for further ones.

All of it lies in two hidden files beside the result, ``.NAME.bands`` and ``.NAME.rows``, and whoever is stopped goes on there.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.bands import Bands
from fullconv.inference.tiled.kept_rows import KeptRows
from fullconv.inference.tiled.part import Part, Read
from fullconv.inference.tiled.plan import Cut, cut_of

VERSION = 2
"""Of what is kept: of another, nothing is gone on with."""


class Begun:
    """What is there of an image in parts.

    Parameters
    ----------
    path
        Of the finished rows, ``.NAME.bands``.
    size
        (height, width) of the image in pixels.
    about
        What is computed, and from what: rows of something else are thrown away, and that is said. JSON.
    plan
        Says how to cut the image; not asked where an earlier run was stopped, which is gone on with as it was begun.
    say
        Is told in a line how the image is predicted.

    Attributes
    ----------
    how
        How the image is cut.
    bands
        Its finished rows.

    Raises
    ------
    FullconvError
        When the folder cannot be written.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], about: Mapping[str, Any], plan: Callable[[], Cut], say: Callable[[str], None]
    ) -> None:
        self._size = size
        about = {"version": VERSION, "size": list(size), **about}
        before = dict(about_of(path) or {})
        key = before.pop("cut", None)
        if key is not None and before == json.loads(json.dumps(about)):
            self.how = cut_of(key)
        else:
            self.how = plan()
            if path.exists():
                say(f"{path} is of another image, model or setting, and is begun again")
        about |= {"cut": self.how.key}
        self.bands, self._kept = Bands(path, about), KeptRows(_kept_rows(path), about, say)
        there = f"; {self.bands.rows} rows were there already" if self.bands.rows else ""
        say(f"{size[0]}×{size[1]} px, {self.how.about}{there}")

    def further_rows(self, predictor: Predictor, read: Read, **how: Any) -> Iterator[dict[str, NDArray[np.uint8]]]:
        """Yield the next whole rows of every layer, "labels" and maps by name; whoever asks for more has added them to the bands.

        Parameters are those of :func:`fullconv.inference.tiled.windows.predict_windows`.
        """
        row: list[Part] = []
        for part in self.how.parts(predictor, read, self._size, first_row=self.bands.rows, between=self._kept, **how):
            row.append(part)
            if part.left + part.labels.shape[1] == self._size[1]:
                yield {name: np.concatenate([_layer(each, name) for each in row], 1) for name in ("labels", *part.maps)}
                row = []

    def close(self) -> None:
        """Leave everything for another time."""
        self.bands.close()

    def remove(self) -> None:
        """Delete everything, as the results are written."""
        self._kept.remove()
        self.bands.remove()


def _layer(part: Part, name: str) -> NDArray[np.uint8]:
    return part.labels if name == "labels" else part.maps[name]


def _kept_rows(path: Path) -> Path:
    return path.with_suffix(".rows")


def about_of(path: Path) -> dict[str, Any] | None:
    """Return what finished rows are of; ``None`` where there are none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def has_rows(path: Path) -> bool:
    """Return whether rows of an image are finished."""
    try:
        with path.open("rb") as file:
            return bool(file.readline()) and bool(file.readline())
    except OSError:
        return False


def discard(path: Path) -> None:
    """Remove what is there of an image."""
    for each in (_kept_rows(path), path):
        each.unlink(missing_ok=True)
