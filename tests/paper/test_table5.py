"""Table 5, trained for a few steps: rows against the runs, what the nets share, verdicts, SIFT Flow's recipe."""

import json
from pathlib import Path

import pytest
from in_small import BUDGET, assert_trained_as_planned
from made_scores import net
from rich.console import Console

from fullconv.errors import SpecError
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.paper.experiment import Context
from fullconv.paper.findings import Finding, Row
from fullconv.paper.suite import run_experiment
from fullconv.paper.table5 import ALONE, BOTH, HEADS, JOINT, WEIGHED, _as_good, _cheaper, plan, published_beside


@pytest.fixture(scope="module")
def context(small: Context) -> Context:
    return small.named("T5", 1.0)


@pytest.fixture(scope="module")
def finding(context: Context) -> Finding:
    return run_experiment("T5", context, BUDGET)


def test_the_runs_are_those_of_the_plan(context: Context, finding: Finding) -> None:
    assert_trained_as_planned(context, "T5")


def stored(context: Context, item: str) -> dict:  # type: ignore[type-arg]
    run = context.run_folder(plan(context, 0)[item].run)
    return json.loads((run / "result.json").read_text())["stages"][-1]  # type: ignore[no-any-return]


def test_rows_are_what_the_runs_stored(context: Context, finding: Finding) -> None:
    titles = {"pixel accuracy": "pixel_accuracy", "mean accuracy": "mean_accuracy", "mean IU": "mean_iu"}
    for item in (JOINT, WEIGHED, ALONE["semantic"]):
        for title, key in {**titles, "f.w. IU": "frequency_weighted_iu"}.items():
            assert finding.row(item, title).measured == pytest.approx((100 * stored(context, item)["heads"]["semantic"][key],))
    for item in (JOINT, WEIGHED, ALONE["geometric"]):
        expected = 100 * stored(context, item)["heads"]["geometric"]["pixel_accuracy"]
        assert finding.row(item, "geometric accuracy").measured == pytest.approx((expected,))
    assert [finding.row(JOINT, title).paper for title in ("mean IU", "geometric accuracy")] == [39.5, 94.3]
    assert len(finding.rows) == 5 + 5 + 4 + 1 + 5 * 3
    assert finding.complete


def test_the_nets_share_nothing_but_what_they_start_from(context: Context, finding: Finding) -> None:
    """The joint net is both single ones with one trunk less, and the costs of two add up."""
    runs = {item: context.run_folder(training.run) for item, training in plan(context, 0).items()}
    models = {item: load_checkpoint(run / "model.safetensors").model for item, run in runs.items()}
    trunk = sum(p.numel() for p in models[JOINT].trunk_parameters())
    size = {item: finding.row(item, "parameters M").mean for item in (*HEADS, BOTH)}
    assert size[BOTH] == pytest.approx(size[JOINT] + trunk / 1e6)
    assert size[JOINT] * 1e6 == pytest.approx(sum(p.numel() for p in models[JOINT].parameters()))
    for item, run in runs.items():
        seconds = sum(stage["seconds"] for stage in json.loads((run / "result.json").read_text())["stages"])
        assert finding.row(item, "training s").measured == pytest.approx((seconds,))
    alone = [finding.row(item, "training s").mean for item in ALONE.values()]
    assert finding.row(BOTH, "training s").measured == pytest.approx((sum(alone),))
    assert finding.row(BOTH, "forward ms").mean > max(finding.row(item, "forward ms").mean for item in ALONE.values())


def test_pictures_and_notes(context: Context, finding: Finding) -> None:
    assert [picture.file for picture in finding.pictures] == ["semantic.png", "geometric.png"]
    assert all((context.out / "T5" / picture.file).stat().st_size > 5000 for picture in finding.pictures)
    assert finding.notes[0].startswith("IU by semantic class, joint / weighed / alone, seed 0: floor ")
    assert finding.notes[1].startswith("IU by geometric class, joint / weighed / alone, seed 0: horizontal ")
    assert "Tighe et al. (geometry) 90.8 geometric accuracy; " in published_beside()
    journal = "FCN-8s of the journal version (unverified) 85.9 pixel accuracy, 53.9 mean accuracy, 41.2 mean IU"
    assert journal in published_beside()


