"""Table 3: FCN-8s against classifying region proposals one by one; what that costs, and what it scores as a baseline.

Paper, section 5 (VOC). The systems it compares with, R-CNN and SDS, are not here: the two of
:mod:`fullconv.paper.regions.methods` classify regions by the trained FCN-8s's own trunk, so they differ from it in how they use
a network and not in which. They lack what made the systems good (fine-tuning on boxes by their overlap with objects, hard
negatives, box regression), so of the paper's point they carry the cost, and their scores are those of baselines.
"""

import shutil
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fullconv.data import open_dataset
from fullconv.data.sample import SEMANTIC, Sample
from fullconv.drawing import Comparison
from fullconv.evaluation import METRICS
from fullconv.labels import LabelSet, is_background
from fullconv.metrics import count_pairs, tally
from fullconv.paper import table2
from fullconv.paper.experiment import Context, Part, describe_data
from fullconv.paper.findings import Claim, Finding, Picture, Row, paired
from fullconv.paper.plots import draw_comparisons, spread_out
from fullconv.paper.regions.methods import Labeller, Lesson, learn
from fullconv.paper.regions.proposals import propose
from fullconv.paper.regions.reader import Reader, Reading, Stopwatch
from fullconv.paper.verdicts import Difference, Scores, every
from fullconv.spec import DataSpec

FCN_8S, BOXES, REGIONS = "FCN-8s", "boxes, classified", "regions, classified"
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
    measured
        Images that all methods are measured on. The region methods learn from all that FCN-8s learned from.
    """

    side: int
    proposals: int
    measured: int


SCENES, PHOTOGRAPHS = Settings(64, 200, 50), Settings(160, 200, 100)
LIMIT = (
    "The region methods are baselines that use FCN-8s's own trunk, neither R-CNN nor SDS: no fine-tuning on boxes, no hard "
    "negatives, no box regression. Their cost is that of the idea; their scores say nothing of those systems, which the paper "
    "reports at mean IU 47.9 and 52.6 on VOC2011 test, SDS at about 50 s an image: 286 times FCN-8s, its network alone 114 times."
)


@dataclass
class Measured:
    """The counts and seconds of the methods, by name, and the regions of every image.

    Counts are tallies int64 (3, K) of each image, see :func:`fullconv.metrics.tally`; seconds are those of each part, for each
    image.
    """

    labels: LabelSet
    tallies: dict[str, list[NDArray[np.int64]]] = field(default_factory=lambda: {FCN_8S: [], BOXES: [], REGIONS: []})
    seconds: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {FCN_8S: [], BOXES: [], REGIONS: []})
    regions: list[int] = field(default_factory=list)

    def add(self, truth: NDArray[np.integer], reading: Reading, methods: Mapping[str, Labeller]) -> dict[str, NDArray[np.uint8]]:
        """Add what an image gave to the scores and seconds, and return its labels by all methods."""
        found, pasting, watch = {FCN_8S: reading.labels}, {}, Stopwatch()
        for method, labeller in methods.items():
            found[method], pasting[method] = labeller(reading.described), watch.lap()
        forward, proposing, boxes, regions = reading.seconds.tolist()
        self.regions.append(len(reading.described.proposals))
        self.seconds[FCN_8S].append({"forward": forward})
        self.seconds[BOXES].append(dict(zip(PARTS, (proposing, boxes, pasting[BOXES]), strict=True)))
        self.seconds[REGIONS].append(dict(zip(PARTS, (proposing, boxes + regions, pasting[REGIONS]), strict=True)))
        for method, labels in found.items():
            counts = count_pairs(truth, labels, len(self.labels), self.labels.ignore_index)[0]
            self.tallies[method].append(tally(counts))
        return found

    def scores(self, method: str) -> Scores:
        """Return what a method did on every image; there is one seed."""
        found = np.stack(self.tallies[method])
        return Scores(found[None], tuple(map(str, range(len(found)))))

    def median(self, method: str, part: str | None = None) -> float:
        """Return the median over images of a part's seconds, or of all parts together."""
        return statistics.median(sum(each.values()) if part is None else each[part] for each in self.seconds[method])

    def features_each(self, method: str) -> float:
        """Return the median over images of the features' seconds for one region: images may have fewer than the cap."""
        counted = zip(self.seconds[method], self.regions, strict=True)
        return statistics.median(seconds["features"] / regions for seconds, regions in counted)


plan = table2.staged
"""The net that is compared, and whose trunk the region methods read: FCN-8s of T2, trained in stages."""


@dataclass(frozen=True)
class Images:
    """The images that the region methods learn from, and those that all methods are measured on."""

    training: Part
    measured: Part


def images(context: Context, data: DataSpec) -> Images:
    """Return all images that FCN-8s learned from, and some of the split that it is measured on, evenly spread.

    With a budget both are fewer by the factor on its steps.
    """
    settings = settings_of(context)
    training, validation = open_dataset(data, data.train), open_dataset(data, data.val)
    learned = min(context.steps(len(training)), len(training))
    places = range(len(training)) if learned == len(training) else spread_out(training, learned)
    return Images(Part(training, places), Part(validation, spread_out(validation, settings.measured)))


