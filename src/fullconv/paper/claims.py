"""What the paper says of training and of cost in a sentence, without a table: dense against sliding, and what does not matter.

Long et al. 2015. Section 3.1: one dense pass against the classifier slid over its windows (:mod:`fullconv.paper.sliding`).
Sections 4.1 to 4.3: no gain from class balancing, mirroring or jitter; momentum .99 with single images does what .9 does
with batches of 20; the loss as a sum or a mean is a matter of the learning rate. All nets here are FCN-32s from random weights on
Scenes. That the classifier layer alone gives most of the score is measured by T2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fullconv.data.sample import SEMANTIC
from fullconv.evaluation import METRICS
from fullconv.nn.losses.cross_entropy import equivalent_learning_rate
from fullconv.paper.experiment import Context, Plan, Training, describe_data
from fullconv.paper.findings import Claim, Finding, Picture, Row
from fullconv.paper.plots import draw_bars
from fullconv.paper.sliding import sliding
from fullconv.paper.verdicts import Difference, Scores, scores_of
from fullconv.spec import Recipe
from fullconv.training import RunResult
from fullconv.training.log import MetricsFile

RECIPE = "scenes-fcn8s-minivgg"
SIZE = (96, 128)
STEPS, BATCH = 600, 8
"""Of plain training and its variants."""
JITTER = 8
"""Pixels: to images of 128 px what the paper's 32 are to VOC's of 500."""
IMAGES, GROUP = 8000, 20
"""Of the runs that compare momentum: images in all, and those of a batch."""
RATE, DECAY, WARMUP = 0.03, 5e-4, 20
"""Of SGD with batches; the steps of the warm-up are those of a batch too."""
EXACT_SIZE, EXACT_GROUP, EXACT_STEPS = (64, 128), 16, 300
PIXELS = EXACT_GROUP * EXACT_SIZE[0] * EXACT_SIZE[1]
"""Valid pixels of a batch of the runs that compare sum and mean. Scenes ignore none, so the two differ by this factor alone,
and as it is a power of two nothing is rounded on the way."""
SAME = 0.1
"""Losses and scores that differ by less (%) are of one run; on the CPU they do not differ at all."""
MEAN_IU = METRICS["mean_iu"]
BATCHED, SINGLE = "batches of 20, momentum .9", "single images, momentum .99"
AVERAGED, SUMMED = "mean of the loss", "sum of the loss, learning rate divided"
LOSS_GAP = "losses apart at most %"
NOT_HERE = (
    "The training claims (class balancing, mirroring, jitter, momentum, sum or mean) are measured on Scenes: leave out --data. "
    "Here only the cost of sliding was measured, which does not depend on the data."
)


@dataclass(frozen=True)
class Variant:
    """One way to train: its name in the table and of its runs, what it is, and its overrides of ``data`` and ``train``."""

    name: str
    run: str
    protocol: str
    data: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)

    def recipe(self, context: Context, seed: int) -> Recipe:
        """Return the recipe of a seed, steps scaled; not mirrored unless the variant says so."""
        data = {"size": SIZE, **self.data, "augment": {"flip": False, **self.data.get("augment", {})}}
        changes = {"name": self.run, "model": {"name": "fcn32s-minivgg"}, "data": data, "train": self.train}
        return context.recipe(RECIPE, seed, changes)


def same_reach(rate: float, momentum: float, batch: int, new_momentum: float, new_batch: int) -> float:
    """Return the learning rate with which each image moves the weights as far in all, for the mean loss and SGD with momentum.

    A step moves by ``rate / batch`` for each of its images, and again by ``momentum`` times that in the next, which adds up
    to ``rate / (batch * (1 - momentum))``; that is kept. (At an equal learning rate per image, the momentum .99 would move the
    weights ten times as far as .9.)

    Examples
    --------
    >>> f"{0.03 / same_reach(0.03, 0.9, 20, 0.99, 1):.0f}"
    '200'
    """
    return rate / (batch * (1 - momentum)) * new_batch * (1 - new_momentum)


def _adamw() -> list[Variant]:
    """Return plain training and the changes that brought the paper nothing."""
    train = {"stages": [{"stride": 32, "steps": STEPS}], "batch_size": BATCH}
    return [
        Variant("plain", "claims-plain", "no weights, no mirror, no jitter", train=train),
        Variant("class balancing", "claims-balanced", "inverse share weights", train={**train, "class_weights": "balanced"}),
        Variant("mirroring", "claims-mirrored", "every second image", {"augment": {"flip": True}}, train),
        Variant("jitter", "claims-jitter", f"±{JITTER} of 128 px, as ±32 of 500", {"augment": {"shift": JITTER}}, train),
    ]


def _sgd() -> list[Variant]:
    """Return SGD with batches and with single images, then with the mean and with the sum of the loss.

    Batch norm is left out (kept at its start, the identity): its statistics would be another net's with another batch.
    """

    def train(batch: int, steps: int, momentum: float, learning_rate: float, **more: Any) -> dict[str, Any]:
        decay = {"weight_decay": more.pop("weight_decay", DECAY)}
        optimizer = {
            "name": "sgd",
            "learning_rate": learning_rate,
            "momentum": momentum,
            "warmup": WARMUP * GROUP // batch,
            **decay,
        }
        stages = [{"stride": 32, "steps": steps}]
        return {"stages": stages, "batch_size": batch, "optimizer": optimizer, "freeze_batch_norm": True, **more}

    batched = train(GROUP, IMAGES // GROUP, 0.9, RATE)
    single = train(1, IMAGES, 0.99, same_reach(RATE, 0.9, GROUP, 0.99, 1))
    averaged = train(EXACT_GROUP, EXACT_STEPS, 0.9, RATE)
    # decay acts as learning rate * decay * weight, so it grows as the learning rate shrinks
    divided = equivalent_learning_rate(RATE, "mean", PIXELS)
    summed = train(EXACT_GROUP, EXACT_STEPS, 0.9, divided, weight_decay=DECAY * PIXELS, reduction="sum")
    size = {"size": EXACT_SIZE}
    return [
        Variant(BATCHED, "claims-momentum90", "SGD, no batch norm", train=batched),
        Variant(SINGLE, "claims-momentum99", "SGD, no batch norm, equal reach per image", train=single),
        Variant(AVERAGED, "claims-mean", "SGD, no batch norm, 64×128 px", size, averaged),
        Variant(SUMMED, "claims-sum", "SGD, no batch norm, 64×128 px, decay multiplied alike", size, summed),
    ]


VARIANTS = {variant.name: variant for variant in (*_adamw(), *_sgd())}


def plan(context: Context, seed: int) -> Plan:
    """Return every variant of training; none on real data, where only the cost of sliding is measured."""
    if not context.on_scenes:
        return {}
    return {name: Training(variant.run, variant.recipe(context, seed)) for name, variant in VARIANTS.items()}


def run(context: Context) -> Finding:
    """Return the cost of sliding and, on Scenes, what the changes in training do; draws ``sliding.png`` and ``claims.png``."""
    cost = sliding(context)
    plans = [plan(context, seed) for seed in range(context.seeds)]
    if not plans[0]:
        return Finding(cost.rows, cost.claims, cost.pictures, (*cost.notes, NOT_HERE))
    results = {name: [context.train(each[name]) for each in plans] for name in plans[0]}
    data = describe_data(context.validation(plans[0]["plain"].recipe))
    rows = [row for name, found in results.items() for row in _rows(VARIANTS[name], found, data)]
    pairs = zip(results[AVERAGED], results[SUMMED], strict=True)
    gaps = tuple(100 * loss_gap(losses(mean), [loss / PIXELS for loss in losses(total)]) for mean, total in pairs)
    rows.append(Row(SUMMED, LOSS_GAP, gaps, "scenes train", "loss per pixel, relative, all steps", digits=4))
    scores = {name: scores_of(plans[0][name].recipe, found) for name, found in results.items()}
    picture = _draw(context.folder / "claims.png", rows)
    return Finding(
        (*rows, *cost.rows),
        (*_no_gain(scores), *_equivalent(Finding(tuple(rows)), scores), *cost.claims),
        (picture, *cost.pictures),
        (*_notes(context.seeds), *cost.notes),
    )


def _rows(variant: Variant, results: Sequence[RunResult], data: str) -> list[Row]:
    record = results[0].stages[-1]
    protocol = f"{variant.protocol}; {record['steps']} steps of {record['images'] // record['steps']}"
    seconds = sum(result.seconds for result in results)
    return [
        Row(variant.name, title, tuple(100 * result.score(metric) for result in results), data, protocol, seconds)
        for metric, title in METRICS.items()
    ]


def losses(result: RunResult) -> list[float]:
    """Return the losses that a run logged, in order."""
    rows = MetricsFile(result.out / "metrics.csv", (SEMANTIC,)).rows()
    return [row["loss"] for row in rows if "loss" in row]


def loss_gap(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the largest difference of two runs' losses, step by step, relative to the first's.

    Examples
    --------
    >>> loss_gap([2.0, 1.0], [2.0, 1.5])
    0.5
    """
    return max(abs(one - other) / abs(one) for one, other in zip(first, second, strict=True))


