"""The two region methods of table 3, as they learn and as they label an image.

Boxes, classified: a class from the box. Regions, classified: a class from box and masked region together, and a refined shape
(:mod:`fullconv.paper.regions.nets`). How pure a region must be to teach a class, and the decay of the weights, are chosen for
each method on a fifth of the training images that it has not learned from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.metrics import ConfusionMatrix, metrics_of
from fullconv.paper.regions.nets import NONE, Linear, fit_linear, paste, refine, region_labels, shapes, things, with_class
from fullconv.paper.regions.proposals import Proposals

SHARES, DECAYS = (0.5, 0.7, 0.85), (1e-2, 1e-3, 1e-4)
"""Tried: what a class must cover of a region, and the decay of the weights."""
HELD_OUT = 5
"""Every so many-th training image is held out where these are chosen."""


@dataclass(frozen=True)
class Described:
    """The regions of an image and the network's features of them.

    Parameters
    ----------
    proposals
        N of them.
    box, region
        float32 (N, C): of the whole box, and with what is outside the region in the mean colour.
    """

    proposals: Proposals
    box: NDArray[np.float32]
    region: NDArray[np.float32]

    def seen(self, *, masked: bool) -> NDArray[np.float32]:
        """Return what a method reads, (N, C), or (N, 2 C) with the ``masked`` regions."""
        return np.concatenate([self.box, self.region], 1) if masked else self.box


@dataclass(frozen=True)
class Lesson:
    """A training image, described, and its truth uint8 (H, W)."""

    described: Described
    truth: NDArray[np.uint8]


@dataclass(frozen=True)
class Labeller:
    """A method that has learned.

    Parameters
    ----------
    classifier
        Of the classes and, last, of none.
    shape
        Of the 10×10 grids that regions are refined to; where there is none, regions stay as they are.
    background
        Whether class 0 is what is left where no region is pasted.
    masked
        Whether the features of masked regions are read too.
    """

    classifier: Linear
    shape: Linear | None
    background: bool
    masked: bool

    def __call__(self, described: Described) -> NDArray[np.uint8]:
        """Return the labels uint8 (H, W) of an image."""
        seen = described.seen(masked=self.masked)
        chosen, found = things(self.classifier.logits(seen).softmax(1).numpy(), background=self.background)
        proposals = Proposals(described.proposals.segments, described.proposals.members[chosen])
        masks = [proposals.mask(region) for region in range(len(proposals))]
        if self.shape is not None and masks:
            given = with_class(shapes(proposals, masks), found.argmax(1), found.shape[1], seen[chosen])
            masks = refine(proposals, self.shape.logits(given).sigmoid().numpy())
        return paste(masks, found, proposals.segments.shape)


def learn(lessons: Sequence[Lesson], classes: int, *, background: bool, masked: bool) -> Labeller:
    """Return the method that classifies boxes, or with ``masked`` the one that classifies regions.

    Parameters
    ----------
    lessons
        At least one. Settings are chosen on every fifth; fewer than five images take the first of each.
    classes
        K; values of truth from K on are not known.
    background
        Whether class 0 is a background.
    """
    setting = SHARES[0], DECAYS[0]
    held, rest = lessons[HELD_OUT - 1 :: HELD_OUT], [each for n, each in enumerate(lessons, 1) if n % HELD_OUT]
    if held:
        tried = {each: _fit(rest, classes, *each, background=background, masked=masked) for each in product(SHARES, DECAYS)}
        setting = max(tried, key=lambda each: mean_iu(tried[each], held, classes))
    return _fit(lessons, classes, *setting, background=background, masked=masked)


def mean_iu(labeller: Labeller, lessons: Sequence[Lesson], classes: int) -> float:
    """Return how well images are labelled, 0..1."""
    matrix = ConfusionMatrix(classes)
    for lesson in lessons:
        matrix.update(lesson.truth, labeller(lesson.described))
    return metrics_of(matrix).mean_iu


def _fit(lessons: Sequence[Lesson], classes: int, share: float, decay: float, *, background: bool, masked: bool) -> Labeller:
    """Learn with one setting; regions of the background, which are never pasted, teach no shapes."""
    seen, labels, given, wanted = [], [], [], []
    for lesson in lessons:
        proposals, features = lesson.described.proposals, lesson.described.seen(masked=masked)
        found = region_labels(proposals, lesson.truth, classes, share)
        seen.append(features)
        labels.append(np.where(found == NONE, classes, found))
        named = np.flatnonzero(found > (0 if background else NONE))
        if masked and len(named):
            regions = Proposals(proposals.segments, proposals.members[named])
            grids = shapes(regions, [regions.mask(region) for region in range(len(regions))])
            given.append(with_class(grids, found[named], classes, features[named]))
            wanted.append(shapes(regions, [lesson.truth == found[region] for region in named]))
    classifier = fit_linear(np.concatenate(seen), torch.from_numpy(np.concatenate(labels)), classes + 1, decay=decay)
    shape = None
    if given:
        shape = fit_linear(np.concatenate(given), torch.from_numpy(np.concatenate(wanted)), wanted[0].shape[1], decay=decay)
    return Labeller(classifier, shape, background, masked)