def rows(joint: dict[str, float], semantic: dict[str, float], geometric: dict[str, float]) -> Finding:
    nets = {JOINT: joint, WEIGHED: joint, ALONE["semantic"]: semantic, ALONE["geometric"]: geometric}
    return Finding(tuple(Row(item, title, (value,), "", "") for item, given in nets.items() for title, value in given.items()))


@pytest.mark.parametrize(
    ("semantic", "geometric", "holds"),
    [
        ((39.1, 39.1), (80, 80), [True, True]),  # mean IU 0.9 points behind, pixel accuracy 0.93
        ((38.9, 38.9), (80, 80), [False, True]),
        ((39.05, 39.05), (70, 70), [True, False]),  # pixel accuracy 0.98 points behind
        ((36.0, 42.0), (90, 90), [None, True]),  # better is as good
    ],
)
def test_as_good_is_at_most_a_point_behind(semantic, geometric, holds) -> None:  # type: ignore[no-untyped-def]
    scores = {
        (item, head): net(*values)
        for item in (JOINT, WEIGHED)
        for head, values in (("semantic", semantic), ("geometric", geometric))
    }
    scores |= {(ALONE["semantic"], "semantic"): net(40, 40), (ALONE["geometric"], "geometric"): net(80, 80)}
    assert [claim.holds for claim in _as_good(scores)] == holds * 2


@pytest.mark.parametrize(("training", "forward", "holds"), [(120.0, 29.0, [True, True]), (210.0, 30.0, [False, False])])
def test_cheaper_is_less_than_both_together(training: float, forward: float, holds: list[bool]) -> None:
    one, two = {"training s": 100.0, "forward ms": 10.0}, {"training s": 110.0, "forward ms": 20.0}
    both = [Row(BOTH, "training s", (210.0,), "", ""), Row(BOTH, "forward ms", (30.0,), "", "")]
    found = Finding((*rows({"training s": training, "forward ms": forward}, one, two).rows, *both))
    assert [claim.holds for claim in _cheaper(found)] == holds
    assert f"{training:.1f} against 210.0; {training / 110:.2f} times the slower one's" in _cheaper(found)[0].evidence


def test_the_recipe_goes_by_data_and_backbone(tmp_path: Path) -> None:
    flow = plan(Context(tmp_path, "T5", "siftflow", tmp_path, "caffe-vgg16"), 1)[JOINT].recipe
    assert (flow.name, flow.model.weights, flow.data.root) == ("siftflow-fcn16s-caffe-vgg16", "imagenet", tmp_path)
    imagenet = plan(Context(tmp_path, "T5", backbone="squeezenet1_1"), 1)[JOINT].recipe
    assert (imagenet.model.name, imagenet.model.weights, imagenet.data.name) == ("fcn16s-squeezenet1_1", "imagenet", "scenes")
    with pytest.raises(SpecError, match=r"no recipe of this experiment is for 'voc2012'; accepted are scenes and siftflow"):
        plan(Context(tmp_path, "T5", "voc2012"), 0)
    with pytest.raises(SpecError, match=r"on scenes has the backbone 'vgg16'; there are minivgg, squeezenet1_1"):
        plan(Context(tmp_path, "T5", backbone="vgg16"), 1)


def test_without_the_data_the_papers_row_says_what_is_needed(tmp_path: Path) -> None:
    found = run_experiment("T5", Context(tmp_path, "", "siftflow", console=Console(quiet=True)))
    assert {row.item for row in found.rows} == {JOINT}
    assert "not run: siftflow needs its folder" in found.rows[0].cells()[4]
