"""The settings of a CRF, found on images with truth: a coordinate search, first coarse, then fine.

From the settings at the start, each value in turn is doubled or halved while that helps; then each is multiplied or divided by
√2 while that helps. No setting is measured twice. The values are widths and weights, for which factors are the natural steps,
and the score is flat near its top: finer steps would fit the images that it is tuned on.

What is maximised is the mean IU near label borders, averaged over the bands of :data:`fullconv.evaluation.trimap.WIDTHS`:
outlines are what a CRF is for, and the mean IU over all pixels hardly moves with them. The widest bands hold most of a
image's objects, so that wiping out small ones does not pay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fullconv.crf.mean_field import DEFAULT, CRFSpec, Segmenter, image_of, refine
from fullconv.crf.settings import Tuned
from fullconv.data.sample import Dataset
from fullconv.errors import DataError
from fullconv.evaluation.trimap import WIDTHS, Trimap, bands
from fullconv.metrics import count_pairs, metrics_of

FACTORS = (2.0, 2.0**0.5)
"""Steps of the search, one round each."""
SEARCHED = ("appearance_color", "appearance_position", "appearance_weight", "smoothness_weight", "smoothness_position")
"""The values that are searched, in this order; the number of iterations stays."""


@dataclass(frozen=True)
class _Case:
    """An image with what the net says of it, its truth, and the band of each pixel."""

    scores: NDArray[np.float32]
    image: NDArray[np.uint8]
    truth: NDArray[np.integer]
    layers: NDArray[np.uint8]


def tune(
    predictor: Segmenter,
    dataset: Dataset,
    *,
    head: str | None = None,
    start: CRFSpec = DEFAULT,
    progress: Callable[[int], None] = lambda refined: None,
    better: Callable[[Tuned], None] = lambda found: None,
) -> Tuned:
    """Return the settings with which a CRF behind ``predictor`` does best near the borders of the images of ``dataset``.

    The net sees each image once. Its probabilities are kept, 4 K H W bytes an image, so tune on tens of images and
    measure on others.

    Parameters
    ----------
    predictor, head
        The model, and which of its outputs.
    dataset
        Images with truth; none that the settings are measured on later.
    start
        Where the search begins.
    progress
        Called after each image of each trial with the number of images refined so far.
    better
        Called with what was found so far, each time that it is better than before.

    Raises
    ------
    DataError
        When the data set is empty, lacks the head, has other classes, or no border between labels.
    """
    head = predictor.head(head)
    labels = predictor.labels[head]
    cases = _cases(predictor, dataset, head)
    refined = 0

    def measure(crf: CRFSpec | None) -> tuple[float, float]:
        nonlocal refined
        rings = np.zeros((len(WIDTHS) + 1, len(labels), len(labels)), np.int64)
        for case in cases:
            found = case.scores if crf is None else refine(case.scores, case.image, crf)
            rings += count_pairs(case.truth, found.argmax(0), len(labels), labels.ignore_index, case.layers, len(rings))
            if crf is not None:
                refined += 1
                progress(refined)
        near = [band.mean_iu for band in Trimap(WIDTHS, rings).metrics()]
        return float(np.mean(near)), metrics_of(rings.sum(0)).mean_iu

    before = measure(None)
    if np.isnan(before[0]):
        raise DataError(f"{dataset.name}: no pixel with truth is near a border between labels; outlines cannot be tuned on it")
    known: dict[CRFSpec, tuple[float, float]] = {}

    def score(crf: CRFSpec) -> float:
        if crf not in known:
            highest = max((value for value, _ in known.values()), default=-1.0)
            known[crf] = measure(crf)
            if known[crf][0] > highest:
                better(describe(crf))
        return known[crf][0]

    def describe(crf: CRFSpec) -> Tuned:
        near, whole = zip(before, known[crf], strict=True)
        return Tuned(crf=crf, data=dataset.name, images=len(cases), trials=len(known), trimap_iu=near, mean_iu=whole)

    return describe(climb(score, start))


def climb(score: Callable[[CRFSpec], float], start: CRFSpec) -> CRFSpec:
    """Return the settings with the highest score on the way of the search that the module describes.

    Examples
    --------
    >>> climb(lambda crf: -abs(crf.appearance_color - 28), CRFSpec(appearance_color=10)).appearance_color
    28.3
    """
    best, height = start, score(start)
    for factor in FACTORS:
        for name in SEARCHED:
            for step in (factor, 1 / factor):
                moved = False
                while (trial := _moved(best, name, step)) is not None and (found := score(trial)) > height:
                    best, height, moved = trial, found, True
                if moved:
                    break  # the way back was measured
    return best


def _moved(crf: CRFSpec, name: str, factor: float) -> CRFSpec | None:
    """Return the settings with one value multiplied, to three digits; ``None`` where that leaves what is allowed."""
    try:
        return CRFSpec.model_validate(crf.model_dump() | {name: float(f"{getattr(crf, name) * factor:.3g}")})
    except ValidationError:
        return None


def _cases(predictor: Segmenter, dataset: Dataset, head: str) -> Sequence[_Case]:
    if not len(dataset):
        raise DataError(f"{dataset.name} is empty; nothing can be tuned on it")
    if head not in dataset.labels or dataset.labels[head].names != predictor.labels[head].names:
        raise DataError(
            f"{dataset.name} has no ground truth of the classes that head {head} predicts; tune on the model's own classes"
        )
    cases = []
    for index in range(len(dataset)):
        sample = dataset[index]
        found = predictor.logits(sample.inputs)[head][0].float().softmax(0).cpu().numpy()
        truth = sample.targets[head].numpy()
        cases.append(_Case(found, image_of(sample.inputs), truth, bands(truth)))
    return cases
