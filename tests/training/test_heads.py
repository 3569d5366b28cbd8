"""Several heads on one trunk: how their losses are added, what each leaves out, what a recipe says of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor
from torchvision import tv_tensors

from fullconv.data.loading import val_loader
from fullconv.data.sample import Sample
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import SpecError, TrainingError
from fullconv.labels import LabelSet, voc_colors
from fullconv.nn.build import build_model
from fullconv.nn.losses.cross_entropy import cross_entropy
from fullconv.spec import DataSpec, ModelSpec, Recipe, StageSpec, TrainSpec
from fullconv.spec.recipe import load_recipe, parse_overrides, to_yaml
from fullconv.training import run as run_module
from fullconv.training.module import TrainingModule
from fullconv.training.run import train
from fullconv.training.validation import validate

Tiny = Callable[..., Recipe]
HEADS = {"semantic": 7, "geometric": 3}
BOTH = list(HEADS)
ALONE = SimpleNamespace(world_size=1)  # what a step asks of its trainer; a module keeps no more than a weak reference


class TwoTruths:
    """Images of 48x64 with a truth for each head; what is void in one need not be in the other."""

    name = "two truths"

    def __init__(self, ignored: Mapping[str, int]) -> None:
        names = {head: tuple(f"{head} {k}" for k in range(classes)) for head, classes in HEADS.items()}
        self.labels = {head: LabelSet(names[head], voc_colors(HEADS[head]), ignored[head]) for head in HEADS}

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        numbers = torch.Generator().manual_seed(index)
        image = tv_tensors.Image(torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8, generator=numbers))
        targets = {head: torch.randint(0, k, (48, 64), dtype=torch.uint8, generator=numbers) for head, k in HEADS.items()}
        targets["semantic"][5:20] = self.labels["semantic"].ignore_index
        targets["geometric"][:, 11:30] = self.labels["geometric"].ignore_index
        return Sample(str(index), {"rgb": image}, {head: tv_tensors.Mask(target) for head, target in targets.items()})


def module_of(
    weights: dict[str, float],
    loss: Literal["mean", "sum", "image_mean"] = "mean",
    ignored: int = 255,
    batch_size: int = 1,
) -> TrainingModule:
    """An FCN-8s in float64 whose score layers are not zero, so that every layer has a gradient."""
    torch.manual_seed(1)
    model = build_model(ModelSpec(name="fcn8s-minivgg", dropout=0), HEADS).double()
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    train_spec = TrainSpec(stages=(StageSpec(stride=8),), reduction=loss, head_weights=weights, batch_size=batch_size)
    data = TwoTruths({"semantic": 255, "geometric": ignored})
    made = TrainingModule(model.eval(), data, DataSpec(), train_spec, StageSpec(stride=8, steps=1, learning_rate=1.0), 0)
    made.trainer = ALONE  # type: ignore[assignment]
    return made


def batch_of(module: TrainingModule) -> dict[str, object]:
    samples = [module.dataset[index] for index in range(2)]
    targets = {head: torch.stack([sample.targets[head] for sample in samples]).long() for head in HEADS}
    inputs = {"rgb": torch.stack([sample.inputs["rgb"] for sample in samples]).double()}
    return {"inputs": inputs, "targets": targets, "names": ["0", "1"]}


def gradient(module: TrainingModule, loss: Tensor) -> Tensor:
    """The gradient of all weights in one row."""
    module.zero_grad()
    loss.backward()
    return torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in module.model.parameters()])


def by_hand(logits: Tensor, target: Tensor, loss: str) -> Tensor:
    """Minus the log of the softmax at the target's class, summed pixel by pixel where there is a truth."""
    valid = target != 255
    scores = logits.permute(0, 2, 3, 1)[valid]
    picked = (scores.exp() / scores.exp().sum(1, keepdim=True)).log()[torch.arange(len(scores)), target[valid]]
    return -picked.sum() / (len(scores) if loss == "mean" else 1)


