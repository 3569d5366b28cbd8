"""The four metrics of the paper (section 5) from one int64 confusion matrix over the whole data set.

Pixels are counted first and divided once, at the end: averaging a score over images or batches gives another number,
one that depends on the batch size. Rows of a matrix are truth, columns predictions: n_ij pixels of class i were called
j.
"""

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
        if truth.shape != prediction.shape:
            raise DataError(f"truth {truth.shape} and prediction {prediction.shape} must have one shape")
        rows, columns = truth.ravel(), prediction.ravel()
        if ignore_index is not None:
            valid = rows != ignore_index
            rows, columns = rows[valid], columns[valid]
        self._check(rows, f"the truth (ignore is {ignore_index})")
        self._check(columns, "the prediction")
        size = self.num_classes
        pairs = rows.astype(np.intp) * size + columns
        self.matrix += np.bincount(pairs, minlength=size * size).reshape(size, size)

    def _check(self, labels: NDArray[np.integer], source: str) -> None:
        if not np.issubdtype(labels.dtype, np.integer):
            raise DataError(f"{source} holds {labels.dtype}; labels are integers")
        if labels.size == 0 or (labels.min() >= 0 and labels.max() < self.num_classes):
            return
        values, counts = np.unique(labels[(labels < 0) | (labels >= self.num_classes)], return_counts=True)
        found = ", ".join(f"{value} ({count} px)" for value, count in list(zip(values, counts, strict=True))[:5])
        raise DataError(f"labels outside 0..{self.num_classes - 1} in {source}: {found}; use the data set's own label set")

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        if self.num_classes != other.num_classes:
            raise DataError(f"matrices of {self.num_classes} and {other.num_classes} classes cannot be added")
        total = ConfusionMatrix(self.num_classes)
        total.matrix = self.matrix + other.matrix
        return total


@dataclass(frozen=True)
class Scores:
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
    iu, accuracy
        Per class (K,), ``nan`` for classes that the mean leaves out.
    absent
        The policy for classes without truth, see :data:`Absent`.
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iu: float
    frequency_weighted_iu: float
    iu: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    absent: Absent


def scores(matrix: ConfusionMatrix | NDArray[np.int64], absent: Absent = "skip") -> Scores:
    """Return the :class:`Scores` of a confusion matrix (K, K), rows = truth.

    The policy ``absent`` only changes the means over classes and the per-class values it leaves out.

    Raises
    ------
    DataError
        For an unknown policy, or counts that are no square matrix.

    Examples
    --------
    >>> scores(np.array([[3, 1], [0, 4]])).mean_iu
    0.775
    """
    if absent not in ABSENT:
        raise DataError(f"no policy {absent!r} for absent classes; there are {', '.join(ABSENT)}")
    counts = matrix.matrix if isinstance(matrix, ConfusionMatrix) else matrix
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise DataError(f"a confusion matrix is square (K, K), rows = truth; got {counts.shape}")
    hits = np.diag(counts).astype(np.float64)
    truth = counts.sum(1)
    union = truth + counts.sum(0) - hits
    total = truth.sum()
    present = truth > 0
    counted = {"skip": present, "union": union > 0, "zero": np.ones_like(present)}[absent]
    iu = np.where(counted, _ratio(hits, union), np.nan)
    accuracy = np.where(counted if absent == "zero" else present, _ratio(hits, truth), np.nan)
    return Scores(
        pixel_accuracy=float(hits.sum() / total) if total else np.nan,
        mean_accuracy=_mean(accuracy) if total else np.nan,
        mean_iu=_mean(iu) if total else np.nan,
        frequency_weighted_iu=float((truth[present] * iu[present]).sum() / total) if total else np.nan,
        iu=iu,
        accuracy=accuracy,
        absent=absent,
    )


def _ratio(part: NDArray[np.float64], whole: NDArray[np.number]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values[~np.isnan(values)].mean())
