"""The experiments from the outside: what is stored, skipped, refused, resumed, and what cannot run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import save_file

from fullconv.data.scenes.scenes import object_crop
from fullconv.errors import DataError, FullconvError, SpecError, TrainingError
from fullconv.nn.backbones import BACKBONES
from fullconv.nn.backbones.minivgg import minivgg
from fullconv.nn.normalise import Normalise
from fullconv.paper import suite, table2
from fullconv.paper.classifier import train_classifier
from fullconv.paper.experiment import Context, Training
from fullconv.paper.findings import Finding, paired
from fullconv.paper.pretrained import CROPS, scenes_classifier
from fullconv.paper.suite import EXPERIMENTS, Experiment, choose, run_experiment
from fullconv.spec.recipe import read_recipe
from fullconv.training import Interrupted


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path / "out", "", console=Console(quiet=True))


class Counting:
    """An experiment that counts how often it is run."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, context: Context) -> Finding:
        self.runs += 1
        row = paired("T2", "FCN-8s", "mean IU", (40.0 + context.scale,), data=context.data, protocol=f"run {self.runs}")
        return Finding((row,), notes=("a note <b>",))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    run = Counting()
    monkeypatch.setitem(EXPERIMENTS, "T2", Experiment("a title", table2.plan, run, minutes=8))
    return run


def test_names_in_any_case_come_in_the_papers_order() -> None:
    assert choose(["Bound", "t1", "F5"]) == ["T1", "F5", "bound"]
    assert choose([]) == list(EXPERIMENTS)
    with pytest.raises(SpecError, match=r"no experiment is called 'T9'; there are T1, T2, .*bound"):
        choose(["T1", "T9"])


def test_a_finished_experiment_is_not_run_again(context: Context, counting: Counting) -> None:
    first = run_experiment("T2", context)
    assert run_experiment("T2", context) == first
    assert counting.runs == 1
    stored = json.loads((context.out / "T2" / "result.json").read_text())
    assert stored["settings"]["data"] == "scenes"
    assert "torch" in stored["machine"]
    assert stored["complete"]


def test_verdicts_of_another_rule_are_made_anew(context: Context, counting: Counting) -> None:
    """As in the result of an earlier version, which says of no claim that it is undecided."""
    run_experiment("T2", context)
    path = context.out / "T2" / "result.json"
    content = json.loads(path.read_text())
    assert "the claim is undecided" in content.pop("judged")
    content["claims"] = [{"text": "a < b", "holds": True, "evidence": "+0.1 (spread 0.3)"}]
    path.write_text(json.dumps(content))
    assert run_experiment("T2", context).claims == ()
    assert counting.runs == 2
    assert json.loads(path.read_text())["judged"]


def test_a_budget_scales_all_experiments_alike(context: Context, counting: Counting) -> None:
    assert run_experiment("T2", context, budget=2).rows[0].measured == (40.25,)


def test_other_settings_are_refused_and_nothing_is_lost(context: Context, counting: Counting) -> None:
    run_experiment("T2", context)
    before = (context.out / "T2" / "result.json").read_bytes()
    with pytest.raises(TrainingError, match=r"T2 holds T2 with scale 1.0, not 0.5; choose another --out, or delete that folder"):
        run_experiment("T2", context, budget=4)
    assert (context.out / "T2" / "result.json").read_bytes() == before


@pytest.mark.parametrize("key", ["version", "recipes", "weights"])
def test_results_of_another_version_recipe_or_weights_are_not_taken_for_these(
    key: str, context: Context, counting: Counting
) -> None:
    run_experiment("T2", context)
    path = context.out / "T2" / "result.json"
    content = json.loads(path.read_text())
    content["settings"][key] = "older"
    path.write_text(json.dumps(content))
    with pytest.raises(TrainingError, match=f"T2 holds T2 with {key} 'older', not .*; choose another --out, as its trained nets"):
        run_experiment("T2", context)
    assert json.loads(path.read_text()) == content


