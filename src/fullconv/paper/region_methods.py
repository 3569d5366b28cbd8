"""Table 3: FCN-8s against methods that classify region proposals; what they score on the same images, and what they cost.

Paper, section 5 (VOC). The systems it compares with had years of work in them and are not here: the two in
:mod:`fullconv.paper.regions` are built on the trained FCN-8s's own trunk: they differ in how they use a network, not in which.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from fullconv.data import open_dataset
from fullconv.data.sample import RGB, SEMANTIC, Dataset, Sample
from fullconv.evaluation import METRICS, Report
from fullconv.files import replacing
from fullconv.labels import LabelSet, is_background
from fullconv.metrics import ConfusionMatrix
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.paper.bench import Bench, describe_data
from fullconv.paper.finding import Claim, Finding, Picture, Row, paired
from fullconv.paper.gallery import spread_out
from fullconv.paper.proposals import Proposals, propose
from fullconv.paper.regions import (
    NONE,
    Linear,
    features,
    fit_linear,
    paste,
    refine,
    region_labels,
    shapes,
    things,
    with_class,
)
from fullconv.paper.skips import staged_recipe
from fullconv.pictures import Comparison, comparison_grid

FCN_8S, BOXES, REGIONS = "FCN-8s", "R-CNN style", "SDS style"
PARTS = ("proposals", "features", "classification")
SECONDS, OVERALL, NETWORK = "seconds an image", "times FCN-8s, overall", "times FCN-8s, network only"
PUBLISHED_PROPOSALS = 2000
"""That R-CNN and SDS look at in an image, about."""
FACTOR = 20
DRAWN = 4


@dataclass(frozen=True)
class Settings:
    """How much is done, for one kind of data.

    Parameters
    ----------
    side
        Of the square that boxes are warped to, in pixels.
    proposals
        At most, for an image.
    training, measured
        Images that classifiers learn from, and that all methods are measured on.
    """

    side: int
    proposals: int
    training: int
    measured: int


SCENES, PHOTOGRAPHS = Settings(64, 200, 100, 50), Settings(160, 200, 60, 100)


@dataclass(frozen=True)
class Classifiers:
    """What the two methods have learned: a class from a box, a class from box and region, and a shape.

    ``background`` says whether class 0 is what is left where no region is pasted.
    """

    of_box: Linear
    of_region: Linear
    of_shape: Linear
    background: bool


class Stopwatch:
    """Seconds from one look to the next, the first counted from when it was made."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last look."""
        before, self.last = self.last, time.perf_counter()
        return self.last - before


@dataclass
class Measured:
    """Labels and seconds of the methods, by name, and the regions of every image.

    Seconds are those of each part, for each image.
    """

    matrices: dict[str, ConfusionMatrix]
    seconds: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {FCN_8S: [], BOXES: [], REGIONS: []})
    regions: list[int] = field(default_factory=list)

    def median(self, method: str, part: str | None = None) -> float:
        """Return the median over images of a part's seconds, or of all parts together."""
        return statistics.median(sum(each.values()) if part is None else each[part] for each in self.seconds[method])

    def features_each(self, method: str) -> float:
        """Return the median over images of the features' seconds for one region: images may have fewer than the cap."""
        counted = zip(self.seconds[method], self.regions, strict=True)
        return statistics.median(seconds["features"] / regions for seconds, regions in counted)


