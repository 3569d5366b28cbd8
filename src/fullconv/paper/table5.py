"""Table 5: one net with a semantic and a geometric head against two nets with one head each.

Paper, section 5 (SIFT Flow): the net with both heads is as good on both tasks as two nets trained for one each, and trains and
predicts about as fast as one of them. The losses are added; all nets have the same backbone, start, images and steps. A second
joint net weighs the geometric loss less: its three classes are learned sooner, and need the trunk less than the semantic ones.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from fullconv.data.sample import SEMANTIC, Dataset
from fullconv.evaluation import METRICS
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.paper.experiment import Context, Plan, Training, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Picture, Row, paired
from fullconv.paper.plots import draw_nets
from fullconv.paper.published import published
from fullconv.paper.table1 import forward_seconds
from fullconv.paper.verdicts import Difference, Scores, every, scores_of
from fullconv.spec import Recipe
from fullconv.training import RunResult

GEOMETRIC = "geometric"
JOINT, WEIGHED = "FCN-16s joint", "FCN-16s joint, geometric loss / 4"
ALONE = {SEMANTIC: "FCN-16s semantic alone", GEOMETRIC: "FCN-16s geometric alone"}
BOTH = "both alone, added"
HEADS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((JOINT, WEIGHED), (SEMANTIC, GEOMETRIC)),
    **{item: (head,) for head, item in ALONE.items()},
}
"""The heads of every net, by its name in the table."""
RUNS = {JOINT: "semantic-geometric", WEIGHED: "semantic-geometric-weighed", **{item: head for head, item in ALONE.items()}}
GEOMETRIC_SCORE = "geometric accuracy"
"""Of the four metrics the paper gives the pixel accuracy of the geometric classes."""
TRAINING, FORWARD, SIZE = "training s", "forward ms", "parameters M"
SIDE = 256
"""Of the image that is timed, in pixels: SIFT Flow's."""
REPEATS = 9


@dataclass(frozen=True)
class Net:
    """One net of the table: its recipe and the runs of all seeds."""

    recipe: Recipe
    runs: Sequence[RunResult]

    @property
    def seconds(self) -> tuple[float, ...]:
        """Of training, all stages, for each seed."""
        return tuple(run.seconds for run in self.runs)

    def score(self, head: str, metric: str) -> tuple[float, ...]:
        """Return a metric of a head in percent, for each seed."""
        return tuple(100 * run.score(metric, head) for run in self.runs)

    def load(self) -> FCN:
        """Return the net of the first seed, ready to predict."""
        return load_checkpoint(self.runs[0].model).model.eval()

    @property
    def protocol(self) -> str:
        """How it was trained."""
        stages, train = self.recipe.train.stages, self.recipe.train
        steps = " + ".join(str(stage.steps) for stage in stages)
        return f"{self.recipe.model.name}, {steps} steps of {train.images_per_step}"


def plan(context: Context, seed: int) -> Plan:
    """Return the four nets: the joint net's recipe with the heads of each, and once with another weight of the loss."""
    name = recipe_for(context, "scenes-fcn16s-joint-{backbone}", siftflow="siftflow-fcn16s-{backbone}")
    nets = {}
    for item, heads in HEADS.items():
        changes: dict[str, Any] = {"data": {"heads": list(heads)}, "model": context.start}
        if item == WEIGHED:
            changes["train"] = {"head_weights": {GEOMETRIC: 0.25}}
        run_name = f"T5-{context.data}-{context.trunk}-{RUNS[item]}"
        nets[item] = Training(run_name, context.recipe(name, seed, changes))
    return nets


def run(context: Context) -> Finding:
    """Return table 5 on the context's data: scores, parameters and times of the nets; draws what they say of both tasks."""
    nets = _train(context)
    models = {item: trained.load() for item, trained in nets.items()}
    context.say(f"{REPEATS + 1} passes of the nets over {SIDE}×{SIDE} pixels")
    seconds = forward_seconds(models, SIDE, REPEATS)
    dataset = context.validation(nets[JOINT].recipe)
    data = describe_data(dataset)
    costs = _costs(nets, models, seconds)
    rows = [row for item in nets for row in (*_scores(item, nets[item], data), *costs[item])]
    finding = Finding((*rows, *costs[BOTH]))
    pictures = tuple(_draw(context, head, models, dataset) for head in ALONE)
    notes = (*(_per_class(head, nets) for head in ALONE), published_beside())
    scores = {(item, head): scores_of(nets[item].recipe, nets[item].runs, head=head) for item in nets for head in HEADS[item]}
    return Finding(finding.rows, (*_as_good(scores), *_cheaper(finding)), pictures, notes)


def _train(context: Context) -> dict[str, Net]:
    """Train every net; those of one seed one after the other, so that other load on the machine meets all of them."""
    plans = [plan(context, seed) for seed in range(context.seeds)]
    runs = [{item: context.train(training) for item, training in each.items()} for each in plans]
    return {item: Net(training.recipe, [each[item] for each in runs]) for item, training in plans[0].items()}


