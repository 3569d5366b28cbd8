"""The four metrics of the paper (section 5) from one int64 confusion matrix over the whole data set.

Pixels are counted first and divided once, at the end: averaging a score over images or batches gives another number,
one that depends on the batch size. Rows of a matrix are truth, columns predictions: n_ij pixels of class i were called
j.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fullconv.errors import DataError

Absent = Literal["skip", "union", "zero"]
"""What a mean over classes does with classes that have no pixel in the truth.

``skip``: they are left out (default). ``union``: the IU of a class is left out only when it was not predicted either,
so a few stray pixels add a zero (the reference's ``score.py``: 48.5 becomes 44.1 when three absent classes are
predicted beside 30 present ones). ``zero``: they count as 0.
"""
ABSENT: tuple[Absent, ...] = ("skip", "union", "zero")


def count_pairs(
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    num_classes: int,
    ignore_index: int | None = 255,
    layers: NDArray[np.integer] | None = None,
    num_layers: int = 1,
) -> NDArray[np.int64]:
    """Return how many pixels of class i were called j, in each layer: int64 (L, K, K).

    Parameters
    ----------
    truth, prediction
        Integer arrays of one shape.
    num_classes
        K.
    ignore_index
        Pixels of this truth are left out, whatever is predicted there; ``None``: none are.
    layers, num_layers
        The layer 0..L-1 of every pixel, of the same shape, and L; without them there is one.

    Raises
    ------
    DataError
        When shapes differ or a label is outside 0..K-1.

    Examples
    --------
    >>> count_pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), 2, layers=np.array([0, 1, 1]), num_layers=2).tolist()
    [[[1, 0], [0, 0]], [[0, 1], [0, 1]]]
    """
    if truth.shape != prediction.shape:
        raise DataError(f"truth {truth.shape} and prediction {prediction.shape} must have one shape")
    where = (truth.ravel(), prediction.ravel(), *(() if layers is None else (layers.ravel(),)))
    last = _last_of_runs(where)
    rows, columns, *planes = where if last is None else (labels[last] for labels in where)
    lengths = None if last is None else np.diff(last, prepend=-1)
    valid = slice(None) if ignore_index is None else rows != ignore_index
    rows, columns = rows[valid], columns[valid]
    if not (_known(rows, num_classes) and _known(columns, num_classes)):
        every = slice(None) if ignore_index is None else where[0] != ignore_index
        _check(where[0][every], num_classes, f"the truth (ignore is {ignore_index})")
        _check(where[1][every], num_classes, "the prediction")
    pairs = rows.astype(np.intp)
    if planes:
        pairs += planes[0][valid].astype(np.intp) * num_classes
    pairs *= num_classes
    pairs += columns.astype(np.intp)
    # sums of weights are floating point numbers, exact far beyond any number of pixels
    counts = np.bincount(pairs, None if lengths is None else lengths[valid], num_layers * num_classes**2)
    return counts.astype(np.int64, copy=False).reshape(num_layers, num_classes, num_classes)


def _last_of_runs(labels: Sequence[NDArray[np.integer]]) -> NDArray[np.intp] | None:
    """Return where runs of pixels end that are alike in every array; ``None`` where there are too many to be worth it.

    Labels of photographs are the same for many pixels in a row, so there are far fewer runs than pixels.
    """
    first, *others = labels
    if not first.size:
        return None
    changes = first[1:] != first[:-1]
    for other in others:
        changes |= other[1:] != other[:-1]
    if np.count_nonzero(changes) > first.size / 8:
        return None
    return np.append(np.flatnonzero(changes), first.size - 1)


def _known(labels: NDArray[np.integer], num_classes: int) -> bool:
    whole = np.issubdtype(labels.dtype, np.integer)
    return whole and (labels.size == 0 or bool(labels.min() >= 0 and labels.max() < num_classes))


def _check(labels: NDArray[np.integer], num_classes: int, source: str) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{source} holds {labels.dtype}; labels are integers")
    if _known(labels, num_classes):
        return
    values, counts = np.unique(labels[(labels < 0) | (labels >= num_classes)], return_counts=True)
    found = ", ".join(f"{value} ({count} px)" for value, count in list(zip(values, counts, strict=True))[:5])
    raise DataError(f"labels outside 0..{num_classes - 1} in {source}: {found}; use the data set's own label set")


class ConfusionMatrix:
    """Counts of (truth, prediction) pairs of ``num_classes`` classes; images come in any order and portions.

    Parameters
    ----------
    num_classes
        K, at least 1.

    Examples
    --------
    >>> matrix = ConfusionMatrix(2)
    >>> matrix.update(np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 0]]))
    >>> matrix.matrix.tolist()
    [[1, 1], [0, 1]]
    >>> (matrix + matrix).matrix.sum()
    np.int64(6)
    """

    def __init__(self, num_classes: int) -> None:
        self.matrix: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.matrix)

    def update(self, truth: NDArray[np.integer], prediction: NDArray[np.integer], ignore_index: int | None = 255) -> None:
        """Count the pixels of ``truth`` and ``prediction``, integer arrays of one shape.

        Pixels whose truth is ``ignore_index`` are left out (``None``: none are); what is predicted there
        does not matter.

        Raises
        ------
        DataError
            When shapes differ or a label is outside 0..K-1; then nothing is counted.
        """
        self.matrix += count_pairs(truth, prediction, self.num_classes, ignore_index)[0]

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        if self.num_classes != other.num_classes:
            raise DataError(f"matrices of {self.num_classes} and {other.num_classes} classes cannot be added")
        total = ConfusionMatrix(self.num_classes)
        total.matrix = self.matrix + other.matrix
        return total


@dataclass(frozen=True)
class Metrics:
    """The paper's metrics, all in 0..1; ``nan`` where nothing was counted.

    Attributes
    ----------
    pixel_accuracy
        sum_i n_ii / sum_i t_i, with t_i the pixels of class i.
    mean_accuracy
        Mean over classes of n_ii / t_i.
    mean_iu
        Mean over classes of n_ii / (t_i + sum_j n_ji - n_ii), intersection over union.
    frequency_weighted_iu
        sum_i t_i IU_i / sum_k t_k.
    iu, accuracy, dice
        Per class (K,), ``nan`` for classes that the mean leaves out. Dice is 2 n_ii / (t_i + sum_j n_ji), also called F1.
    absent
        The policy for classes without ground truth, see :data:`Absent`.
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iu: float
    frequency_weighted_iu: float
    iu: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    dice: NDArray[np.float64]
    absent: Absent


