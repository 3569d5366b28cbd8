"""Whether one net is better than another, as good, or neither can be said: paired intervals over seeds and images.

Nets of one experiment are measured on the same images, and those of one seed begin alike and draw their images in one order.
So images and seeds are resampled together: each draw takes as many images and as many seeds as there are, with replacement and
the same for all nets, and the interval holds the middle 95 % of the differences (:mod:`fullconv.evaluation.bootstrap`). Noisier
runs make it wider, and what it decides rarer. This is the only place where the spread of seeds is judged.

Letters: S seeds, N images, K classes, B draws.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fullconv.data import open_dataset
from fullconv.data.loading import val_loader
from fullconv.data.sample import SEMANTIC
from fullconv.errors import FullconvError
from fullconv.evaluation.bootstrap import LEVEL, RESAMPLES, interval, resample
from fullconv.files import replacing
from fullconv.inference.load import load
from fullconv.metrics import count_pairs, tally, tally_metrics
from fullconv.paper.experiment import MOST_READERS, read_by_many
from fullconv.paper.findings import Verdict
from fullconv.spec import DataSpec, Recipe
from fullconv.training import RunResult

MARGIN = 1.0
"""Points (%) up to which scores count as alike."""
SEED = 0
"""Of the draws."""
RULE = (
    f"Differences are paired: the interval of {LEVEL:.0%} is of {RESAMPLES} draws (seed {SEED}) of images, and of seeds where "
    f"there are several, the same for all nets. Better: it lies above 0. Alike, no gain, not behind: within {MARGIN:g} point. "
    "Where it says neither, the claim is undecided."
)
"""How claims about scores are judged, in words, for the page and for ``result.json``."""


@dataclass(frozen=True)
class Scores:
    """What the nets of one row did on every image.

    Parameters
    ----------
    tallies
        int64 (S, N, 3, K): hits, truth and predictions of every class in every image by the net of each seed, from which all
        four metrics follow, see :func:`fullconv.metrics.tally`.
    images
        Their N names; only nets on the same images are compared.
    """

    tallies: NDArray[np.int64]
    images: tuple[str, ...]

    def values(self, metric: str) -> NDArray[np.float64]:
        """Return a metric over all images by the net of each seed, float64 (S,), in 0..1."""
        return tally_metrics(self.tallies.sum(1))[metric]


@dataclass(frozen=True)
class Difference:
    """How much higher some nets score than others, in points (%).

    Attributes
    ----------
    value
        The mean over the seeds, over all images.
    low, high
        The interval; ``nan`` where one image says nothing about others.
    seeds, images
        How many of each there are; of one seed only images are resampled.

    Examples
    --------
    >>> def net(right):  # of two images with 100 pixels of each of two classes
    ...     counts = [[[right, right], [100, 100], [100, 100]]] * 2
    ...     return Scores(np.array([counts]), ("a", "b"))
    >>> gap = Difference.of([net(90)], [net(60)], "pixel_accuracy")
    >>> print(gap, gap.better, gap.alike)
    +30.0 (+30.0 to +30.0; one seed, so images alone: 2) True False
    """

    value: float
    low: float
    high: float
    seeds: int
    images: int

    @classmethod
    def of(cls, higher: Sequence[Scores], lower: Sequence[Scores], metric: str = "mean_iu") -> "Difference":
        """Return how far the sum of a metric of the nets ``higher`` is above that of as many nets ``lower``.

        Parameters
        ----------
        higher, lower
            One net each; or two, for the difference of two differences: ``(a - b) - (c - d)`` is ``[a, d]`` above ``[b, c]``.
        metric
            A key of :data:`fullconv.evaluation.METRICS`.

        Raises
        ------
        FullconvError
            When the nets were measured on different images or have different numbers of seeds.
        """
        nets = [*higher, *lower]
        if any(net.images != nets[0].images or net.tallies.shape != nets[0].tallies.shape for net in nets):
            raise FullconvError("only nets of the same seeds on the same images can be compared; measure them with one command")
        seeds, images = nets[0].tallies.shape[:2]
        signs = np.array([1.0] * len(higher) + [-1.0] * len(lower))
        value = 100 * float(signs @ [net.values(metric).mean() for net in nets])
        by_seed = resample(np.concatenate([net.tallies for net in nets]), seed=SEED)[metric]  # (nets · S, B)
        draws = np.tensordot(signs, by_seed.reshape(len(nets), seeds, -1), 1)
        low, high = interval(100 * _over_seeds(draws)) if images > 1 else (np.nan, np.nan)
        return cls(value, low, high, seeds, images)

    @property
    def better(self) -> Verdict:
        """Whether the first is better: the interval lies above 0. Not so where it lies below, or within a point of 0."""
        if self.low > 0:
            return True
        return False if self.high <= 0 or self._within else None

    @property
    def alike(self) -> Verdict:
        """Whether neither is better by more than a point."""
        return True if self._within else False if self.low > MARGIN or self.high < -MARGIN else None

    @property
    def no_gain(self) -> Verdict:
        """Whether the first is not better by more than a point."""
        return True if self.high <= MARGIN else False if self.low > MARGIN else None

    @property
    def not_behind(self) -> Verdict:
        """Whether the first is behind by at most a point."""
        return True if self.low >= -MARGIN else False if self.high < -MARGIN else None

    @property
    def _within(self) -> bool:
        return self.low >= -MARGIN and self.high <= MARGIN

    def __str__(self) -> str:
        over = f"{self.seeds} seeds, {self.images} images" if self.seeds > 1 else f"one seed, so images alone: {self.images}"
        return f"{self.value:+.1f} ({self.low:+.1f} to {self.high:+.1f}; {over})"


def _over_seeds(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over seeds of every draw, (B,) of (S, B), each with seeds drawn with replacement.

    Means of S drawn values vary by (S - 1) / S of what means of S new ones would; with two or three seeds that is much, so the
    deviations are stretched by the root of the inverse.
    """
    seeds, count = draws.shape
    if seeds == 1:
        return draws[0]
    chosen = np.random.default_rng(SEED).integers(seeds, size=(seeds, count))
    mean = draws.mean(0)
    drawn = np.take_along_axis(draws, chosen, 0).mean(0)
    return np.asarray(mean + np.sqrt(seeds / (seeds - 1)) * (drawn - mean))