def _no_gain(scores: Mapping[str, Scores]) -> list[Claim]:
    """Compare variants of training with plain training; ``scores`` are by the names of the variants."""
    found = []
    for name in ("class balancing", "mirroring", "jitter"):
        gap, *others = (
            Difference.of([scores[name]], [scores["plain"]], key) for key in ("mean_iu", "mean_accuracy", "pixel_accuracy")
        )
        listed = ", ".join(
            f"{title} {other.value:+.1f}" for title, other in zip(("mean accuracy", "pixel accuracy"), others, strict=True)
        )
        found.append(Claim(f"{name} brings no gain in mean IU of more than a point", gap.no_gain, f"{gap}; {listed}"))
    return found


def _equivalent(finding: Finding, scores: Mapping[str, Scores]) -> list[Claim]:
    gap = Difference.of([scores[SINGLE]], [scores[BATCHED]])
    momentum = "momentum .99 with single images gives the mean IU of .9 with batches of 20, within a point"
    claims = [Claim(momentum, gap.alike, str(gap))]
    apart = max(finding.row(SUMMED, LOSS_GAP).measured)
    moved = Difference.of([scores[SUMMED]], [scores[AVERAGED]]).value
    text = "the sum of the loss at the equivalent learning rate is the mean's run, loss by loss"
    evidence = f"losses at most {apart:.4f} % apart, mean IU {moved:+.1f}"
    return [*claims, Claim(text, apart < SAME and abs(moved) < SAME, evidence)]


