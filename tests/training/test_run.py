import io
import json
import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torchvision import tv_tensors

from fullconv.data import open_dataset
from fullconv.data.sample import Sample
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import FullconvError, TrainingError
from fullconv.evaluation import evaluate
from fullconv.labels import LabelSet
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe
from fullconv.training import run as run_module
from fullconv.training.folder import with_precision
from fullconv.training.run import RunResult, train

Tiny = Callable[..., Recipe]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path / "model.safetensors").model.state_dict()


@pytest.fixture(scope="module")
def finished(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunResult, str]:
    recipe = tiny(train={"validate_every": 3, "loggers": "tensorboard"})
    console = Console(file=io.StringIO(), width=200)
    result = train(recipe, tmp_path_factory.mktemp("run") / "out", console=console)
    return recipe, result, console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_the_folder_holds_everything(finished: tuple[Recipe, RunResult, str]) -> None:
    recipe, result, _ = finished
    out = result.out
    stored = load_recipe(out / "recipe.yaml")
    assert stored.train.precision != "auto"  # what was chosen, so that a resumed run goes on with it
    assert with_precision(recipe, stored.train.precision) == stored
    assert {stage["precision"] for stage in result.stages} == {stored.train.precision}
    assert json.loads((out / "versions.json").read_text())["torch"] == version("torch")
    assert list(out.glob("tensorboard/*/events*"))
    for name in ("curves.png", "predictions.png"):
        with Image.open(out / name) as image:
            image.load()
            assert min(image.size) > 300
    for stage in ("stage-32s", "stage-16s"):
        assert {path.name for path in (out / stage).iterdir()} == {"model.safetensors", "per-class.csv", "per-class.md"}
    assert (out / "model.safetensors").read_bytes() == (out / "stage-16s" / "model.safetensors").read_bytes()
    assert (out / "per-class.csv").read_text().splitlines()[0] == "class,iu,accuracy,pixels"


def test_the_result_is_what_an_evaluation_of_the_checkpoint_finds(finished: tuple[Recipe, RunResult, str]) -> None:
    recipe, result, _ = finished
    saved = json.loads((result.out / "result.json").read_text())
    assert saved["finished"] is True
    assert saved["stages"] == result.stages
    assert [(stage["stage"], stage["steps"], stage["images"]) for stage in result.stages] == [("32s", 6, 12), ("16s", 4, 8)]
    for name in ("32s", "16s"):
        checkpoint = load_checkpoint(result.out / f"stage-{name}" / "model.safetensors")

        def predict(inputs: dict[str, torch.Tensor], model: FCN = checkpoint.model) -> np.ndarray:
            with torch.no_grad():
                return model({"rgb": inputs["rgb"][None]})["semantic"][0].argmax(0).numpy()

        report = evaluate(predict, open_dataset(recipe.data, "val"), checkpoint.labels["semantic"])  # type: ignore[arg-type]
        assert result.score("pixel_accuracy", stage=name) == pytest.approx(report.metrics.pixel_accuracy, abs=2e-3)
        assert result.score(stage=name) == pytest.approx(report.metrics.mean_iu, abs=2e-3)


def test_the_checkpoint_tells_its_history(finished: tuple[Recipe, RunResult, str]) -> None:
    result = finished[1]
    history = load_checkpoint(result.model).history
    assert [entry["stage"] for entry in history] == ["32s", "16s"]
    assert history[1]["heads"]["semantic"]["mean_iu"] == result.score()
    assert history[0]["recipe"] == "tiny"


def test_the_log_has_every_measurement(finished: tuple[Recipe, RunResult, str]) -> None:
    rows = run_module.MetricsFile(finished[1].out / "metrics.csv", ("semantic",)).rows()
    assert [(r["stage"], r["step"]) for r in rows if "loss" in r] == [("32s", n) for n in range(1, 7)] + [
        ("16s", n) for n in range(1, 5)
    ]
    assert [(r["stage"], r["step"]) for r in rows if "semantic_mean_iu" in r] == [("32s", 3), ("32s", 6), ("16s", 3), ("16s", 4)]
    assert rows[-1]["semantic_mean_iu"] == finished[1].score()


