"""Table 4: colour, depth as a fourth channel (early fusion), HHA, and colour with HHA by late fusion, at last at stride 16.

Paper, section 5.2. All nets of stride 32 take the same number of steps; the late one starts from the two trained nets, as in the
reference, and so does a control: the colour net, trained on for as many steps, tells what more steps alone would have brought.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fullconv.data import open_dataset
from fullconv.data.sample import SEMANTIC, Dataset
from fullconv.evaluation import METRICS
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.paper.experiment import Context, Plan, Training, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Row, paired
from fullconv.paper.plots import draw_nets
from fullconv.paper.verdicts import Difference, Scores, scores_of
from fullconv.training import RunResult

SINGLE = {"RGB": "rgb", "RGBD": "rgb+depth", "HHA": "hha"}
"""The stream of each net that has one."""
CONTROL, LATE, FINER = "FCN-32s RGB, trained on", "FCN-32s RGB-HHA", "FCN-16s RGB-HHA"


RGB, HHA = "FCN-32s RGB", "FCN-32s HHA"


@dataclass(frozen=True)
class Net:
    """A row of the table: what was trained, which stage of it counts, and where it started."""

    run: RunResult
    stage: str
    start: str


def plan(context: Context, seed: int) -> Plan:
    """Return the trainings of one seed: those of one stream from the classifier, the control and the late net from trained ones.

    The late net is taken to stride 16 in its second stage.
    """
    one = recipe_for(context, "scenes-fcn32s-minivgg", nyudv2="nyudv2-fcn32s-{backbone}")
    two = recipe_for(context, "scenes-fcn16s-rgb-hha-minivgg", nyudv2="nyudv2-fcn16s-rgb-hha-{backbone}")
    data = {} if context.on_scenes else {"hha": str(context.out / "hha")}

    def training(name: str, run: str, model: Mapping[str, Any]) -> Training:
        return Training(run, context.recipe(name, seed, {"model": model, "data": data}))

    runs = {f"FCN-32s {title}": f"{one}-{title.lower()}" for title in SINGLE}
    nets = {
        f"FCN-32s {title}": training(one, runs[f"FCN-32s {title}"], {**context.start, "streams": [stream]})
        for title, stream in SINGLE.items()
    }
    nets[CONTROL] = training(one, f"{one}-rgb-on", {"weights": {"rgb": runs[RGB]}})
    nets[LATE] = training(two, two, {"weights": {"rgb": runs[RGB], "hha": runs[HHA]}})
    return nets


def run(context: Context) -> Finding:
    """Return table 4 on Scenes or NYUDv2; draw what the nets of the first seed say."""
    plans = [plan(context, seed) for seed in range(context.seeds)]
    nets = [_nets({name: context.train(training) for name, training in each.items()}) for each in plans]
    recipe = plans[0][LATE].recipe
    streams = recipe.data.model_copy(update={"streams": ("rgb", "depth", "hha")})
    dataset = open_dataset(streams, recipe.data.val)
    rows = tuple(row for name in nets[0] for row in _rows(name, [each[name] for each in nets], dataset))
    models = {
        name: load_checkpoint(net.run.out / f"stage-{net.stage}" / "model.safetensors").model
        for name, net in nets[0].items()
        if name != CONTROL
    }
    picture = draw_nets(context.folder / "nets.png", models, dataset, SEMANTIC)
    recipes = {**{name: training.recipe for name, training in plans[0].items()}, FINER: recipe}
    scores = {name: scores_of(recipes[name], [each[name].run for each in nets], net.stage) for name, net in nets[0].items()}
    return Finding(rows, tuple(_claims(scores)), (picture,), NOTES)


NOTES = (
    "RGBD is early fusion: the first layer has a fourth channel, which starts as the mean of the other three and is given the "
    "logarithm of the depth. RGB-HHA is late fusion: two trunks, whose scores are averaged before one upsampling.",
)


def _nets(runs: Mapping[str, RunResult]) -> dict[str, Net]:
    """Return the rows' nets of one seed, by their names in the table."""
    singles = {f"FCN-32s {title}": "the classifier" for title in SINGLE}
    starts = {**singles, CONTROL: RGB, LATE: f"{RGB} and HHA"}
    nets = {name: Net(runs[name], "32s", start) for name, start in starts.items()}
    return {**nets, FINER: Net(runs[LATE], "16s", LATE)}


def _rows(name: str, nets: Sequence[Net], dataset: Dataset) -> list[Row]:
    records = [next(stage for stage in net.run.stages if stage["stage"] == net.stage) for net in nets]
    steps, images = records[0]["steps"], records[0]["images"]
    protocol = f"from {nets[0].start}, {steps} steps of {images // steps}"
    seconds = sum(record["seconds"] for record in records)
    return [
        paired(
            "T4", name, title, [100 * float(record["heads"][SEMANTIC][key]) for record in records],
            data=describe_data(dataset), protocol=protocol, seconds=seconds,
        )
        for key, title in METRICS.items()
    ]  # fmt: skip


def _claims(scores: Mapping[str, Scores]) -> list[Claim]:
    """Compare as the paper does, in mean IU; ``scores`` are of the nets by their names in the table."""

    def above(text: str, better: str, worse: str) -> Claim:
        gap = Difference.of([scores[better]], [scores[worse]])
        return Claim(text, gap.better, str(gap))

    return [
        above("RGB-HHA is better than RGB in mean IU", LATE, RGB),
        above("RGB-HHA is better than HHA alone", LATE, HHA),
        above("RGB-HHA is better than RGB that was trained for as long", LATE, CONTROL),
        above("RGBD is better than RGB", "FCN-32s RGBD", RGB),
        above("RGB is better than HHA alone", RGB, HHA),
        above("16s is better than 32s", FINER, LATE),
    ]
