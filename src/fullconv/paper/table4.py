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
from fullconv.paper.experiment import Bench, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Row, paired
from fullconv.paper.plots import draw_nets
from fullconv.paper.table2 import starting_weights
from fullconv.spec import Recipe
from fullconv.training import RunResult

SINGLE = {"RGB": "rgb", "RGBD": "rgb+depth", "HHA": "hha"}
"""The stream of each net that has one."""
CONTROL, LATE, FINER = "FCN-32s RGB, trained on", "FCN-32s RGB-HHA", "FCN-16s RGB-HHA"


@dataclass(frozen=True)
class Net:
    """A row of the table: what was trained, which stage of it counts, and where it started."""

    run: RunResult
    stage: str
    start: str


def run(bench: Bench) -> Finding:
    """Return table 4 on Scenes or NYUDv2; draw what the nets of the first seed say."""
    nets = [_train(bench, seed) for seed in range(bench.seeds)]
    recipe = _late(bench, 0, {})
    streams = recipe.data.model_copy(update={"streams": ("rgb", "depth", "hha")})
    dataset = open_dataset(streams, recipe.data.val)
    rows = tuple(row for name in nets[0] for row in _rows(name, [each[name] for each in nets], dataset))
    models = {
        name: load_checkpoint(net.run.out / f"stage-{net.stage}" / "model.safetensors").model
        for name, net in nets[0].items()
        if name != CONTROL
    }
    picture = draw_nets(bench.folder / "nets.png", models, dataset, SEMANTIC)
    return Finding(rows, tuple(_claims(rows)), (picture,), NOTES)


NOTES = (
    "RGBD is early fusion: the first layer has a fourth channel, which starts as the mean of the other three and is given the "
    "logarithm of the depth. RGB-HHA is late fusion: two trunks, whose scores are averaged before one upsampling.",
)


def _single(bench: Bench, seed: int, model: Mapping[str, Any]) -> Recipe:
    name = recipe_for(bench, "scenes-fcn32s-minivgg", nyudv2="nyudv2-fcn32s-{backbone}")
    return bench.recipe(name, seed, {"model": dict(model), "data": _kept(bench)})


def _late(bench: Bench, seed: int, model: Mapping[str, Any]) -> Recipe:
    name = recipe_for(bench, "scenes-fcn16s-rgb-hha-minivgg", nyudv2="nyudv2-fcn16s-rgb-hha-{backbone}")
    return bench.recipe(name, seed, {"model": dict(model), "data": _kept(bench)})


def _kept(bench: Bench) -> dict[str, str]:
    return {} if bench.on_scenes else {"hha": str(bench.out / "hha")}


def _train(bench: Bench, seed: int) -> dict[str, Net]:
    """Return the nets of one seed, by their names in the table."""
    start = starting_weights(bench, seed).get("model", {})
    nets: dict[str, Net] = {}
    for title, stream in SINGLE.items():
        recipe = _single(bench, seed, {**start, "streams": [stream]})
        nets[f"FCN-32s {title}"] = Net(bench.train(recipe, f"{recipe.name}-{title.lower()}"), "32s", "the classifier")
    trained = {stream: str(nets[f"FCN-32s {title}"].run.model) for title, stream in SINGLE.items() if stream != SINGLE["RGBD"]}
    control = _single(bench, seed, {"weights": {"rgb": trained["rgb"]}})
    nets[CONTROL] = Net(bench.train(control, f"{control.name}-rgb-on"), "32s", "FCN-32s RGB")
    fused = bench.train(_late(bench, seed, {"weights": trained}))
    nets[LATE] = Net(fused, "32s", "FCN-32s RGB and HHA")
    nets[FINER] = Net(fused, "16s", "FCN-32s RGB-HHA")
    return nets


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


def _claims(rows: Sequence[Row]) -> list[Claim]:
    """Compare as the paper does: one net is better than another when the means differ by more than either spread."""
    score = {row.item: row for row in rows if row.quantity == METRICS["mean_iu"]}

    def above(text: str, better: str, worse: str) -> Claim:
        gap, spread = score[better].mean - score[worse].mean, max(score[better].spread, score[worse].spread)
        seeds = len(score[better].measured)
        many = f"spread {spread:.1f}, {seeds} seeds" if seeds > 1 else "one seed, so no spread"
        return Claim(text, gap > spread, f"{gap:+.1f}; {many}")

    return [
        above("RGB-HHA is better than RGB in mean IU", LATE, "FCN-32s RGB"),
        above("RGB-HHA is better than HHA alone", LATE, "FCN-32s HHA"),
        above("RGB-HHA is better than RGB that was trained for as long", LATE, CONTROL),
        above("RGBD is better than RGB", "FCN-32s RGBD", "FCN-32s RGB"),
        above("RGB is better than HHA alone", "FCN-32s RGB", "FCN-32s HHA"),
        above("16s is better than 32s", FINER, LATE),
    ]