def test_people_are_told_what_happens(finished: tuple[Recipe, RunResult, str]) -> None:
    text = finished[2]
    said = r"^precision: (float32 \(32-true\)|bfloat16 \(bf16-mixed\)), as .* \(train.precision: auto\)$"
    assert re.search(said, text, re.MULTILINE)
    assert "weights: random, as the recipe names none" in text
    assert "stage 32s: fcn32s-minivgg" in text
    # 2 crops of 32x32 pixels a step
    assert (
        "learning rate 0.01 for a loss that is the mean over valid pixels, which equals 4.9e-06 for their sum (at 32×32)" in text
    )
    assert "weights: those of stage 32s; the new skip's score layers start at zero" in text
    assert "mean IU" in text


def test_a_folder_with_a_run_is_not_overwritten(finished: tuple[Recipe, RunResult, str], tiny: Tiny, quiet: Console) -> None:
    recipe, result, _ = finished
    before = (result.out / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(
        TrainingError,
        match=r"holds a run already \(recipe.yaml\); go on with it by `fullconv train .* --resume`, or choose another --out",
    ):
        train(recipe, result.out, console=quiet)
    with pytest.raises(
        TrainingError, match=r"holds a run with train.seed 0, not 1; go on with `fullconv train .* --resume`, or choose"
    ):
        train(tiny(train={"validate_every": 3, "seed": 1}), result.out, resume=True, console=quiet)
    assert (result.out / "model.safetensors").stat().st_mtime_ns == before


def test_a_finished_run_has_nothing_to_do(finished: tuple[Recipe, RunResult, str], quiet: Console) -> None:
    recipe, result, _ = finished
    before = (result.out / "stage-32s" / "model.safetensors").stat().st_mtime_ns
    again = train(recipe, result.out, resume=True, console=quiet)
    assert again.stages == result.stages
    assert (result.out / "stage-32s" / "model.safetensors").stat().st_mtime_ns == before


def test_a_run_of_an_older_version_goes_on(finished: tuple[Recipe, RunResult, str], tmp_path: Path, quiet: Console) -> None:
    """Its files say rate where ours say learning_rate; its recipe goes on without a word, as who runs it has been told."""
    recipe, result, _ = finished
    out = shutil.copytree(result.out, tmp_path / "old")
    for name in ("recipe.yaml", "metrics.csv", "result.json"):
        text = (out / name).read_text()
        (out / name).write_text(re.sub(r"\blearning_rate\b", "rate", text))
        assert text != (out / name).read_text()
    assert train(recipe, out, resume=True, console=quiet).stages == result.stages
    rows = run_module.MetricsFile(out / "metrics.csv", ("semantic",)).rows()
    assert rows == run_module.MetricsFile(result.out / "metrics.csv", ("semantic",)).rows()


def test_nothing_to_resume(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    with pytest.raises(TrainingError, match="holds no run to go on with; leave out --resume"):
        train(tiny(), tmp_path / "none", resume=True, console=quiet)


def test_an_unwritable_folder(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FullconvError, match=r"cannot write .*file: (File exists|Not a directory); choose another folder"):
        train(tiny(), tmp_path / "file", console=quiet)


def one_stage(**train: object) -> dict[str, object]:
    return {"stages": [16], "steps": 3, **train}


def start_of(recipe: Recipe, tmp_path: Path) -> dict[str, torch.Tensor]:
    """The weights that a run of this seed starts from: those after a step of almost no size."""
    spec = recipe.train.optimizer.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0})
    stages = tuple(stage.model_copy(update={"learning_rate": 1e-30, "steps": 1}) for stage in recipe.train.stages)
    still = recipe.model_copy(update={"train": recipe.train.model_copy(update={"optimizer": spec, "stages": stages})})
    train(still, tmp_path / "start", console=Console(quiet=True))
    return weights(tmp_path / "start")


