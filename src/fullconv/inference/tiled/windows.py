"""Tiles one after another, each with its halo through the whole net: works with every engine, in the memory of one tile.

What is computed twice is the halo. Where that costs too much, :mod:`fullconv.inference.tiled.staged` computes less.
"""

from collections.abc import Collection, Iterator

import torch

from fullconv.geometry.tiles import Tile, check_local, spans
from fullconv.inference.device import memory_for
from fullconv.inference.engine import InStrips
from fullconv.inference.predictor import Predictor
from fullconv.inference.tiled.part import Look, Part, Read, Wanted, check_tileable, part_of, read_batch, stacked


def predict_windows(
    predictor: Predictor,
    read: Read,
    size: tuple[int, int],
    *,
    tile: int | tuple[int, int],
    head: str | None = None,
    maps: Collection[str] = (),
    first_row: int = 0,
    look: Look | None = None,
) -> Iterator[Part]:
    """Yield the parts of an image's prediction, row by row, that together are the prediction of the whole image.

    Parameters
    ----------
    predictor
        Runs the net; with any engine but that of an exported file.
    read
        Gives the pixels of a window, ``read(top, left, height, width)``, uint8 (height, width, C) as
        :func:`fullconv.data.images.read_image` does; or such arrays by input, where the model reads depth.
    size
        (height, width) of the image in pixels.
    tile
        (height, width) in pixels of what a tile keeps, or one number for both. More is read around it, see
        :func:`fullconv.geometry.tiles.tiles`.
    head
        Which of the model's outputs; the first by default.
    maps
        What else to make: ``confidence``, ``entropy``.
    first_row
        Parts that end above this row of the image are left out, as they are there already.
    look
        Is shown the logits of every part, see :data:`fullconv.inference.tiled.part.Look`.

    Raises
    ------
    GeometryError
        When the net sees the whole image at once; the layers are named.
    SpecError
        When the predictor resizes images or runs an exported file; when there is no such head.
    DataError
        When a window cannot be read, or the memory is too small for a tile.
    WeightsError
        When a logit is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fullconv.labels import LabelSet
    >>> from fullconv.nn.build import build_model
    >>> predictor = Predictor(build_model("fcn8s-minivgg", 2), {"semantic": LabelSet(("cat", "dog"))})
    >>> image = np.zeros((90, 300, 3), np.uint8)
    >>> read = lambda top, left, height, width: image[top : top + height, left : left + width]
    >>> [(part.top, part.left, part.labels.shape) for part in predict_windows(predictor, read, (90, 300), tile=(90, 200))]
    [(0, 0, (90, 200)), (0, 200, (90, 100))]
    """
    check_tileable(predictor)
    name = predictor.head(head)
    geometry = predictor.model.geometry
    check_local(geometry)
    core = (tile, tile) if isinstance(tile, int) else tile
    down, across = (spans(geometry, axis, size[axis], core[axis]) for axis in (0, 1))
    for rows in down:
        if rows.last > first_row:
            for columns in across:
                yield predict_tile(predictor, read, Tile(rows, columns), Wanted(name, maps, look))


def predict_tile(predictor: Predictor, read: Read, tile: Tile, wanted: Wanted) -> Part:
    """Return what is kept of one tile; errors as :func:`predict_windows`."""
    rows, columns = tile
    batch = read_batch(predictor, read, rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin)
    found: list[Part] = []
    with torch.inference_mode(), memory_for(next(iter(batch.values()))):
        engine, at = predictor.engine, rows.begin
        strips = engine.strips(batch, wanted.head) if isinstance(engine, InStrips) else iter([engine(batch)[wanted.head]])
        for logits in strips:
            begin, end = max(rows.first, at), min(rows.last, at + logits.shape[2])
            if begin < end:
                inner = logits[:, :, begin - at : end - at, columns.kept]
                found.append(part_of(predictor, inner, wanted, (begin, columns.first)))
            at += logits.shape[2]
    return stacked(found)