def _scores(item: str, net: Net, data: str) -> list[Row]:
    """Return the four metrics of the semantic head, and the pixel accuracy of the geometric one."""
    measured = {title: net.score(SEMANTIC, key) for key, title in METRICS.items()} if SEMANTIC in HEADS[item] else {}
    if GEOMETRIC in HEADS[item]:
        measured[GEOMETRIC_SCORE] = net.score(GEOMETRIC, "pixel_accuracy")
    total = sum(net.seconds)
    return [
        paired("T5", item, title, values, data=data, protocol=net.protocol, seconds=total) for title, values in measured.items()
    ]


def _costs(nets: Mapping[str, Net], models: Mapping[str, FCN], forward: Mapping[str, Sequence[float]]) -> dict[str, list[Row]]:
    """Return parameters, seconds of training and time of a forward pass of every net, and of the two single ones together."""
    parameters = {item: sum(p.numel() for p in model.parameters()) / 1e6 for item, model in models.items()}
    training = {item: trained.seconds for item, trained in nets.items()}
    times = {item: 1000 * statistics.median(values) for item, values in forward.items()}
    parameters[BOTH] = sum(parameters[item] for item in ALONE.values())
    training[BOTH] = tuple(map(sum, zip(*(training[item] for item in ALONE.values()), strict=True)))
    times[BOTH] = sum(times[item] for item in ALONE.values())
    passes = f"CPU, threads: {torch.get_num_threads()}, median of {REPEATS}"
    return {
        item: [
            Row(item, SIZE, (parameters[item],), "–", "all layers", digits=3),
            Row(item, TRAINING, training[item], "training images", nets[JOINT].protocol),
            Row(item, FORWARD, (times[item],), f"{SIDE}×{SIDE}", passes),
        ]
        for item in (*HEADS, BOTH)
    }


def _as_good(scores: Mapping[tuple[str, str], Scores]) -> list[Claim]:
    """Compare the heads of the joint nets with the nets that have one of them, in what the paper quotes.

    ``scores`` are by net and head.
    """
    claims = []
    quoted = {SEMANTIC: ("mean_iu", "pixel_accuracy"), GEOMETRIC: ("pixel_accuracy",)}
    texts = {JOINT: "the joint net", WEIGHED: "the weighed joint net"}
    for (net, text), (head, metrics) in product(texts.items(), quoted.items()):
        gaps = {key: Difference.of([scores[net, head]], [scores[ALONE[head], head]], key) for key in metrics}
        listed = ", ".join(f"{METRICS[key]} {gap}" for key, gap in gaps.items())
        claim = f"the {head} head of {text} is as good as a net of its own, at most a point behind"
        claims.append(Claim(claim, every(gap.not_behind for gap in gaps.values()), listed))
    return claims


def _cheaper(finding: Finding) -> list[Claim]:
    """Compare the cost of the joint net with that of both others together."""
    claims = []
    texts = {
        TRAINING: "training the joint net takes fewer seconds than both others together",
        FORWARD: "a forward pass of the joint net takes less time than those of both others together",
    }
    for quantity, text in texts.items():
        joint, both = (finding.row(item, quantity).mean for item in (JOINT, BOTH))
        slower = joint / max(finding.row(item, quantity).mean for item in ALONE.values())
        claims.append(Claim(text, joint < both, f"{joint:.1f} against {both:.1f}; {slower:.2f} times the slower one's"))
    return claims


def _per_class(head: str, nets: Mapping[str, Net]) -> str:
    """Return a sentence with the IU of every class of the ground truth, of the joint net and of the one alone."""
    found = [nets[item].runs[0].stages[-1]["heads"][head]["iu"] for item in (JOINT, WEIGHED, ALONE[head])]
    listed = ", ".join(
        f"{name} {' / '.join(f'{100 * each[name]:.1f}' for each in found)}" for name, iu in found[0].items() if iu is not None
    )
    return f"IU by {head} class, joint / weighed / alone, seed 0: {listed}."


def published_beside() -> str:
    """Return a sentence with what table 5 holds beside the paper's own net."""
    methods = (
        f"{name} {', '.join(f'{value:g} {quantity}' for quantity, value in figures.items())}"
        for name, figures in published("T5").others.items()
    )
    return f"Published on SIFT Flow beside the paper's net: {'; '.join(methods)}."


def _draw(context: Context, head: str, models: Mapping[str, FCN], dataset: Dataset) -> Picture:
    """Draw a few images, their ground truth, and what the joint net and the one alone say, for one head."""
    return draw_nets(
        context.folder / f"{head}.png",
        {"joint": models[JOINT], "weighed": models[WEIGHED], "alone": models[ALONE[head]]},
        dataset,
        head,
    )
