"""The loop over a data set: evaluate(predict, dataset, labels) -> Report counts, compare(…) -> Evaluation keeps more.

Both read a sample once and measure it at its own size; memory holds one image at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fullconv.data.sample import SEMANTIC, Dataset, Sample
from fullconv.errors import DataError
from fullconv.evaluation.report import Report
from fullconv.evaluation.study import Evaluation, Study, Worst
from fullconv.evaluation.trimap import WIDTHS, Trimap, bands
from fullconv.labels import LabelSet, difference
from fullconv.metrics import Absent, ConfusionMatrix, count_pairs, tally, tally_metrics

Predict = Callable[[Mapping[str, Tensor]], NDArray[np.integer]]
"""Input streams of one sample, uint8 (C, H, W) each, to the labels (H, W) of one head."""
Progress = Callable[[int, int], None]
WORST = 6
"""How many of the images with the lowest scores are kept to be looked at."""


def evaluate(
    predict: Predict,
    dataset: Dataset,
    labels: LabelSet,
    *,
    head: str = SEMANTIC,
    absent: Absent = "skip",
    progress: Progress | None = None,
) -> Report:
    """Return the :class:`Report` of ``predict`` on every sample of ``dataset``, one image at a time at its own size.

    Parameters
    ----------
    predict
        Gets the input streams of a sample, uint8 (C, H, W) each; returns integer labels (H, W).
    dataset
        Samples with truth for ``head``.
    labels
        The classes of that head; its ignore value is left out of all counts.
    absent
        What means do with classes without ground truth.
    progress
        Called with (images done, images in all) after each image.

    Raises
    ------
    DataError
        When the data set is empty, lacks the head or has other classes; when truth or prediction hold labels that are not
        in ``labels``, or differ in size; the sample is named.
    """
    matrix = ConfusionMatrix(len(labels))
    for sample, truth in _samples(dataset, labels, head, progress):
        with _named(dataset, sample):
            matrix.update(truth, predict(sample.inputs), labels.ignore_index)
    return Report(dataset.name, labels, matrix, len(dataset), absent)


def compare(
    models: Mapping[str, tuple[Predict, LabelSet]],
    dataset: Dataset,
    *,
    head: str = SEMANTIC,
    absent: Absent = "skip",
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Return the :class:`Evaluation` of one or several models on every sample of ``dataset``.

    Parameters
    ----------
    models
        By name: what predicts, as for :func:`evaluate`, and the classes that it predicts.
    dataset, head, absent, progress
        As for :func:`evaluate`.
    seed
        Of the bootstrap.

    Raises
    ------
    DataError
        As :func:`evaluate`, and when there is no model or the models' classes differ.

    Examples
    --------
    >>> from fullconv.data import open_dataset
    >>> from fullconv.spec import DataSpec
    >>> scenes = open_dataset(DataSpec(size=(24, 32), val_count=3), "val")
    >>> nothing = lambda inputs: np.zeros(inputs["rgb"].shape[1:], np.uint8)
    >>> found = compare({"nothing": (nothing, scenes.labels["semantic"])}, scenes)
    >>> found.first.images["mean_iu"].shape
    (3,)
    """
    if not models:
        raise DataError("no model to measure; give at least one by its name")
    (first, (_, labels)), *others = models.items()
    for name, (_, classes) in others:
        if classes.names != labels.names:
            raise DataError(
                f"{name} predicts the classes {_some(classes)}, but {first} predicts {_some(labels)}; "
                "only models of the same classes can stand side by side"
            )
    counts = {name: _Counts(len(labels), labels.ignore_index) for name in models}
    names = []
    for index, (sample, truth) in enumerate(_samples(dataset, labels, head, progress)):
        names.append(sample.name)
        layers = bands(truth)
        for name, (predict, _) in models.items():
            with _named(dataset, sample):
                counts[name].add(index, truth, predict(sample.inputs), layers)
    studies = {}
    for name, found in counts.items():
        matrix = ConfusionMatrix(len(labels))
        matrix.matrix += found.rings.sum(0)
        report = Report(dataset.name, labels, matrix, len(dataset), absent)
        studies[name] = Study(report, Trimap(WIDTHS, found.rings, absent), np.stack(found.tallies), tuple(found.worst))
    return Evaluation(studies, tuple(names), seed)


class _Counts:
    """What is kept of one model while the loop runs."""

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.rings = np.zeros((len(WIDTHS) + 1, num_classes, num_classes), np.int64)
        self.tallies: list[NDArray[np.int64]] = []
        self.worst: list[Worst] = []

    def add(self, index: int, truth: NDArray[np.integer], prediction: NDArray[np.integer], layers: NDArray[np.uint8]) -> None:
        rings = count_pairs(truth, prediction, self.num_classes, self.ignore_index, layers, len(self.rings))
        self.rings += rings
        self.tallies.append(tally(rings.sum(0)))
        score = float(tally_metrics(self.tallies[-1], "union")["mean_iu"])
        if not np.isnan(score):
            self.worst = sorted([*self.worst, (score, index, prediction)], key=lambda image: image[:2])[:WORST]


def _samples(
    dataset: Dataset, labels: LabelSet, head: str, progress: Progress | None
) -> Iterator[tuple[Sample, NDArray[np.integer]]]:
    """Yield every sample with its truth (H, W) for ``head``, after a look at whether it can be measured at all."""
    if not len(dataset):
        raise DataError(f"{dataset.name} is empty; nothing can be measured on it")
    if head in dataset.labels and dataset.labels[head].names != labels.names:
        raise DataError(
            f"{dataset.name} has the classes {_some(dataset.labels[head])}, but the predictions are of {_some(labels)}; "
            f"{difference(labels, dataset.labels[head])}; measure a model on the classes that it was trained for"
        )
    for index in range(len(dataset)):
        sample = dataset[index]
        if head not in sample.targets:
            raise DataError(f"{sample.name}: no ground truth for head {head!r}; there is {', '.join(sample.targets) or 'none'}")
        yield sample, sample.targets[head].numpy()
        if progress is not None:
            progress(index + 1, len(dataset))


@contextmanager
def _named(dataset: Dataset, sample: Sample) -> Iterator[None]:
    """Say in errors which sample they are about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{dataset.name}, {sample.name}: {error}") from error


def _some(labels: LabelSet) -> str:
    return f"{', '.join(labels.names[:4])}{', …' if len(labels) > 4 else ''} ({len(labels)})"