def metrics_of(matrix: ConfusionMatrix | NDArray[np.int64], absent: Absent = "skip") -> Metrics:
    """Return the :class:`Metrics` of a confusion matrix (K, K), rows = truth.

    The policy ``absent`` only changes the means over classes and the per-class values it leaves out.

    Raises
    ------
    DataError
        For an unknown policy, or counts that are no square matrix.

    Examples
    --------
    >>> metrics_of(np.array([[3, 1], [0, 4]])).mean_iu
    0.775
    """
    counts = matrix.matrix if isinstance(matrix, ConfusionMatrix) else matrix
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise DataError(f"a confusion matrix is square (K, K), rows = truth; got {counts.shape}")
    found = tally_metrics(tally(counts), absent)
    return Metrics(
        pixel_accuracy=float(found["pixel_accuracy"]),
        mean_accuracy=float(found["mean_accuracy"]),
        mean_iu=float(found["mean_iu"]),
        frequency_weighted_iu=float(found["frequency_weighted_iu"]),
        iu=found["iu"],
        accuracy=found["accuracy"],
        dice=found["dice"],
        absent=absent,
    )


def tally(matrices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the tallies (..., 3, K) of confusion matrices (..., K, K): hits, truth and predictions of every class, in pixels.

    They add up over images as matrices do, all four metrics follow from them, and they are small: 24 K bytes.

    Examples
    --------
    >>> tally(np.array([[3, 1], [0, 4]])).tolist()
    [[3, 4], [4, 4], [3, 5]]
    """
    return np.stack([np.diagonal(matrices, axis1=-2, axis2=-1), matrices.sum(-1), matrices.sum(-2)], -2)


def tally_metrics(tallies: NDArray[np.number], absent: Absent = "skip") -> dict[str, NDArray[np.float64]]:
    """Return the metrics of many tallies (..., 3, K) at once, by their names in :class:`Metrics`.

    The four are float64 (...), ``iu``, ``accuracy`` and ``dice`` (..., K); values and policy are those of :func:`metrics_of`.

    Raises
    ------
    DataError
        For an unknown policy.
    """
    if absent not in ABSENT:
        raise DataError(f"no policy {absent!r} for absent classes; there are {', '.join(ABSENT)}")
    hits, truth, predicted = np.moveaxis(np.asarray(tallies, np.float64), -2, 0)
    union = truth + predicted - hits
    total = truth.sum(-1)
    present = truth > 0
    counted = {"skip": present, "union": union > 0, "zero": np.ones_like(present)}[absent]
    iu = np.where(counted, _ratio(hits, union, 0), np.nan)
    accuracy = np.where(counted if absent == "zero" else present, _ratio(hits, truth, 0), np.nan)
    return {
        "pixel_accuracy": _ratio(hits.sum(-1), total),
        "mean_accuracy": np.where(total > 0, mean_of_known(accuracy), np.nan),
        "mean_iu": np.where(total > 0, mean_of_known(iu), np.nan),
        "frequency_weighted_iu": _ratio((truth * np.where(present, iu, 0)).sum(-1), total),
        "iu": iu,
        "accuracy": accuracy,
        "dice": np.where(counted, _ratio(2 * hits, truth + predicted, 0), np.nan),
    }


def mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis of what is not ``nan``; ``nan`` where nothing is known.

    Examples
    --------
    >>> mean_of_known(np.array([[0.25, np.nan, 0.75], [np.nan, np.nan, np.nan]]))
    array([0.5, nan])
    """
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.number], empty: float = np.nan) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(np.shape(part), empty, np.float64), where=whole > 0)
