"""Coarse outlines, the weakness that the paper's readers name: FCN-8s before and after a fully connected CRF.

The CRF is that of Krähenbühl and Koltun (NIPS 2011), which DeepLab (ICLR 2015) put behind nets like these; scores near borders
are the trimap's of the same paper. Settings are found on some images of the validation split and measured on the others.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fullconv.crf.mean_field import DEFAULT, Refined
from fullconv.crf.settings import Tuned, read_crf
from fullconv.crf.tune import tune
from fullconv.data.sample import SEMANTIC, Dataset
from fullconv.drawing import Comparison
from fullconv.evaluation import METRICS, Evaluation, compare
from fullconv.evaluation.plots import draw_trimaps
from fullconv.evaluation.trimap import WIDTHS
from fullconv.inference.load import load
from fullconv.inference.predictor import Predictor
from fullconv.paper import table2
from fullconv.paper.experiment import Context, Part, describe_data
from fullconv.paper.findings import Claim, Finding, Picture, Row
from fullconv.paper.plots import draw_comparisons, spread_out
from fullconv.paper.verdicts import Difference, Scores

PLAIN, UNTUNED, TUNED = "FCN-8s", "FCN-8s, CRF as it comes", "FCN-8s, CRF tuned"
TUNED_ON, MEASURED = 10, 80
"""Images that settings are found on, about, and measured on, at most; evenly spread over the validation split.