def _notes(seeds: int) -> list[str]:
    notes = [
        "All nets are FCN-32s from random weights on images of 96×128; those of a comparison see equal numbers of images. The "
        "paper's found no gain when fine-tuning nets that a million photographs had trained, so what is compared here is harder.",
        f"Momentum: .9 with batches of 20 at learning rate {RATE:g} against .99 with single images at "
        f"{same_reach(RATE, 0.9, GROUP, 0.99, 1):g}, so that each image moves the weights as far in all. The mean momentum per "
        "image of the former is .9^(1/20) ≈ .995.",
        "Sum or mean: Scenes ignore no pixel, so every batch has equally many and the two differ by a constant. That constant "
        "must multiply the weight decay too, which acts as learning rate × decay: beside the reference's 1e-10 a decay of 5e-4 "
        f"does next to nothing. Here it is {PIXELS:,} pixels, a power of two, which rounds nothing; another number would, and "
        "training makes such differences grow (0.3 % in the first forty steps of 20 images of 96×128).",
    ]
    return notes if seeds > 1 else [*notes, "One seed says nothing of others: give --seeds 3 to know what a difference is worth."]


def _draw(path: Path, rows: Sequence[Row]) -> Picture:
    """Draw the mean IU of every net, with the spread over the seeds; the two comparisons in two colours."""
    scores = [row for row in rows if row.quantity == MEAN_IU]
    draw_bars(path, scores, ["C1" if row.item in (BATCHED, SINGLE, AVERAGED, SUMMED) else "C0" for row in scores])
    return Picture(path.name, "Mean IU of FCN-32s on Scenes; blue: AdamW with batch norm, orange: SGD without.")