def test_fixed_nets_train_their_last_layer_only(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    recipe = tiny(train=one_stage(trainable="score"))
    train(recipe, tmp_path / "out", console=quiet)
    start, end = start_of(recipe, tmp_path), weights(tmp_path / "out")
    changed = {name for name in end if not torch.equal(start[name], end[name])}
    assert changed == {f"core.heads.semantic.score.rgb.{level}.{kind}" for level in (0, 1) for kind in ("weight", "bias")}


def test_batch_norm_can_be_frozen(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    recipe = tiny(train=one_stage(freeze_batch_norm=True))
    train(recipe, tmp_path / "out", console=quiet)
    start, end = start_of(recipe, tmp_path), weights(tmp_path / "out")
    same = {name for name in end if torch.equal(start[name], end[name])}
    assert {name for name in end if ".norm" in name} <= same
    assert not any(name in same for name in end if ".conv" in name)


def test_sum_and_mean_differ_by_the_pixels_in_the_learning_rate(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    data = {"augment": {}, "size": [48, 64]}  # every pixel of a scene is valid: 4 images of 48x64
    pixels = 4 * 48 * 64
    optimizer = {"learning_rate": 1e-2, "weight_decay": 0}
    train(tiny(data=data, train=one_stage(batch_size=4, optimizer=optimizer)), tmp_path / "mean", console=quiet)
    optimizer = {"learning_rate": 1e-2 / pixels, "weight_decay": 0}
    train(tiny(data=data, train=one_stage(batch_size=4, reduction="sum", optimizer=optimizer)), tmp_path / "sum", console=quiet)
    mean, total = weights(tmp_path / "mean"), weights(tmp_path / "sum")
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, total[name], rtol=1e-3, atol=1e-5)


def test_it_learns(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    changes = {"data": {"count": 4, "val_count": 4, "augment": {}}}
    optimizer = {"name": "adamw", "learning_rate": 3e-3}
    recipe = tiny(
        **changes,
        train={
            "stages": [{"stride": 32, "steps": 40}, {"stride": 16, "steps": 20, "learning_rate": 1e-3}],
            "optimizer": optimizer,
        },
    )
    train(recipe, tmp_path / "out", console=quiet)
    losses = [
        row["loss"] for row in run_module.MetricsFile(tmp_path / "out" / "metrics.csv", ("semantic",)).rows() if "loss" in row
    ]
    assert losses[0] == pytest.approx(np.log(7), abs=1e-5)  # scores start at zero, so all 7 classes are alike
    assert losses[-1] < 0.75 * losses[0]


def test_a_loss_that_is_not_finite_names_step_and_images(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    recipe = tiny(train=one_stage(steps=50, optimizer={"learning_rate": 1e30}))
    with pytest.raises(
        TrainingError,
        match=r"the loss is (nan|inf) at step \d+ of 50 \(learning rate 1e\+30, images train-\d+, train-\d+\); lower train",
    ):
        train(recipe, tmp_path / "out", console=quiet)


class Unlabelled:
    """Scenes without ground truth: every pixel is ignored."""

    name = "unlabelled"
    labels: ClassVar = {"semantic": LabelSet(("a", "b"), ((0, 0, 0), (1, 1, 1)))}

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        sample = Scenes("train", 3, (48, 64))[index]
        return Sample(sample.name, sample.inputs, {"semantic": tv_tensors.Mask(torch.full((48, 64), 255, dtype=torch.uint8))})


def test_images_without_a_valid_pixel_do_no_harm(
    tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "open_dataset", lambda spec, split, own_size=False: Unlabelled())
    train(tiny(train=one_stage(optimizer={"weight_decay": 0})), tmp_path / "out", console=quiet)
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "out").values())
    rows = run_module.MetricsFile(tmp_path / "out" / "metrics.csv", ("semantic",)).rows()
    assert [row["loss"] for row in rows if "loss" in row] == [0, 0, 0]


def test_several_heads(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    result = train(tiny(data={"heads": ["semantic", "geometric"]}, train=one_stage()), tmp_path / "out", console=quiet)
    assert result.stages[0]["heads"].keys() == {"semantic", "geometric"}
    assert load_checkpoint(result.model).model.heads == {"semantic": 7, "geometric": 3}
    assert (tmp_path / "out" / "predictions-geometric.png").is_file()
    assert (tmp_path / "out" / "per-class-geometric.csv").is_file()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"train": {"accelerator": "tpu"}}, "this machine cannot train with .*'accelerator': 'tpu'"),
        ({"model": {"weights": "nowhere.safetensors"}}, r"no weights file nowhere\.safetensors"),
    ],
)
def test_a_start_that_fails_leaves_the_folder_free(tmp_path: Path, override: dict, message: str) -> None:
    small = {"data": {"count": 2, "val_count": 1, "size": [16, 16]}, "train": {"stages": [{"stride": 8, "steps": 1}]}}
    merged = {key: {**small.get(key, {}), **override.get(key, {})} for key in ("data", "model", "train")}
    with pytest.raises(FullconvError, match=message):
        train(load_recipe("scenes-fcn8s-at-once-minivgg", merged), tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()
