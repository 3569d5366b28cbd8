"""Figure 5: patchwise training is loss sampling, and whole images are as good for each step and better for each second.

Paper, sections 3.4 and 4.3. Every coarse output sees one patch of the image, its receptive field; to train on patches drawn
with probability p is to keep each coarse output's loss with probability p. The batch is enlarged by 1/p, so that a step has
as many patches whatever p is: then only their dependence (patches of one image look alike) and the cost of a step differ.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from fullconv.evaluation import METRICS
from fullconv.evaluation.plots import figure
from fullconv.paper.experiment import Context, Plan, Training, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Picture, Row
from fullconv.paper.verdicts import Difference, Scores, every, scores_of
from fullconv.spec import Recipe
from fullconv.training import RunResult
from fullconv.training.log import MetricsFile

SHARES = (1.0, 0.5, 0.25)
"""The paper's: all patches of an image, half, a quarter."""
STEPS, PATCHES = 600, 4
"""Steps of training, and images' worth of patches in each."""
CURVE = 8
"""Points of the mean IU's curve."""
LAST = 0.2
"""Share of the steps, at the end, over which the loss is averaged."""
SMOOTH = 9
"""Rows of the log that the drawn loss is a running mean of."""


def plan(context: Context, seed: int) -> Plan:
    """Return FCN-32s, all of it trained, once for every share of the patches: more images a step for a smaller share."""
    name = recipe_for(context, "scenes-fcn32s-fixed-minivgg", "voc-fcn32s-fixed-{backbone}")
    nets = context.data if context.on_scenes else f"{context.data}-{context.trunk}"
    return {item(share): Training(f"F5-{nets}-p{share:g}", _recipe(context, name, share, seed)) for share in SHARES}


def item(share: float) -> str:
    """Return what the net of a share of the patches is called.

    Examples
    --------
    >>> item(0.5)
    'p = 0.5'
    """
    return f"p = {share:g}"


def _recipe(context: Context, name: str, share: float, seed: int) -> Recipe:
    train: dict[str, Any] = {
        "stages": [{"stride": 32, "steps": STEPS}],
        "trainable": "all",
        "batch_size": PATCHES,
        "loss_sampling": share,
        "validate_every": max(1, context.steps(STEPS) // CURVE),
        "average": None,
    }
    if context.on_scenes:  # the fixed net's learning rate is for its one layer
        train["optimizer"] = {"learning_rate": 2.5e-3, "weight_decay": 1e-2}
    return context.recipe(name, seed, {"model": context.start, "train": train})


def run(context: Context) -> Finding:
    """Return score, loss and time of a step for every share of patches; draw the curves."""
    plans = [plan(context, seed) for seed in range(context.seeds)]
    results = {net: [context.train(each[net]) for each in plans] for net in plans[0]}
    logs = {net: [_log(result) for result in found] for net, found in results.items()}
    data = describe_data(context.validation(plans[0][item(1)].recipe))
    rows = tuple(row for net in results for row in _rows(net, results[net], logs[net], data))
    picture = context.folder / "curves.png"
    _draw(picture, {net: found[0] for net, found in logs.items()})
    caption = "Loss and mean IU against steps (left) and against seconds of training (right), seed 0; loss: running mean."
    scores = {share: scores_of(plans[0][item(share)].recipe, results[item(share)]) for share in SHARES}
    return Finding(rows, _claims(Finding(rows), scores), (Picture(picture.name, caption),))


def _log(result: RunResult) -> list[dict[str, Any]]:
    """Return the rows of a run's log, each with the ``seconds`` of training up to it."""
    rows = MetricsFile(result.out / "metrics.csv", ("semantic",)).rows()
    images = result.stages[0]["images"] / result.stages[0]["steps"]
    speed = next(row["images_per_second"] for row in reversed(rows) if "images_per_second" in row)
    return [row | {"seconds": row["step"] * images / speed} for row in rows]


def _rows(net: str, results: Sequence[RunResult], logs: Sequence[Sequence[Mapping[str, Any]]], data: str) -> list[Row]:
    stage = results[0].stages[0]
    protocol = f"FCN-32s, {stage['steps']} steps of {stage['images'] // stage['steps']} images"
    steps = [1000 * log[-1]["seconds"] / log[-1]["step"] for log in logs]
    losses = [fmean(row["loss"] for row in log if "loss" in row and row["step"] > (1 - LAST) * stage["steps"]) for log in logs]
    seconds = sum(log[-1]["seconds"] for log in logs)
    return [
        Row(net, METRICS["mean_iu"], tuple(100 * result.score() for result in results), data, protocol, seconds),
        Row(net, "loss, nats", tuple(losses), "training images", f"mean of the last {LAST:.0%} of steps", digits=3),
        Row(net, "a step, ms", tuple(steps), "training images", protocol),
    ]


def _claims(finding: Finding, scores: Mapping[float, Scores]) -> tuple[Claim, ...]:
    time = {share: finding.row(item(share), "a step, ms").mean for share in SHARES}
    gaps = {share: Difference.of([scores[share]], [scores[1.0]]) for share in SHARES[1:]}
    return (
        Claim(
            "sampling does not converge to more in as many steps, by more than a point",
            every(gap.no_gain for gap in gaps.values()),
            ", ".join(f"{item(share)}: mean IU {gap}" for share, gap in gaps.items()),
        ),
        Claim(
            "sampling is slower in wall time",
            all(time[share] > time[1.0] for share in SHARES[1:]),
            ", ".join(f"a step with {item(share)} takes {time[share] / time[1.0]:.2f} times as long" for share in SHARES[1:]),
        ),
    )


def _draw(path: Path, logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    with figure(path, (10, 7)) as drawing:
        plots = drawing.subplots(2, 2, sharey="row")
        for net, rows in logs.items():
            losses = [row for row in rows if "loss" in row]
            scores = [row for row in rows if "semantic_mean_iu" in row]
            window = min(SMOOTH, len(losses))
            smooth = np.convolve([row["loss"] for row in losses], np.ones(window) / window, "valid")
            for column, key in enumerate(("step", "seconds")):
                plots[0, column].plot([row[key] for row in losses][window - 1 :], smooth, label=net)
                plots[1, column].plot([row[key] for row in scores], [100 * row["semantic_mean_iu"] for row in scores], marker=".")
        for plot in plots.flat:
            plot.grid(alpha=0.3)
        plots[0, 0].legend()
        plots[0, 0].set_ylabel("loss, nats")
        plots[1, 0].set_ylabel("mean IU, %")
        plots[1, 0].set_xlabel("steps")
        plots[1, 1].set_xlabel("seconds of training")