def every(verdicts: Iterable[Verdict]) -> Verdict:
    """Return whether all hold: not when one does not, undecided when one is undecided.

    Examples
    --------
    >>> every([True, None]), every([None, False]), every([True, True])
    (None, False, True)
    """
    found = list(verdicts)
    return False if False in found else None if None in found else True


def scores_of(
    recipe: Recipe, runs: Sequence[RunResult], stage: str | None = None, head: str = SEMANTIC, readers: int = MOST_READERS
) -> Scores:
    """Return what the trained nets of all seeds do on every image of the split that they are measured on.

    The counts of each net are kept beside it, as ``images-HEAD.npz`` in the folder of its stage.

    Parameters
    ----------
    recipe
        Of the runs: its data and validation split.
    runs
        One for each seed.
    stage
        Such as ``16s``; the last by default.
    head
        Of the net.
    readers
        Processes that read images at a time, at most.
    """
    data = read_by_many(recipe.data, readers)
    found = [_counted(data, run.out / f"stage-{stage or run.stages[-1]['stage']}", head) for run in runs]
    return Scores(np.stack([tallies for tallies, _ in found]), found[0][1])


def _counted(data: DataSpec, folder: Path, head: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the tallies (N, 3, K) of a net and the images' names, from its file when it is of this very net."""
    model, path = folder / "model.safetensors", folder / f"images-{head}.npz"
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    kept = _kept(path, digest)
    if kept is not None:
        return kept
    dataset, net = open_dataset(data, data.val, own_size=True), load(model)
    labels = dataset.labels[head]
    tallies, names = [], []
    for batch in val_loader(dataset, data):  # one image at a time
        found = net.labels_of({stream: images[0] for stream, images in batch["inputs"].items()}, head)
        tallies.append(tally(count_pairs(batch["targets"][head][0].numpy(), found, len(labels), labels.ignore_index)[0]))
        names += batch["names"]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, tallies=np.stack(tallies), names=np.array(names), model=np.array(digest))
    return np.stack(tallies), tuple(names)


def _kept(path: Path, digest: str) -> tuple[NDArray[np.int64], tuple[str, ...]] | None:
    try:
        with np.load(path) as kept:
            if str(kept["model"]) == digest:
                return kept["tallies"], tuple(kept["names"].tolist())
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # not there, or damaged: it is counted again
        pass
    return None
