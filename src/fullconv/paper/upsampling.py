"""Fixed against learned deconvolution: the same staged nets, their intermediate upsampling bilinear or trained.

Paper, section 3.3 and 4.2: upsampling "can be learned", the intermediate layers start bilinear and are trained, the last one
stays fixed; the reference implementation fixes all of them.
"""

from fullconv.data.sample import SEMANTIC
from fullconv.evaluation import METRICS
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.upsample import Deconvolution, bilinear_kernel
from fullconv.paper.experiment import Bench, describe_data, recipe_for
from fullconv.paper.findings import Claim, Finding, Row
from fullconv.paper.table2 import staged_recipe, starting_weights
from fullconv.training import RunResult

COMPARED = ("16s", "8s")
"""The stages that have an intermediate upsampling."""


def run(bench: Bench) -> Finding:
    """Return the scores of both kinds; the nets with fixed upsampling are those of T2."""
    name = recipe_for(bench, "scenes-fcn8s-minivgg", "voc-fcn8s-{backbone}")
    found: dict[str, list[RunResult]] = {"fixed": [], "learned": []}
    for seed in range(bench.seeds):
        fixed = staged_recipe(bench, seed)
        found["fixed"].append(bench.train(fixed))
        weights = starting_weights(bench, seed).get("model", {})
        learned = bench.recipe(name, seed, {"model": {**weights, "deconvolution": "learned"}})
        found["learned"].append(bench.train(learned, f"{name}-learned"))
    data = describe_data(bench.validation(fixed))
    rows = [_row(kind, stage, metric, found[kind], data) for stage in COMPARED for kind in found for metric in METRICS]
    finding = Finding(tuple(rows), notes=(_moved(found["learned"][0]),))
    return Finding(finding.rows, (_claim(finding, bench.seeds),), notes=finding.notes)


def _row(kind: str, stage: str, metric: str, results: list[RunResult], data: str) -> Row:
    values = tuple(100 * result.score(metric, stage=stage) for result in results)
    seconds = sum(s["seconds"] for result in results for s in result.stages if s["stage"] == stage)
    return Row(f"FCN-{stage}, {kind}", METRICS[metric], values, data, f"{kind} 2× upsampling, staged", seconds)


def _claim(finding: Finding, seeds: int) -> Claim:
    title = METRICS["mean_iu"]
    fixed, learned = (finding.row(f"FCN-8s, {kind}", title) for kind in ("fixed", "learned"))
    gap, spread = learned.mean - fixed.mean, max(fixed.spread, learned.spread)
    evidence = f"{gap:+.1f} at 8s, spread {spread:.1f}, {seeds} seed{'s' if seeds > 1 else ''}"
    return Claim(
        "learning the upsampling changes mean IU by less than a point or the spread", abs(gap) <= max(1, spread), evidence
    )


def _moved(result: RunResult) -> str:
    """Say how far the learned filters went from the bilinear ones that they started as."""
    model = load_checkpoint(result.model).model
    moves = []
    for stride, layer in zip(model.strides[1:], model.head(SEMANTIC).upsample, strict=False):  # the last one stays as it is
        if isinstance(layer, Deconvolution):
            start = bilinear_kernel(layer.weight.shape[-1])
            moves.append(f"{(layer.weight.detach() - start).abs().mean() / start.mean():.0%} on the way to stride {stride}")
    return f"How far the learned filters of seed 0 went from bilinear, as a share of their mean weight: {', '.join(moves)}."
