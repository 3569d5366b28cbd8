"""What is known of models that were measured on the same images: scores with intervals, borders, every image."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullconv.evaluation.bootstrap import LEVEL, RESAMPLES, interval, resample
from fullconv.evaluation.report import METRICS, Interval, Report, or_none
from fullconv.evaluation.trimap import Trimap
from fullconv.metrics import tally_metrics

Worst = tuple[float, int, NDArray[np.integer]]
"""An image's score, its place in the data set, and what was predicted (H, W)."""


@dataclass(frozen=True)
class Study:
    """What one model did on a data set.

    Parameters
    ----------
    report
        The counts over all images and their scores.
    trimap
        The counts near borders.
    tallies
        int64 (N, 3, K): hits, truth and predictions of every class in every image, in the data set's order. All four
        metrics of any choice of images follow from them. 24 K bytes an image; 10 000 images of 60 classes are 14 MB
        (their confusion matrices would be 288 MB).
    worst
        The images with the lowest scores, the lowest first.
    """

    report: Report
    trimap: Trimap
    tallies: NDArray[np.int64]
    worst: tuple[Worst, ...]

    @cached_property
    def images(self) -> dict[str, NDArray[np.float64]]:
        """The four metrics of each image alone, float64 (N,) by the keys of ``METRICS``; ``nan`` for images without ground truth.

        A mean is taken over the classes present in truth or prediction of that image (the policy ``union``): what is
        predicted but is not there counts 0.
        """
        found = tally_metrics(self.tallies, "union")
        return {key: found[key] for key in METRICS}

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`Report.to_dict` does, and the confusion matrix (rows = truth) and the trimap's scores."""
        return {**self.report.to_dict(), "confusion": self.report.matrix.matrix.tolist(), "trimap": self.trimap.to_dict()}


@dataclass(frozen=True)
class Evaluation:
    """One or several models on the same images; intervals are of 95 %, see :mod:`fullconv.evaluation.bootstrap`.

    Parameters
    ----------
    studies
        By the models' names; the others are compared with the first.
    names
        Of the images, N in the data set's order.
    seed
        Of the bootstrap.
    """

    studies: Mapping[str, Study]
    names: tuple[str, ...]
    seed: int = 0

    @property
    def first(self) -> Study:
        """The model that others are compared with."""
        return next(iter(self.studies.values()))

    @cached_property
    def _draws(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """The metrics of every draw, by metric and model."""
        tallies = np.stack([study.tallies for study in self.studies.values()])
        found = resample(tallies, self.first.report.absent, seed=self.seed)
        return {key: dict(zip(self.studies, values, strict=True)) for key, values in found.items()}

    def intervals(self, name: str) -> dict[str, Interval]:
        """Return the interval of each metric of a model, 0..1; ``nan`` with a single image, which says nothing about others."""
        return {key: self._interval(draws[name]) for key, draws in self._draws.items()}

    def differences(self, name: str) -> dict[str, tuple[float, Interval]]:
        """Return how far each metric of a model lies above the first model's, and the interval of that, paired over images."""
        mine, firsts = self.studies[name].report.metrics, self.first.report.metrics
        opponent = next(iter(self.studies))
        return {
            key: (getattr(mine, key) - getattr(firsts, key), self._interval(draws[name] - draws[opponent]))
            for key, draws in self._draws.items()
        }

    def _interval(self, draws: NDArray[np.float64]) -> Interval:
        return interval(draws) if len(self.names) > 1 else (np.nan, np.nan)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the single images, JSON-able; a single model's scores are not below its name."""
        found = {name: self._describe(name) for name in self.studies}
        settings = {"bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": self.seed}}
        if len(found) == 1:
            return {**next(iter(found.values())), **settings}
        report = self.first.report
        return {"dataset": report.dataset, "images": report.images, **settings, "models": found}

    def _describe(self, name: str) -> dict[str, Any]:
        intervals = {key: list(map(or_none, ends)) for key, ends in self.intervals(name).items()}
        found = {**self.studies[name].to_dict(), "intervals": intervals}
        if self.studies[name] is self.first:
            return found
        return found | {
            "differences": {
                key: {"value": or_none(value), "interval": list(map(or_none, ends))}
                for key, (value, ends) in self.differences(name).items()
            }
        }
