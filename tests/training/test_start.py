"""What a stage starts from: the mean that a recipe states, and a run that goes on without the weights that it began with."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from fullconv.errors import SpecError, TrainingError
from fullconv.labels import LabelSet
from fullconv.nn.backbones.minivgg import minivgg
from fullconv.nn.build import build_model
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.spec import ModelSpec, Recipe
from fullconv.training.folder import RunFolder
from fullconv.training.interrupt import Interrupted
from fullconv.training.module import TrainingModule
from fullconv.training.run import RunResult, train
from fullconv.training.start import set_statistics, starting_model

Tiny = Callable[..., Recipe]
OTHER = {"channels": "BGR", "range": [0, 255], "mean": [10.0, 20.0, 30.0], "std": [50.0, 60.0, 70.0]}


def a_classifier(folder: Path) -> Path:
    torch.manual_seed(3)
    tensors = {name: tensor for name, tensor in minivgg().state_dict().items() if tensor.is_floating_point()}
    path = folder / "classifier.safetensors"
    save_file(tensors, path, {"preprocessing": json.dumps(OTHER)})
    return path


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """Weights of a classifier that was trained on images prepared in another way than the backbone's own."""
    return a_classifier(tmp_path)


def from_classifier(tiny: Tiny, path: Path) -> Recipe:
    return tiny(model={"weights": str(path)}, data={"mean": {"rgb": (1, 2, 3)}})


@pytest.fixture(scope="module")
def whole(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """An unbroken run from a classifier's weights."""
    folder = tmp_path_factory.mktemp("whole")
    return train(from_classifier(tiny, a_classifier(folder)), folder / "whole", console=Console(quiet=True))


def before_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], None]) -> None:
    """Do something before step ``number`` of the first stage, counted from 1."""
    start = TrainingModule.on_train_batch_start

    def hooked(self: TrainingModule, batch: object, batch_idx: int) -> None:
        if self.first_step + self.trainer.global_step + 1 == number:
            action()
        start(self, batch, batch_idx)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", hooked)


def killed() -> None:
    raise SystemExit(9)


@pytest.mark.parametrize(
    ("step", "action", "ends"),
    [(3, lambda: signal.raise_signal(signal.SIGINT), Interrupted), (1, killed, SystemExit), (3, killed, SystemExit)],
)
def test_a_run_goes_on_when_its_weights_are_gone(
    step: int,
    action: Callable[[], None],
    ends: type[BaseException],
    whole: RunResult,
    classifier: Path,
    tiny: Tiny,
    tmp_path: Path,
    quiet: Console,
) -> None:
    recipe = from_classifier(tiny, classifier)
    with pytest.MonkeyPatch.context() as patch:
        before_step(patch, step, action)
        with pytest.raises(ends):
            train(recipe, tmp_path / "broken", console=quiet)
    classifier.unlink()
    broken = train(recipe, tmp_path / "broken", resume=True, console=quiet)
    a, b = (load_file(result.model) for result in (whole, broken))
    assert all(torch.equal(a[name], b[name]) for name in a)
    found = load_checkpoint(broken.model).model.preprocessing["rgb"]
    assert found == load_checkpoint(whole.model).model.preprocessing["rgb"]
    assert (found["channels"], found["mean"]) == ("BGR", [3, 2, 1])
    assert f"weights: those of {tmp_path}/broken/stage-32s/resume.ckpt" in quiet.file.getvalue()  # type: ignore[attr-defined]


def test_a_start_that_fails_leaves_nothing_that_the_next_would_go_on_from(
    classifier: Path, tiny: Tiny, tmp_path: Path, quiet: Console
) -> None:
    """Before the first row of the log, which is when a folder is given back."""
    steps = {"stages": [{"stride": 16, "steps": 2000}], "optimizer": {"learning_rate": 1e30}}
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d of 2000"):
        train(tiny(model={"weights": str(classifier)}, train=steps), tmp_path / "out", console=quiet)
    assert not list((tmp_path / "out").rglob("*.ckpt"))
    assert not (tmp_path / "out" / "recipe.yaml").exists()