def test_other_weights_of_the_same_name_are_told(
    context: Context, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULLCONV_WEIGHTS", str(tmp_path))
    file = tmp_path / "squeezenet1_1-trunk.safetensors"
    save_file({"features.0.weight": torch.zeros(2)}, file)
    voc = replace(context, data="voc2012", root=tmp_path)
    run_experiment("T2", voc)
    assert run_experiment("T2", replace(voc, root=tmp_path / "moved")).complete
    save_file({"features.0.weight": torch.ones(2)}, file)
    with pytest.raises(
        TrainingError, match=r"T2 holds T2 with weights {'squeezenet1_1': '\w{12}'}, not {'squeezenet1_1': '\w{12}'}"
    ):
        run_experiment("T2", voc)
    assert counting.runs == 1


def test_a_folder_that_was_moved_goes_on(tmp_path: Path) -> None:
    recipe = read_recipe(
        {"name": "r", "model": {"name": "fcn32s-minivgg"}, "train": {"stages": [{"stride": 32, "steps": 2}]}}, "r"
    )
    small = recipe.model_copy(update={"data": recipe.data.model_copy(update={"count": 2, "val_count": 1, "size": (32, 32)})})
    here = Context(tmp_path / "here", "", console=Console(quiet=True))
    first = here.train(Training("first", small))
    second = Training("second", small.model_copy(update={"model": small.model.model_copy(update={"weights": {"rgb": "first"}})}))
    found = here.train(second)
    (tmp_path / "here").rename(tmp_path / "there")
    again = replace(here, out=tmp_path / "there").train(second)
    assert again.stages == found.stages
    assert first.out != again.out.parent / first.out.name
    stored = yaml.safe_load((again.out / "recipe.yaml").read_text())
    assert stored["model"]["weights"] == {"rgb": f"{tmp_path}/there/runs/first-seed0/model.safetensors"}


def test_a_damaged_result_is_named(context: Context, counting: Counting) -> None:
    run_experiment("T2", context)
    (context.out / "T2" / "result.json").write_text('{"experiment": "T2"}')
    with pytest.raises(FullconvError, match=r"T2/result.json is damaged .*delete it to measure again"):
        run_experiment("T2", context)


def test_what_cannot_run_is_tried_again_the_next_time(
    context: Context, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(context: Context) -> Finding:
        raise DataError("no folder VOC2012 in /nowhere")

    monkeypatch.setitem(EXPERIMENTS, "T2", Experiment("a title", table2.plan, missing, minutes=8))
    found = run_experiment("T2", context)
    assert not found.complete
    assert "no folder VOC2012 in /nowhere" in found.rows[0].needs
    assert "not run: no folder VOC2012 in /nowhere" in (context.out / "index.html").read_text()
    monkeypatch.setitem(EXPERIMENTS, "T2", Experiment("a title", table2.plan, counting, minutes=8))
    # with other settings than those that did not suffice, such as the folder that was missing
    assert run_experiment("T2", replace(context, root=Path("VOCdevkit"))).complete


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (Interrupted("stopped after step 7 of 9; go on with: fullconv train …"), "stopped after step 7 of 9"),
        (KeyboardInterrupt(), "stopped"),
    ],
)
def test_an_interruption_says_how_to_go_on(
    context: Context, monkeypatch: pytest.MonkeyPatch, stop: KeyboardInterrupt, said: str
) -> None:
    def stopped(context: Context) -> Finding:
        raise stop

    monkeypatch.setitem(EXPERIMENTS, "T2", Experiment("a title", table2.plan, stopped, minutes=8))
    with pytest.raises(Interrupted, match=rf"^{said}; give the same command again to go on$"):
        run_experiment("T2", context)
    assert not (context.out / "T2" / "result.json").exists()