@pytest.mark.parametrize("loss", ["mean", "sum"])
def test_the_gradient_is_the_weighted_sum_of_the_heads_own(loss: Literal["mean", "sum"]) -> None:
    module = module_of({"semantic": 0.25, "geometric": 3.0}, loss)
    batch = batch_of(module)
    found = module.training_step(batch, 0)  # type: ignore[arg-type]
    together = gradient(module, found["loss"])
    parts = {}
    for head in HEADS:
        own = by_hand(module.model(batch["inputs"])[head], batch["targets"][head], loss)  # type: ignore[index]
        parts[head] = (own.detach(), gradient(module, own))
    expected, expected_gradient = (0.25 * a + 3.0 * b for a, b in zip(parts["semantic"], parts["geometric"], strict=True))
    torch.testing.assert_close(found["shown"], expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(together, expected_gradient, rtol=0, atol=1e-12 * expected_gradient.abs().max())
    assert parts["geometric"][1].abs().max() > 0 < parts["semantic"][1].abs().max()


def test_the_mean_over_images_is_the_average_of_steps_of_one_image() -> None:
    """As the reference accumulates twenty images a step (``iter_size``); by a loop over the images, each with its own mean."""
    module = module_of({"semantic": 1.0, "geometric": 1.0}, "image_mean", batch_size=2)
    batch = batch_of(module)
    batch["targets"]["semantic"][0, 2:] = 255  # type: ignore[index]  # the images have very different numbers of valid pixels
    found = module.training_step(batch, 0)  # type: ignore[arg-type]
    together = gradient(module, found["loss"])
    logits = module.model(batch["inputs"])
    alone = [
        by_hand(logits[head][n : n + 1], batch["targets"][head][n : n + 1], "mean")  # type: ignore[index]
        for head in HEADS
        for n in range(2)
    ]
    expected = torch.stack(alone).sum() / 2
    torch.testing.assert_close(found["shown"], expected.detach(), rtol=1e-12, atol=0)
    expected_gradient = gradient(module, expected)
    torch.testing.assert_close(together, expected_gradient, rtol=0, atol=1e-12 * expected_gradient.abs().max())
    other = module_of({"semantic": 1.0, "geometric": 1.0}, "mean", batch_size=2).training_step(batch, 0)  # type: ignore[arg-type]
    assert (other["shown"] - found["shown"]).abs() > 1e-3


def test_weights_of_one_change_no_bit() -> None:
    module = module_of({"semantic": 1.0, "geometric": 1.0})
    batch = batch_of(module)
    weighted = gradient(module, module.training_step(batch, 0)["loss"])  # type: ignore[arg-type]
    logits = module.model(batch["inputs"])
    losses = [cross_entropy(logits[head], target) for head, target in batch["targets"].items()]  # type: ignore[attr-defined]
    torch.testing.assert_close(weighted, gradient(module, losses[0] + losses[1]), rtol=1e-9, atol=1e-12)
    unweighted = module_of({})
    assert torch.equal(weighted, gradient(unweighted, unweighted.training_step(batch, 0)["loss"]))  # type: ignore[arg-type]


def test_a_head_has_an_ignore_value_of_its_own() -> None:
    """The geometric truth calls void 200 in place of 255: loss, gradient and counts are the same."""
    usual, other = module_of({}), module_of({}, ignored=200)
    batch = batch_of(other)
    assert (batch["targets"]["geometric"] == 200).any()  # type: ignore[index]
    steps = [module.training_step(batch_of(module), 0)["loss"] for module in (usual, other)]  # type: ignore[arg-type]
    assert torch.equal(gradient(usual, steps[0]), gradient(other, steps[1]))
    spec = DataSpec(heads=tuple(BOTH))
    reports = [validate(module.model.float(), module.dataset, val_loader(module.dataset, spec)) for module in (usual, other)]  # type: ignore[arg-type]
    for head, void in {"semantic": 15 * 64, "geometric": 48 * 19}.items():
        assert reports[0][head].matrix.matrix.tolist() == reports[1][head].matrix.matrix.tolist()
        assert reports[0][head].matrix.matrix.sum() == 3 * (48 * 64 - void)
        assert reports[0][head].labels.names[0] == f"{head} 0"


def test_the_recipe_says_the_weight_of_every_head(tiny: Tiny, tmp_path: Path) -> None:
    assert tiny().train.head_weights == {"semantic": 1}
    given = tiny(data={"heads": BOTH}, train={"head_weights": {"geometric": 0.5}})
    assert given.train.head_weights == {"semantic": 1, "geometric": 0.5}
    (tmp_path / "written.yaml").write_text(to_yaml(given))
    assert "head_weights:\n    semantic: 1.0\n    geometric: 0.5\n" in to_yaml(given)
    assert load_recipe(tmp_path / "written.yaml") == given
    changed = load_recipe(tmp_path / "written.yaml", parse_overrides(["--train.head_weights.semantic", "2"]))
    assert changed.train.head_weights == {"semantic": 2, "geometric": 0.5}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"geometry": 2},
            r"train.head_weights names geometry, but data.heads has semantic, geometric; give weights of those only",
        ),
        ({"geometric": 0}, r"train.head_weights.geometric: input should be greater than 0; got 0"),
        ({"geometric": -1}, r"greater than 0; got -1"),
        ({"geometric": float("inf")}, r"train.head_weights.*: input should be a finite number"),
        ({"geometric": "much"}, r"train.head_weights.*: input should be a valid number.*got 'much'"),
        (3, r"train.head_weights: input should be a valid dictionary; got 3"),
    ],
)
def test_weights_that_cannot_be(tiny: Tiny, weights: object, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        tiny(data={"heads": BOTH}, train={"head_weights": weights})
    assert "\n" not in str(raised.value)


def test_runs_from_before_there_were_weights_go_on_and_other_weights_do_not(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    recipe = tiny(data={"heads": BOTH})
    result = train(recipe, tmp_path / "out", console=quiet)
    assert "losses added: 1 × semantic + 1 × geometric" in quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    stored = tmp_path / "out" / "recipe.yaml"
    stored.write_text(stored.read_text().replace("  head_weights:\n    semantic: 1.0\n    geometric: 1.0\n", ""))
    assert "head_weights" not in stored.read_text()
    again = train(recipe, tmp_path / "out", resume=True, console=quiet)
    assert again.stages == result.stages
    heavier = tiny(data={"heads": BOTH}, train={"head_weights": {"geometric": 4}})
    with pytest.raises(TrainingError, match=r"holds a run with train.head_weights.geometric 1.0, not 4.0; go on with"):
        train(heavier, tmp_path / "out", resume=True, console=quiet)
    moved = train(heavier, tmp_path / "heavier", console=quiet)
    a, b = load_file(result.model), load_file(moved.model)
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_a_head_without_any_truth_does_no_harm(
    tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The semantic truth is void everywhere: the geometric head learns, and the semantic scores stay at their start."""

    class Void(Scenes):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            void = tv_tensors.Mask(torch.full_like(sample.targets["semantic"], 255))
            return Sample(sample.name, sample.inputs, {**sample.targets, "semantic": void})

    monkeypatch.setattr(run_module, "open_dataset", lambda spec, split, own_size=False: Void(split, 4, (48, 64), heads=BOTH))
    quick = {"stages": [{"stride": 16, "steps": 3}], "optimizer": {"weight_decay": 0}}
    result = train(tiny(data={"heads": BOTH}, train=quick), tmp_path / "out", console=quiet)
    assert result.stages[0]["heads"]["semantic"]["mean_iu"] is None
    assert result.score("pixel_accuracy", "geometric") > 0
    scores = {name: value for name, value in load_file(result.model).items() if ".score." in name}
    assert {name.split(".")[2] for name in scores} == set(HEADS)
    assert not any(value.any() for name, value in scores.items() if "semantic" in name)
    assert all(value.any() for name, value in scores.items() if "geometric" in name and name.endswith("weight"))
