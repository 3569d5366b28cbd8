"""Fixed against learned deconvolution: the same staged nets, their intermediate upsampling bilinear or trained.

Paper, section 3.3 and 4.2: upsampling "can be learned", the intermediate layers start bilinear and are trained, the last one
stays fixed; the reference implementation fixes all of them.
"""

from collections.abc import Mapping

from fullconv.data.sample import SEMANTIC
from fullconv.evaluation import METRICS
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.upsample import Deconvolution, bilinear_kernel
from fullconv.paper import table2
from fullconv.paper.experiment import Context, Plan, Training, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Row
from fullconv.paper.verdicts import Difference, Scores, scores_of
from fullconv.training import RunResult

COMPARED = ("16s", "8s")
"""The stages that have an intermediate upsampling."""


def plan(context: Context, seed: int) -> Plan:
    """Return the staged nets with fixed upsampling, which are those of T2, and the same with the 2× upsampling learned."""
    name = recipe_for(context, "scenes-fcn8s-minivgg", "voc-fcn8s-{backbone}")
    learned = context.recipe(name, seed, {"model": {**context.start, "deconvolution": "learned"}})
    return {"fixed": table2.plan(context, seed)[table2.STAGED], "learned": Training(f"{name}-learned", learned)}


def run(context: Context) -> Finding:
    """Return the scores of both kinds."""
    plans = [plan(context, seed) for seed in range(context.seeds)]
    trained = [{kind: context.train(training) for kind, training in each.items()} for each in plans]
    found = {kind: [each[kind] for each in trained] for kind in plans[0]}
    data = describe_data(context.validation(plans[0]["fixed"].recipe))
    rows = tuple(_row(kind, stage, metric, found[kind], data) for stage in COMPARED for kind in found for metric in METRICS)
    scores = {kind: scores_of(plans[0][kind].recipe, found[kind], "8s") for kind in found}
    return Finding(rows, (_claim(scores),), notes=(_moved(found["learned"][0]),))


def _row(kind: str, stage: str, metric: str, results: list[RunResult], data: str) -> Row:
    values = tuple(100 * result.score(metric, stage=stage) for result in results)
    seconds = sum(s["seconds"] for result in results for s in result.stages if s["stage"] == stage)
    return Row(f"FCN-{stage}, {kind}", METRICS[metric], values, data, f"{kind} 2× upsampling, staged", seconds)


def _claim(scores: Mapping[str, Scores]) -> Claim:
    gap = Difference.of([scores["learned"]], [scores["fixed"]])
    return Claim("learning the upsampling changes mean IU by no more than a point", gap.alike, f"at 8s {gap}")


def _moved(result: RunResult) -> str:
    """Say how far the learned filters went from the bilinear ones that they started as."""
    model = load_checkpoint(result.model).model
    moves = []
    for stride, layer in zip(model.strides[1:], model.head(SEMANTIC).upsample, strict=False):  # the last one stays as it is
        if isinstance(layer, Deconvolution):
            start = bilinear_kernel(layer.weight.shape[-1])
            moves.append(f"{(layer.weight.detach() - start).abs().mean() / start.mean():.0%} on the way to stride {stride}")
    return f"How far the learned filters of seed 0 went from bilinear, as a share of their mean weight: {', '.join(moves)}."