def test_the_page_names_command_machine_and_source(context: Context, counting: Counting) -> None:
    run_experiment("T2", context, budget=2)
    page = (context.out / "index.html").read_text()
    assert "fullconv paper T2 --data scenes --budget 2" in page
    assert "table 2; VGG16 on the 736 images" in page
    assert "a note &lt;b&gt;" in page
    assert "62.7" in page
    assert "torch" in page


def test_every_experiment_has_a_page_in_the_docs() -> None:
    docs = Path(__file__).parents[2] / "docs" / "paper"
    assert sorted(path.stem for path in docs.glob("*.md")) == sorted({*EXPERIMENTS, "index"})
    for name in EXPERIMENTS:
        assert f"fullconv paper {name}" in (docs / f"{name}.md").read_text()


def test_titles_and_minutes_are_given() -> None:
    assert all(entry.title and 0 < entry.minutes <= 10 for entry in suite.EXPERIMENTS.values())


def test_a_lost_page_is_written_again(context: Context, counting: Counting) -> None:
    run_experiment("T2", context)
    page = context.out / "index.html"
    before = page.read_text()
    page.unlink()
    run_experiment("T2", context)
    assert page.read_text() == before
    assert counting.runs == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("title", None),
        ("seconds", "x"),
        ("settings", {}),
        ("notes", [5]),
        ("rows", [{"item": "a"}]),
        ("rows", 7),
        ("claims", [[]]),
    ],
)
def test_a_result_of_wrong_types_is_called_damaged(context: Context, counting: Counting, key: str, value: object) -> None:
    run_experiment("T2", context)
    path = context.out / "T2" / "result.json"
    content = json.loads(path.read_text())
    if value is None:
        del content[key]
    else:
        content[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(FullconvError, match=r"T2/result.json is damaged \(.*\); delete it to measure again"):
        run_experiment("T2", context)
    path.write_text("[" * 100_000)
    with pytest.raises(FullconvError, match=r"is damaged"):
        run_experiment("T2", context)


def test_measured_rows_are_kept_when_the_data_are_gone(
    context: Context, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_experiment("T2", context)
    path = context.out / "T2" / "result.json"
    content = json.loads(path.read_text())
    content["complete"] = False
    content["rows"].append({**content["rows"][0], "item": "FCN-4s", "measured": [], "needs": "more"})
    path.write_text(json.dumps(content))

    def missing(context: Context) -> Finding:
        raise DataError("no VOC in here")

    monkeypatch.setitem(EXPERIMENTS, "T2", Experiment("a title", table2.plan, missing, minutes=8))
    before = path.read_bytes()
    with pytest.raises(FullconvError, match=r"no VOC in here; what was measured before stays in .*T2/result.json"):
        run_experiment("T2", context)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{"])
def test_a_damaged_classifier(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "minivgg.safetensors"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"minivgg.safetensors is damaged \(.*\); delete it to train it again"):
        scenes_classifier(path)


def test_a_classifier_learns_from_training_crops_and_is_judged_on_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same loop by hand on the training crops gives its weights; the share of right ones is of the validation crops."""
    monkeypatch.setitem(CROPS, "val", 14)
    path = tmp_path / "minivgg.safetensors"
    first = scenes_classifier(path, steps=1)
    assert scenes_classifier(path, steps=1) == first
    with pytest.raises(TrainingError, match=r"was trained with steps 1, not 2; choose another --out, or delete it"):
        scenes_classifier(path, steps=2)
    training, unseen = ([object_crop(0, split, i, (96, 96)) for i in range(n)] for split, n in (("train", 32), ("val", 14)))
    torch.manual_seed(0)
    expected, normalise = minivgg(7), Normalise(BACKBONES["minivgg"].preprocessing)
    train_classifier(expected, normalise, training, steps=1)
    for name, tensor in first.load().state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name])
    with torch.inference_mode():
        images = torch.from_numpy(np.stack([image for image, _ in unseen]).transpose(0, 3, 1, 2).copy())
        right = expected(normalise(images)).argmax(1) == torch.tensor([label for _, label in unseen])
    assert first.accuracy == pytest.approx(right.float().mean().item())
