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
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fullconv.evaluation import METRICS
from fullconv.files import replacing
from fullconv.paper.experiment import Bench, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Picture, Row
from fullconv.paper.table2 import starting_weights
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


def run(bench: Bench) -> Finding:
    """Return score, loss and time of a step for every share of patches; draw the curves."""
    recipes = {share: [_recipe(bench, share, seed) for seed in range(bench.seeds)] for share in SHARES}
    results = {
        share: [bench.train(recipe, f"F5-{bench.data}-p{share:g}") for recipe in chosen] for share, chosen in recipes.items()
    }
    logs = {share: [_log(result) for result in found] for share, found in results.items()}
    data = describe_data(bench.validation(recipes[SHARES[0]][0]))
    rows = tuple(row for share in SHARES for row in _rows(share, results[share], logs[share], data))
    finding = Finding(rows)
    picture = bench.folder / "curves.png"
    _draw(picture, {share: found[0] for share, found in logs.items()})
    caption = "Loss and mean IU against steps (left) and against seconds of training (right), seed 0; loss: running mean."
    return Finding(rows, _claims(finding), (Picture(picture.name, caption),))


def _recipe(bench: Bench, share: float, seed: int) -> Recipe:
    name = recipe_for(bench, "scenes-fcn32s-fixed-minivgg", "voc-fcn32s-fixed-{backbone}")
    steps = bench.steps(STEPS)
    train: dict[str, Any] = {
        "stages": [{"stride": 32, "steps": STEPS}],
        "trainable": "all",
        "batch_size": PATCHES,
        "loss_sampling": share,
        "validate_every": max(1, steps // CURVE),
        "average": None,
    }
    if bench.on_scenes:  # the fixed net's rate is for its one layer
        train["optimizer"] = {"learning_rate": 2.5e-3, "weight_decay": 1e-2}
    return bench.recipe(name, seed, {**starting_weights(bench, seed), "train": train})


def _log(result: RunResult) -> list[dict[str, Any]]:
    """Return the rows of a run's log, each with the ``seconds`` of training up to it."""
    rows = MetricsFile(result.out / "metrics.csv", ("semantic",)).rows()
    images = result.stages[0]["images"] / result.stages[0]["steps"]
    speed = next(row["images_per_second"] for row in reversed(rows) if "images_per_second" in row)
    return [row | {"seconds": row["step"] * images / speed} for row in rows]


def _rows(share: float, results: Sequence[RunResult], logs: Sequence[Sequence[Mapping[str, Any]]], data: str) -> list[Row]:
    stage = results[0].stages[0]
    protocol = f"FCN-32s, {stage['steps']} steps of {stage['images'] // stage['steps']} images"
    steps = [1000 * log[-1]["seconds"] / log[-1]["step"] for log in logs]
    losses = [fmean(row["loss"] for row in log if "loss" in row and row["step"] > (1 - LAST) * stage["steps"]) for log in logs]
    item = f"p = {share:g}"
    seconds = sum(log[-1]["seconds"] for log in logs)
    return [
        Row(item, METRICS["mean_iu"], tuple(100 * result.score() for result in results), data, protocol, seconds),
        Row(item, "loss, nats", tuple(losses), "training images", f"mean of the last {LAST:.0%} of steps", digits=3),
        Row(item, "a step, ms", tuple(steps), "training images", protocol),
    ]


def _claims(finding: Finding) -> tuple[Claim, ...]:
    score = {share: finding.row(f"p = {share:g}", METRICS["mean_iu"]) for share in SHARES}
    time = {share: finding.row(f"p = {share:g}", "a step, ms").mean for share in SHARES}
    gains = {share: score[share].mean - score[1.0].mean for share in SHARES[1:]}
    spread = max(row.spread for row in score.values())
    return (
        Claim(
            "sampling does not converge to more in as many steps, within a point or the spread",
            all(gain <= max(1.0, spread) for gain in gains.values()),
            ", ".join(f"p = {share:g}: mean IU {gain:+.1f}" for share, gain in gains.items()) + f"; spread {spread:.1f}",
        ),
        Claim(
            "sampling is slower in wall time",
            all(time[share] > time[1.0] for share in SHARES[1:]),
            ", ".join(f"a step with p = {share:g} takes {time[share] / time[1.0]:.2f} times as long" for share in SHARES[1:]),
        ),
    )


def _draw(path: Path, logs: Mapping[float, Sequence[Mapping[str, Any]]]) -> None:
    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    plots = figure.subplots(2, 2, sharey="row")
    for share, rows in logs.items():
        losses = [row for row in rows if "loss" in row]
        scores = [row for row in rows if "semantic_mean_iu" in row]
        window = min(SMOOTH, len(losses))
        smooth = np.convolve([row["loss"] for row in losses], np.ones(window) / window, "valid")
        for column, key in enumerate(("step", "seconds")):
            plots[0, column].plot([row[key] for row in losses][window - 1 :], smooth, label=f"p = {share:g}")
            plots[1, column].plot([row[key] for row in scores], [100 * row["semantic_mean_iu"] for row in scores], marker=".")
    for plot in plots.flat:
        plot.grid(alpha=0.3)
    plots[0, 0].legend()
    plots[0, 0].set_ylabel("loss, nats")
    plots[1, 0].set_ylabel("mean IU, %")
    plots[1, 0].set_xlabel("steps")
    plots[1, 1].set_xlabel("seconds of training")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