def settings_of(context: Context) -> Settings:
    """Return how much is done; the number of measured images is scaled as steps of training are."""
    given = SCENES if context.on_scenes else PHOTOGRAPHS
    return replace(given, measured=min(context.steps(given.measured), given.measured))


def run(context: Context) -> Finding:
    """Return table 3 on the context's data: scores, seconds and ratios of the three methods; a picture of what they say."""
    propose(np.zeros((8, 8, 3), np.uint8), 1)  # says that scikit-image is missing now, and not when FCN-8s has been trained
    training = plan(context, 0)[table2.STAGED]
    checkpoint = context.train(training).out / "stage-8s" / "model.safetensors"
    settings, chosen = settings_of(context), images(context, training.recipe.data)
    reader = Reader(checkpoint, settings.side, settings.proposals, context.folder / "kept")
    labels = chosen.measured.labels[SEMANTIC]
    reader.label(chosen.measured[0])  # a first pass is slow, and counts for nothing
    lessons = [
        Lesson(reading.described, sample.targets[SEMANTIC].numpy())
        for sample, reading in _readings(context, reader, chosen.training, "training")
    ]
    context.say(f"the region methods learn from the regions of {len(lessons)} images")
    methods = {
        method: learn(lessons, len(labels), background=is_background(labels.names[0]), masked=method == REGIONS)
        for method in (BOXES, REGIONS)
    }
    measured = Measured(labels)
    rows: list[Comparison] = []
    for sample, reading in _readings(context, reader, chosen.measured, "measured"):
        found = measured.add(sample.targets[SEMANTIC].numpy(), reading, methods)
        if len(rows) < DRAWN:
            rows.append((sample.picture, sample.targets[SEMANTIC].numpy(), found))
    draw_comparisons(context.folder / "methods.png", rows, labels)
    shutil.rmtree(context.folder / "kept")
    return _finding(measured, chosen, settings)


def _readings(context: Context, reader: Reader, part: Part, what: str) -> Iterator[tuple[Sample, Reading]]:
    for done, place in enumerate(part.places):
        if done % 10 == 0:
            context.say(f"{done} of {len(part)} {what} images")
        sample = part[done]
        yield sample, reader.read(sample, f"{what}-{place}")


def _finding(measured: Measured, chosen: Images, settings: Settings) -> Finding:
    dataset = chosen.measured
    data = f"{describe_data(dataset.dataset)}, of which {len(dataset)}"
    boxes = f"boxes of {settings.side}×{settings.side}"
    protocol = f"at most {settings.proposals} proposals, {boxes}, {len(chosen.training)} training images"
    rows = []
    for method in measured.tallies:
        found = measured.scores(method)
        how = "one pass" if method == FCN_8S else protocol
        rows += [
            paired("T3", method, title, [100 * float(found.values(key)[0])], data=data, protocol=how)
            for key, title in METRICS.items()
        ]
        rows.append(paired("T3", method, SECONDS, [measured.median(method)], data=data, protocol=how, digits=3))
        if method != FCN_8S:
            rows += [_part(measured, method, part, data, how) for part in PARTS]
            rows += [_ratio(measured, method, None, data, how), _ratio(measured, method, "features", data, how)]
    finding = Finding(tuple(rows))
    picture = Picture("methods.png", "The same images as each method labels them.")
    scores = {method: measured.scores(method) for method in measured.tallies}
    return Finding(finding.rows, tuple(_claims(finding, scores)), (picture,), (LIMIT, _more(measured)))


def _part(measured: Measured, method: str, part: str, data: str, protocol: str) -> Row:
    return Row(method, f"{SECONDS}, {part}", (measured.median(method, part),), data, protocol, digits=3)


def _ratio(measured: Measured, method: str, part: str | None, data: str, protocol: str) -> Row:
    value = measured.median(method, part) / measured.median(FCN_8S)
    return paired("T3", method, NETWORK if part else OVERALL, [value], data=data, protocol=protocol, digits=0)


def _claims(finding: Finding, scores: Mapping[str, Scores]) -> list[Claim]:
    gaps = {method: Difference.of([scores[FCN_8S]], [scores[method]]) for method in (BOXES, REGIONS)}
    ratio = {method: finding.row(method, OVERALL).mean for method in (BOXES, REGIONS)}
    listed = ", ".join(f"above {method} by {gap}" for method, gap in gaps.items())
    return [
        Claim(
            "FCN-8s has a higher mean IU than its own trunk has by classifying regions (baselines, neither R-CNN nor SDS)",
            every(gap.better for gap in gaps.values()),
            listed,
        ),
        Claim(
            f"classifying regions takes at least {FACTOR} times as long as FCN-8s",
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