def run(bench: Bench) -> Finding:
    """Return table 3 on the bench's data: scores, seconds and ratios of the three methods; a picture of what they say."""
    propose(np.zeros((8, 8, 3), np.uint8), 1)  # says that scikit-image is missing now, and not when FCN-8s has been trained
    recipe = staged_recipe(bench, 0)
    trained = bench.train(recipe)
    model = load_checkpoint(trained.out / "stage-8s" / "model.safetensors").model
    given = SCENES if bench.on_scenes else PHOTOGRAPHS
    settings = Settings(given.side, given.proposals, bench.steps(given.training), bench.steps(given.measured))
    training, validation = open_dataset(recipe.data, recipe.data.train), bench.validation(recipe)
    labels = validation.labels[SEMANTIC]
    bench.say(f"classifiers of regions, learned from {settings.training} images with up to {settings.proposals} regions each")
    classifiers = learn(model, [training[i] for i in range(min(settings.training, len(training)))], settings, labels)
    measured = Measured({method: ConfusionMatrix(len(labels)) for method in (FCN_8S, BOXES, REGIONS)})
    rows: list[Comparison] = []
    places = spread_out(validation, settings.measured)
    _label(model, validation[places[0]])  # a first pass is slow, and counts for nothing; the trunk has had its own in learning
    for done, place in enumerate(places):
        if done % 10 == 0:
            bench.say(f"{done} of {len(places)} images")
        sample = validation[place]
        found = _measure(model, classifiers, sample, settings, measured)
        if len(rows) < DRAWN:
            rows.append((sample.picture, sample.targets[SEMANTIC].numpy(), found))
    with replacing(bench.folder / "methods.png") as temporary:
        comparison_grid(rows, labels).save(temporary, format="PNG")
    return _finding(measured, validation, settings, len(places))


def learn(model: FCN, samples: Sequence[Sample], settings: Settings, label_set: LabelSet) -> Classifiers:
    """Return the classifiers of regions of ``samples``; what no class covers half of is a class of its own."""
    classes = len(label_set)
    boxes, both, labels, grids, truths = [], [], [], [], []
    for sample in samples:
        image, truth = sample.picture, sample.targets[SEMANTIC].numpy()
        proposals = propose(image, settings.proposals)
        of_box, of_region = (features(model, image, proposals, settings.side, masked=masked) for masked in (False, True))
        found = region_labels(proposals, truth, classes)
        boxes.append(of_box)
        both.append(np.concatenate([of_box, of_region], 1))
        labels.append(found)
        known = np.flatnonzero(found != NONE)
        named = Proposals(proposals.segments, proposals.members[known])
        grids.append(with_class(shapes(named, [named.mask(n) for n in range(len(named))]), found[known], classes))
        truths.append(shapes(named, [truth == found[region] for region in known]))
    targets = torch.from_numpy(np.concatenate(labels))
    targets = torch.where(targets == NONE, classes, targets)
    return Classifiers(
        fit_linear(np.concatenate(boxes), targets, classes + 1),
        fit_linear(np.concatenate(both), targets, classes + 1),
        fit_linear(np.concatenate(grids), torch.from_numpy(np.concatenate(truths)), truths[0].shape[1]),
        is_background(label_set.names[0]),
    )


@torch.inference_mode()
def _label(model: FCN, sample: Sample) -> NDArray[np.uint8]:
    return model(sample.inputs[RGB][None])[SEMANTIC][0].argmax(0).byte().numpy()


def _measure(
    model: FCN, classifiers: Classifiers, sample: Sample, settings: Settings, measured: Measured
) -> dict[str, NDArray[np.uint8]]:
    """Label an image by every method, add to what was measured, and return the labels."""
    image, watch = sample.picture, Stopwatch()
    found = {FCN_8S: _label(model, sample)}
    forward = watch.lap()
    proposals = propose(image, settings.proposals)
    proposing = watch.lap()
    of_box = features(model, image, proposals, settings.side, masked=False)
    boxes = watch.lap()
    of_region = features(model, image, proposals, settings.side, masked=True)
    regions = watch.lap()
    chosen, scores = things(classifiers.of_box.logits(of_box).softmax(1).numpy(), background=classifiers.background)
    found[BOXES] = paste([proposals.mask(region) for region in chosen], scores, sample.size)
    pasting = watch.lap()
    both = np.concatenate([of_box, of_region], 1)
    chosen, scores = things(classifiers.of_region.logits(both).softmax(1).numpy(), background=classifiers.background)
    masks = refined(classifiers, Proposals(proposals.segments, proposals.members[chosen]), scores) if len(chosen) else []
    found[REGIONS] = paste(masks, scores, sample.size)
    refining = watch.lap()
    measured.regions.append(len(proposals))
    measured.seconds[FCN_8S].append({"forward": forward})
    measured.seconds[BOXES].append(dict(zip(PARTS, (proposing, boxes, pasting), strict=True)))
    measured.seconds[REGIONS].append(dict(zip(PARTS, (proposing, boxes + regions, refining), strict=True)))
    for method, labels in found.items():
        measured.matrices[method].update(sample.targets[SEMANTIC].numpy(), labels)
    return found


