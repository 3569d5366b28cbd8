"""Table 2 and figure 4: 32s-fixed, 32s, 16s, 8s; the same at once; what each skip adds, and why not finer still.

Paper, section 4.2. On Scenes all nets start from a classifier that is trained here on images of single objects, as the
paper's start from ImageNet's; a stage at stride 4 shows what the paper found not worth having.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullconv.data.sample import SEMANTIC, Dataset
from fullconv.evaluation import METRICS
from fullconv.inference.device import find_device
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.paper.experiment import Context, Plan, Training, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Picture, Row, paired
from fullconv.paper.plots import draw_bars, draw_nets, spread_out
from fullconv.paper.skip_contributions import STREAMS, ablation, draw_streams
from fullconv.paper.verdicts import Difference, Scores, every, scores_of
from fullconv.training import RunResult

FIXED, STAGED, ONCE = "FCN-32s-fixed", "staged", "FCN-8s at once"
"""The trainings; ``staged`` gives FCN-32s, FCN-16s and FCN-8s, and on Scenes FCN-4s."""


@dataclass(frozen=True)
class Nets:
    """What the trainings of one seed gave."""

    fixed: RunResult
    staged: RunResult
    at_once: RunResult

    def stage_folders(self) -> dict[str, Path]:
        """Return the folder of every net, by its name in the table."""
        stages = {f"FCN-{record['stage']}": self.staged.out / f"stage-{record['stage']}" for record in self.staged.stages}
        return {"FCN-32s-fixed": self.fixed.out, **stages, "FCN-8s at once": self.at_once.out}

    def runs(self) -> dict[str, RunResult]:
        """Return the run of every net, by its name in the table."""
        stages = {f"FCN-{record['stage']}": self.staged for record in self.staged.stages}
        return {"FCN-32s-fixed": self.fixed, **stages, "FCN-8s at once": self.at_once}

    def records(self) -> dict[str, Mapping[str, Any]]:
        """Return the record of every net (its steps, seconds and scores), by its name in the table."""
        stages = {f"FCN-{record['stage']}": record for record in self.staged.stages}
        return {"FCN-32s-fixed": self.fixed.stages[-1], **stages, "FCN-8s at once": self.at_once.stages[-1]}


def plan(context: Context, seed: int) -> Plan:
    """Return the three trainings of table 2, all from the same start; on Scenes the staged one goes on to stride 4."""
    names = {
        FIXED: recipe_for(context, "scenes-fcn32s-fixed-minivgg", "voc-fcn32s-fixed-{backbone}"),
        STAGED: recipe_for(context, "scenes-fcn4s-minivgg", "voc-fcn8s-{backbone}"),
        ONCE: recipe_for(context, "scenes-fcn8s-at-once-minivgg", "voc-fcn8s-at-once-{backbone}"),
    }
    return {net: Training(name, context.recipe(name, seed, {"model": context.start})) for net, name in names.items()}


def staged(context: Context, seed: int) -> Plan:
    """Return the training in stages alone: the plan of the experiments that only read its nets."""
    return {STAGED: plan(context, seed)[STAGED]}


def run(context: Context) -> Finding:
    """Return table 2 on the context's data; draw its nets, streams and scores into the context's folder."""
    plans = [plan(context, seed) for seed in range(context.seeds)]
    nets = [Nets(*(context.train(each[net]) for net in (FIXED, STAGED, ONCE))) for each in plans]
    dataset = context.validation(plans[0][STAGED].recipe)
    rows = _table(nets, describe_data(dataset))
    rows += _without_streams(nets, dataset)
    models = {name: _load(folder) for name, folder in nets[0].stage_folders().items()}
    pictures = [
        _draw_bars(context.folder / "mean-iu.png", rows),
        draw_nets(context.folder / "nets.png", models, dataset, SEMANTIC),
    ]
    draw_streams(models["FCN-8s"], SEMANTIC, dataset, spread_out(dataset), context.folder / "streams.png")
    caption = "What each stream of FCN-8s says about the class that is named at the left; red speaks for it, blue against it."
    pictures.append(Picture("streams.png", caption))
    recipe = plans[0][STAGED].recipe
    scores = {name: scores_of(recipe, [net.runs()[name] for net in nets], stage) for name, stage in _stages(nets[0]).items()}
    return Finding(tuple(rows), tuple(_claims(scores)), tuple(pictures), tuple(_per_class(nets)))


def _stages(nets: Nets) -> dict[str, str]:
    """Return the stage of every net, by its name in the table."""
    return {name: record["stage"] for name, record in nets.records().items()}


def _table(nets: Sequence[Nets], data: str) -> list[Row]:
    """Return the four metrics of every net, and the share of the score that the classifier layer alone reaches."""
    rows = []
    for name, record in nets[0].records().items():
        records = [net.records()[name] for net in nets]
        batch = record["images"] // record["steps"]
        protocol = f"{_training(name)}, {record['steps']} steps of {batch}"
        for key, title in METRICS.items():
            values = [100 * float(r["heads"][SEMANTIC][key]) for r in records]
            seconds = sum(r["seconds"] for r in records)
            rows.append(paired("T2", name, title, values, data=data, protocol=protocol, seconds=seconds))
    shares = [100 * net.fixed.score(stage="32s") / net.staged.score(stage="32s") for net in nets]
    rows.append(paired("claims", "only the classifier layer", "share of mean IU", shares, data=data, protocol="32s-fixed / 32s"))
    return rows


def _training(name: str) -> str:
    coarser = {"FCN-16s": "32s", "FCN-8s": "16s", "FCN-4s": "8s"}
    return {"FCN-32s-fixed": "score layer only", "FCN-32s": "end to end", "FCN-8s at once": "one stage"}.get(
        name, f"from {coarser.get(name)}"
    )


def _without_streams(nets: Sequence[Nets], dataset: Dataset) -> list[Row]:
    """Return the mean IU of FCN-8s with streams left out."""
    found = [ablation(_load(net.stage_folders()["FCN-8s"]), SEMANTIC, dataset) for net in nets]
    return [
        Row(
            f"FCN-8s {name}",
            METRICS["mean_iu"],
            tuple(100 * reports[name].metrics.mean_iu for reports in found),
            describe_data(dataset),
            "left out of the trained net",
        )
        for name in found[0]
    ]


def _claims(scores: Mapping[str, Scores]) -> list[Claim]:
    """Compare as the paper does, in mean IU; ``scores`` are of the nets by their names in the table."""
    order = ["FCN-32s-fixed", "FCN-32s", "FCN-16s", "FCN-8s"]
    full, middle, fine = (Difference.of([scores[fine]], [scores[coarse]]) for coarse, fine in itertools.pairwise(order))
    once = Difference.of([scores["FCN-8s at once"]], [scores["FCN-8s"]])
    claims = [
        Claim(
            "32s-fixed < 32s < 16s <= 8s in mean IU, 8s at most a point behind 16s",
            every([full.better, middle.better, fine.not_behind]),
            f"{full}, {middle}, {fine}",
        ),
        Claim("8s trained at once is as good as in stages, within a point", once.alike, str(once)),
    ]
    if "FCN-4s" in scores:
        less = Difference.of([scores[net] for net in ("FCN-16s", "FCN-8s")], [scores[net] for net in ("FCN-32s", "FCN-4s")])
        text = "finer skips give less and less: 4s adds less to 8s than 16s to 32s"
        claims.append(Claim(text, less.better, f"what 16s adds less what 4s adds: {less}"))
    return claims


def _per_class(nets: Sequence[Nets]) -> list[str]:
    """Return a sentence with the IU of every class of the ground truth, for each stage of the first seed."""
    sentences = []
    for name, record in nets[0].records().items():
        values = record["heads"][SEMANTIC]["iu"].items()
        listed = ", ".join(f"{title} {100 * iu:.1f}" for title, iu in values if iu is not None)
        sentences.append(f"IU by class of {name}, seed 0: {listed}.")
    return sentences


def _load(folder: Path) -> FCN:
    return load_checkpoint(folder / "model.safetensors").model.eval().to(find_device("auto"))


def _draw_bars(path: Path, rows: Sequence[Row]) -> Picture:
    """Draw the mean IU of every net and every ablation, with the spread over the seeds."""
    scores = [row for row in rows if row.quantity == METRICS["mean_iu"]]
    left_out = [" without " in row.item or row.item.endswith((" alone", " all streams")) for row in scores]
    draw_bars(path, scores, ["C7" if out else "C0" for out in left_out])
    streams = ", ".join(f"{name} reads stride {stride}" for stride, name in STREAMS.items() if stride > 4)
    return Picture(path.name, f"Mean IU; grey: the trained FCN-8s with streams left out ({streams}).")