A photograph takes seconds, and the search refines each of its images some thirty times.
"""
DRAWN = 4


@dataclass(frozen=True)
class _Seed:
    """What one net gave: the CRF that was found for it, all scores, and the seconds of each CRF an image, by name."""

    tuned: Tuned
    found: Evaluation
    seconds: Mapping[str, float]


plan = table2.staged
"""The nets that are refined: those of T2, trained in stages."""


def run(context: Context) -> Finding:
    """Return mean IU over all pixels and near borders of the nets of T2, with and without the CRF; draw them."""
    plans = [plan(context, seed)[table2.STAGED] for seed in range(context.seeds)]
    nets = [load(context.train(training).out / "stage-8s" / "model.safetensors") for training in plans]
    dataset = context.validation(plans[0].recipe)
    tuning, measured = divide(dataset)
    seeds = [_measure(context, net, _tuned(context, seed, net, tuning), measured) for seed, net in enumerate(nets)]
    finding = Finding(_rows(seeds, describe_data(measured)))
    pictures = (_draw_labels(context, nets[0], seeds[0].tuned, measured), _draw_bands(context, seeds[0].found))
    scores = {
        name: Scores(np.stack([seed.found.studies[name].tallies for seed in seeds]), seeds[0].found.names)
        for name in (PLAIN, TUNED)
    }
    return Finding(finding.rows, _claims(finding, scores), pictures, _notes(seeds, tuning, measured))


def divide(dataset: Dataset) -> tuple[Part, Part]:
    """Return the images to tune on, every so manyth of ``dataset``, and of all others those to measure on."""
    step = max(2, len(dataset) // TUNED_ON)
    places = range(0, len(dataset), step)
    others = sorted(set(range(len(dataset))) - set(places))
    kept = np.linspace(0, len(others) - 1, min(MEASURED, len(others))).round().astype(int)
    return Part(dataset, places), Part(dataset, [others[place] for place in kept])


def _tuned(context: Context, seed: int, net: Predictor, tuning: Dataset) -> Tuned:
    """Return the CRF for a net; it is kept, as the search is long and a run may be interrupted."""
    path = context.folder / f"crf-seed{seed}.json"
    if not path.exists():
        context.say(f"tuning a CRF on {describe_data(tuning)}")
        found = tune(
            net, tuning, head=SEMANTIC, better=lambda so_far: context.say(f"trial {so_far.trials}: {so_far.trimap_iu[1]:.3f}")
        )
        found.write(path)
    return read_crf(str(path))


def _measure(context: Context, net: Predictor, tuned: Tuned, measured: Dataset) -> _Seed:
    crfs = {UNTUNED: Refined(net, SEMANTIC, DEFAULT), TUNED: Refined(net, SEMANTIC, tuned.crf)}
    context.say(f"measuring on the other {len(measured)}")
    labels = net.labels[SEMANTIC]
    plain = Refined(net, SEMANTIC, DEFAULT.model_copy(update={"iterations": 0}))
    found = compare({name: (each, labels) for name, each in {PLAIN: plain, **crfs}.items()}, measured, head=SEMANTIC)
    return _Seed(tuned, found, {name: statistics.median(crf.seconds) for name, crf in crfs.items()})


def near(width: int) -> str:
    """Return what the mean IU within so many pixels of a border is called.

    Examples
    --------
    >>> near(4)
    'mean IU within 4 px'
    """
    return f"{METRICS['mean_iu']} within {width} px"


def _rows(seeds: Sequence[_Seed], data: str) -> tuple[Row, ...]:
    rows = []
    for name in (PLAIN, UNTUNED, TUNED):
        studies = [seed.found.studies[name] for seed in seeds]
        protocol = {PLAIN: "the net alone", UNTUNED: "default settings", TUNED: "tuned on other images"}[name]
        values = [tuple(100 * study.report.metrics.mean_iu for study in studies)]
        values += list(zip(*([100 * band.mean_iu for band in study.trimap.metrics()] for study in studies), strict=True))
        for title, scores in zip([METRICS["mean_iu"], *map(near, WIDTHS)], values, strict=True):
            rows.append(Row(name, title, scores, data, protocol))
        if name != PLAIN:
            rows.append(Row(name, "an image, s", tuple(s.seconds[name] for s in seeds), "median", protocol, digits=2))
    return tuple(rows)


def _claims(finding: Finding, scores: Mapping[str, Scores]) -> tuple[Claim, ...]:
    gains = [finding.row(TUNED, near(width)).mean - finding.row(PLAIN, near(width)).mean for width in WIDTHS]
    listed = ", ".join(f"{width} px: {gain:+.1f}" for width, gain in zip(WIDTHS, gains, strict=True))
    whole = Difference.of([scores[TUNED]], [scores[PLAIN]])
    return (
        Claim("a tuned CRF raises mean IU near borders at every width", min(gains) > 0, listed),
        Claim("most of all right at the border", gains[0] == max(gains), f"{gains[0]:+.1f} at 1 px, {gains[-1]:+.1f} at 32 px"),
        Claim("it raises mean IU over all pixels", whole.better, str(whole)),
    )


def _notes(seeds: Sequence[_Seed], tuning: Part, measured: Part) -> tuple[str, ...]:
    step = tuning.places[1] - tuning.places[0] if len(tuning) > 1 else 1
    split = (
        f"Tuned on images 0, {step}, {2 * step} … of {tuning.name}, {len(tuning)} in all; measured on the other {len(measured)}."
    )
    found = [
        f"Seed {number}, found in {seed.tuned.trials} trials: "
        + ", ".join(f"{name} {value:g}" for name, value in seed.tuned.crf.model_dump().items())
        + "."
        for number, seed in enumerate(seeds)
    ]
    return split, *found


def _draw_labels(context: Context, net: Predictor, tuned: Tuned, measured: Part) -> Picture:
    rows: list[Comparison] = []
    after = Refined(net, SEMANTIC, tuned.crf)
    for index in spread_out(measured, DRAWN):
        sample = measured[index]
        before = net.predict(sample.picture, head=SEMANTIC).labels
        rows.append((sample.picture, sample.targets[SEMANTIC].numpy(), {PLAIN: before, TUNED: after(sample.inputs)}))
    path = context.folder / "outlines.png"
    draw_comparisons(path, rows, measured.labels[SEMANTIC])
    return Picture(path.name, "Images that nothing was tuned on: ground truth, FCN-8s, and FCN-8s with the tuned CRF.")


def _draw_bands(context: Context, found: Evaluation) -> Picture:
    path = context.folder / "bands.png"
    draw_trimaps(path, {name: study.trimap for name, study in found.studies.items()})
    return Picture(path.name, "Mean IU of the pixels within so many pixels of a border; first seed.")