def refined(classifiers: Classifiers, proposals: Proposals, scores: NDArray[np.floating]) -> list[NDArray[np.bool_]]:
    """Return the regions (H, W) with the shapes that their classes, the best of ``scores`` (N, K), let expect."""
    masks = [proposals.mask(region) for region in range(len(proposals))]
    given = with_class(shapes(proposals, masks), scores.argmax(1), scores.shape[1])
    return refine(proposals, classifiers.of_shape.logits(given).sigmoid().numpy())


def _finding(measured: Measured, dataset: Dataset, settings: Settings, images: int) -> Finding:
    data = f"{describe_data(dataset)}, of which {images}"
    protocol = f"at most {settings.proposals} proposals, boxes of {settings.side}×{settings.side}, {settings.training} training images"
    rows = []
    for method, matrix in measured.matrices.items():
        scores = Report(dataset.name, dataset.labels[SEMANTIC], matrix, images).scores
        how = "one pass" if method == FCN_8S else protocol
        rows += [
            paired("T3", method, title, [100 * getattr(scores, key)], data=data, protocol=how) for key, title in METRICS.items()
        ]
        rows.append(paired("T3", method, SECONDS, [measured.median(method)], data=data, protocol=how, digits=3))
        if method != FCN_8S:
            rows += [_part(measured, method, part, data, how) for part in PARTS]
            rows += [_ratio(measured, method, None, data, how), _ratio(measured, method, "features", data, how)]
    finding = Finding(tuple(rows))
    picture = Picture("methods.png", "The same images as each method labels them.")
    return Finding(finding.rows, tuple(_claims(finding)), (picture,), (_more(measured),))


def _part(measured: Measured, method: str, part: str, data: str, protocol: str) -> Row:
    return Row(method, f"{SECONDS}, {part}", (measured.median(method, part),), data, protocol, digits=3)


def _ratio(measured: Measured, method: str, part: str | None, data: str, protocol: str) -> Row:
    value = measured.median(method, part) / measured.median(FCN_8S)
    return paired("T3", method, NETWORK if part else OVERALL, [value], data=data, protocol=protocol, digits=0)


def _claims(finding: Finding) -> list[Claim]:
    score = {method: finding.row(method, METRICS["mean_iu"]).mean for method in (FCN_8S, BOXES, REGIONS)}
    ratio = {method: finding.row(method, OVERALL).mean for method in (BOXES, REGIONS)}
    listed = ", ".join(f"{method} {value:.1f}" for method, value in score.items())
    return [
        Claim("FCN-8s has a higher mean IU than both", score[FCN_8S] > max(score[BOXES], score[REGIONS]), listed),
        Claim(
            f"both take at least {FACTOR} times as long as FCN-8s",
            min(ratio.values()) >= FACTOR,
            ", ".join(f"{method} {value:.0f} times" for method, value in ratio.items()),
        ),
    ]


def _more(measured: Measured) -> str:
    """Say how many proposals there were, and what the papers' number of them would take."""
    parts = []
    for method in (BOXES, REGIONS):
        each = measured.features_each(method)
        times = each * PUBLISHED_PROPOSALS / measured.median(FCN_8S)
        parts.append(f"{method} {100 * each:.2f} s for 100 proposals, so {times:.0f} times FCN-8s for {PUBLISHED_PROPOSALS}")
    return (
        f"The median image had {statistics.median(measured.regions):.0f} proposals. Features cost the more the more there are: "
        f"{'; '.join(parts)}, the papers' number (computed, not run)."
    )