def test_a_file_of_an_older_version_says_so(tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        before_step(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(Interrupted):
            train(tiny(), tmp_path / "out", console=quiet)
    path = tmp_path / "out" / "stage-32s" / "resume.ckpt"
    content = torch.load(path, weights_only=True)
    del content["preprocessing"]
    torch.save(content, path)
    with pytest.raises(TrainingError, match=r"cannot go on from .*resume.ckpt: it does not say how images are prepared"):
        train(tiny(), tmp_path / "out", resume=True, console=quiet)


def test_a_recipes_mean_becomes_zero_in_the_trained_net(classifier: Path, tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    """In 0–255 and RGB order as images are, whatever order the weights want; the deviation stays the weights'."""
    one = {"stages": [{"stride": 16, "steps": 1}]}
    recipe = tiny(model={"weights": str(classifier)}, data={"mean": {"rgb": [92.318, 97.203, 116.19]}}, train=one)
    model = load_checkpoint(train(recipe, tmp_path / "out", console=quiet).model).model
    image = torch.tensor([92.318, 97.203, 116.19]).view(1, 3, 1, 1).expand(1, 3, 5, 4)
    torch.testing.assert_close(model.normalise["rgb"](image), torch.zeros(1, 3, 5, 4), atol=1e-5, rtol=0)
    # red above its mean by 70 is one deviation of the third channel (BGR)
    redder = image + torch.tensor([70.0, 0, 0]).view(1, 3, 1, 1)
    torch.testing.assert_close(model.normalise["rgb"](redder)[0, :, 0, 0], torch.tensor([0.0, 0, 1]), atol=1e-5, rtol=0)


def test_a_mean_for_each_input() -> None:
    model = build_model(ModelSpec(name="fcn32s-caffe-alexnet", streams=("rgb+depth", "hha")), {"semantic": 2})
    set_statistics(model, {"hha": (132.0, 94.0, 118.0), "depth": (7.5,)}, {})
    assert model.preprocessing["hha"]["mean"] == [132, 94, 118]  # the order of the files, which the reference keeps
    assert model.preprocessing["depth"]["mean"] == [7.5]
    assert model.preprocessing["rgb"]["mean"] == pytest.approx([104.00699, 116.66877, 122.67892])


@pytest.mark.parametrize(
    ("mean", "message"),
    [
        ({"hha": [1, 2, 3]}, r"data.mean names hha, but the model reads rgb; give those only"),
        ({"rgb": [1, 2]}, r"data.mean.rgb has 3 values in 0 to 255, one a channel; got \[1.0, 2.0\]"),
        ({"rgb": [1, 2, 300]}, r"data.mean.rgb has 3 values in 0 to 255"),
        ({"rgb": "grey"}, r"data.mean.rgb is a list in brackets"),
    ],
)
def test_means_that_cannot_be(mean: dict[str, Any], message: str, tiny: Tiny) -> None:
    with pytest.raises(SpecError, match=message):
        tiny(data={"mean": mean})


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed", "ddp_spawn", "nonsense"])
def test_strategies_that_split_the_model_are_refused_when_the_recipe_is_read(strategy: str, tiny: Tiny) -> None:
    with pytest.raises(SpecError, match=rf"^tiny: train.strategy: input should be 'auto' or 'ddp'; got '{strategy}'$"):
        tiny(train={"strategy": strategy})
    assert tiny(train={"strategy": "ddp"}).train.strategy == "ddp"


def test_a_frozen_trunk_of_random_weights_is_told(tiny: Tiny, tmp_path: Path) -> None:
    labels = {"semantic": LabelSet(("a", "b"), ((0, 0, 0), (1, 1, 1)))}
    told = {}
    for freeze in ("trunk", None):
        recipe = tiny(model={"weights": None}, train={"freeze": freeze})
        told[freeze] = starting_model(recipe, 0, labels, RunFolder(tmp_path / "out"), None)[1]
    assert "warning: train.freeze: trunk keeps random weights as they are; give model.weights" in told["trunk"]
    assert "warning" not in told[None]
