"""The IU that labels of a coarse stride could reach: truth is down-sampled, up-sampled again and compared with itself.

The journal version of the paper (Shelhamer, Long, Darrell 2016) prints such figures for VOC but not how labels were resampled,
so there are two ways. ``nearest``: a cell has the label at its centre, repeated. ``linear``: a cell has the share of every
class, the shares are up-sampled as an FCN's fixed deconvolution does, and the largest wins. Neither is a bound in the strict
sense: scores other than the shares can do a little better; it is what perfect knowledge of every cell gives.

Letters: H W label map, h w cells, f factor, K classes. Cells are f×f pixels from the first row and column on; the last are cut.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError
from fullconv.metrics import ConfusionMatrix

Resampling = Literal["linear", "nearest"]
RESAMPLINGS: tuple[Resampling, ...] = ("linear", "nearest")
FACTORS = (128, 64, 32, 16, 8, 4)
"""Those of the paper."""


def bounds(
    maps: Iterable[NDArray[np.integer]], num_classes: int, factors: Sequence[int] = FACTORS, ignore_index: int = 255
) -> dict[tuple[Resampling, int], ConfusionMatrix]:
    """Return what :func:`coarsen` makes of label maps, counted against them: a matrix (K, K) for each way and factor.

    Parameters
    ----------
    maps
        Labels integer (H, W), any sizes; read once, one after the other.
    num_classes
        K.
    factors
        In pixels.
    ignore_index
        The label of pixels without ground truth; they are neither averaged nor counted.

    Raises
    ------
    DataError
        As :func:`coarsen`, and for labels outside 0..K-1.

    Examples
    --------
    >>> found = bounds([np.array([[0, 0, 0, 1]])], num_classes=2, factors=[2, 1])
    >>> found["nearest", 2].matrix.tolist(), found["nearest", 1].matrix.tolist()
    ([[3, 0], [1, 0]], [[3, 0], [0, 1]])
    """
    found = {(way, factor): ConfusionMatrix(num_classes) for way in RESAMPLINGS for factor in factors}
    for labels in maps:
        for (way, factor), matrix in found.items():
            matrix.update(labels, coarsen(labels, factor, way, ignore_index), ignore_index)
    return found


def coarsen(
    labels: NDArray[np.integer], factor: int, resampling: Resampling = "linear", ignore_index: int = 255
) -> NDArray[np.integer]:
    """Return ``labels`` (H, W) down-sampled by ``factor`` and up-sampled again, the same shape and dtype, no pixel ignored.

    Memory is a few maps H×W of float32, however many classes there are.

    Parameters
    ----------
    labels
        Integer, any H, W >= 1.
    factor
        Side of a cell in pixels, from 1 (which changes nothing but ignored pixels) to beyond the map.
    resampling
        ``nearest``: the label of the valid pixel that is nearest to the cell's centre; of equally near ones the first.
        ``linear``: the class with the largest share, bilinear between the centres of cells; of equal ones the smallest.
    ignore_index
        Label of pixels to leave out. Where nothing else is in reach the result is some class of the map, or 0.

    Raises
    ------
    DataError
        For a factor below 1, an unknown resampling, or an array that is no label map.

    Examples
    --------
    >>> coarsen(np.array([[1, 1, 255, 2, 2, 2]]), 3, "nearest").tolist()
    [[1, 1, 1, 2, 2, 2]]
    """
    if factor < 1 or resampling not in RESAMPLINGS:
        raise DataError(f"cannot down-sample by {factor} {resampling!r}; give a factor from 1 on and {' or '.join(RESAMPLINGS)}")
    if labels.ndim != 2 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"a label map is integer (H, W); got {labels.dtype} {labels.shape}")
    present = np.unique(labels)
    classes = present[present != ignore_index]
    if not classes.size:
        return np.zeros_like(labels)
    found = _nearest(labels, factor, ignore_index) if resampling == "nearest" else _linear(labels, factor, classes)
    return np.where(found == ignore_index, classes[0], found) if resampling == "nearest" else found


def _nearest(labels: NDArray[np.integer], factor: int, ignore_index: int) -> NDArray[np.integer]:
    """Return the label of each cell, repeated; ``ignore_index`` where a cell holds nothing else."""
    (height, width), (rows, columns) = labels.shape, _cells(labels.shape, factor)
    whole = np.full((rows * factor, columns * factor), ignore_index, labels.dtype)
    whole[:height, :width] = labels
    cells = whole.reshape(rows, factor, columns, factor).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    off_centre = (2 * np.arange(factor) - (factor - 1)) ** 2  # in half pixels, so that it is exact
    cells = cells[:, np.argsort(np.add.outer(off_centre, off_centre).ravel(), kind="stable")]
    first = (cells != ignore_index).argmax(1)
    picked = cells[np.arange(len(cells)), first].reshape(rows, columns)
    return picked.repeat(factor, 0).repeat(factor, 1)[:height, :width]


def _linear(labels: NDArray[np.integer], factor: int, classes: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the class with the largest up-sampled share at each pixel.

    A deconvolution adds zeros at the border, here the outermost cell is repeated: all classes' sums differ by one factor, the
    largest stays the largest. For the same reason cells without a valid pixel may have shares of zero.
    """
    shape = labels.shape
    best, found = np.zeros(shape, np.float32), np.full(shape, classes[0], labels.dtype)
    rows, columns = (_taps(side, factor) for side in shape)
    for label, share in zip(classes, _shares(labels, factor, classes), strict=True):
        raised = _between(_between(share, rows, 0), columns, 1)
        better = raised > best
        np.copyto(best, raised, where=better)
        found[better] = label
    return found


def _shares(labels: NDArray[np.integer], factor: int, classes: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the share of each class among the valid pixels of each cell, (number of classes, h, w)."""
    shape = _cells(labels.shape, factor)
    starts = [np.arange(cells) * factor for cells in shape]
    shares = np.empty((len(classes), *shape), np.float32)
    for number, label in enumerate(classes):
        # columns first: along the rows in memory, and what is left to add is smaller
        shares[number] = np.add.reduceat(np.add.reduceat(labels == label, starts[1], 1, np.int32), starts[0], 0)
    total = shares.sum(0)
    return np.divide(shares, total, out=shares, where=total > 0)


def _cells(shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    return -(-shape[0] // factor), -(-shape[1] // factor)


def _taps(side: int, factor: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each pixel along a side the cells before and after it and the weight of the latter."""
    at = (np.arange(side) - (factor - 1) / 2) / factor
    below = np.floor(at).astype(np.intp)
    last = -(-side // factor) - 1
    return below.clip(0, last), (below + 1).clip(0, last), (at - below).astype(np.float32)


def _between(
    maps: NDArray[np.float32], taps: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]], axis: int
) -> NDArray[np.float32]:
    """Return ``maps`` up-sampled along an axis, linear between the centres of cells."""
    below, above, weight = taps
    weight = weight if axis else weight[:, None]
    raised = maps.take(below, axis)
    raised += (maps.take(above, axis) - raised) * weight
    return raised
