"""What a training step with loss sampling computes, through the whole net: every mask, several heads, several processes."""

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.data.loading import Batch
from fullconv.data.scenes.scenes import Scenes
from fullconv.errors import SpecError
from fullconv.nn.build import build_model
from fullconv.spec import DataSpec, ModelSpec, Recipe, StageSpec, TrainSpec
from fullconv.spec.recipe import load_recipe, to_yaml
from fullconv.training import module as module_file
from fullconv.training.log import MetricsFile
from fullconv.training.module import TrainingModule
from fullconv.training.run import train

Tiny = Callable[..., Recipe]
ALONE = SimpleNamespace(world_size=1)  # what a step asks of its trainer; a module keeps no more than a weak reference
HEADS = {"semantic": 7, "geometric": 3}


def stage_of(heads: dict[str, int], loss: Literal["mean", "sum"], share: float) -> TrainingModule:
    """An FCN-8s in float64 whose score layers are not zero, so that every layer has a gradient."""
    torch.manual_seed(1)
    model = build_model(ModelSpec(name="fcn8s-minivgg", dropout=0), heads).double()
    for parameter in model.score_parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = 1 / share
    spec = TrainSpec(stages=(StageSpec(stride=8),), reduction=loss, loss_sampling=share, batch_size=1)
    assert spec.images_per_step == images
    made = TrainingModule(
        model.eval(), Scenes("train", 2, (48, 80)), DataSpec(), spec, StageSpec(stride=8, steps=1, learning_rate=1.0), 0
    )
    made.trainer = ALONE  # type: ignore[assignment]
    return made


def batch_of(images: int, heads: tuple[str, ...], size: tuple[int, int]) -> Batch:
    torch.manual_seed(2)
    targets = {head: torch.randint(0, HEADS[head], (images, *size)) for head in heads}
    for target in targets.values():
        target[:, 5:30, :20] = 255
    inputs = {"rgb": torch.randint(0, 256, (images, 3, *size)).double()}
    return {"inputs": inputs, "targets": targets, "names": ["a"] * images}


def gradient(stage: TrainingModule, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and the gradient of all weights in one row."""
    stage.zero_grad()
    result = stage.training_step(batch, 0)
    result["loss"].backward()
    return result["shown"], torch.cat([p.grad.flatten() for p in stage.model.parameters() if p.grad is not None])


def keep(monkeypatch: pytest.MonkeyPatch, kept: torch.Tensor) -> None:
    """Let the next draws keep just these outputs: a number that is drawn keeps its output when it is below the share."""

    def drawn(*shape: int, **options: object) -> torch.Tensor:
        assert shape == tuple(kept.shape)
        return 1.0 - kept.float()

    monkeypatch.setattr(torch, "rand", drawn)


@pytest.mark.parametrize("loss", ["mean", "sum"])
def test_over_all_masks_a_steps_gradient_is_that_of_whole_images(
    loss: Literal["mean", "sum"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's own code, the net's own cells (2 x 3, those at the border cut), the gradient of all the net's weights."""
    share = 0.25
    sampled, whole = stage_of({"semantic": 7}, loss, share), stage_of({"semantic": 7}, loss, 1.0)
    batch = batch_of(1, ("semantic",), (48, 80))
    expected, expected_gradient = gradient(whole, batch)
    found, found_gradient = torch.zeros(()).double(), torch.zeros_like(expected_gradient)
    for mask in itertools.product((False, True), repeat=6):
        keep(monkeypatch, torch.tensor(mask).reshape(1, 2, 3))
        chance = share ** sum(mask) * (1 - share) ** (6 - sum(mask))
        loss_now, gradient_now = gradient(sampled, batch)
        found += chance * loss_now
        found_gradient += chance * gradient_now
    scale = share if loss == "sum" else 1.0  # a sum is over 1/share times as many images
    torch.testing.assert_close(found, scale * expected, atol=0, rtol=1e-12)
    torch.testing.assert_close(found_gradient, scale * expected_gradient, rtol=0, atol=1e-12 * expected_gradient.abs().max())


def test_all_heads_keep_the_same_pixels() -> None:
    stage = stage_of(HEADS, "mean", 0.5)
    targets = {head: torch.zeros(2, 48, 80, dtype=torch.long) for head in HEADS}
    torch.manual_seed(0)
    semantic, geometric = stage._sampled(targets).values()
    assert torch.equal(semantic, geometric)
    assert set(semantic.unique().tolist()) == {0, 255}
    assert not torch.equal(semantic[0], semantic[1])  # each image has its own mask
    assert not targets["semantic"].any()  # what was handed in stays as it was


def test_processes_that_share_a_step_divide_by_the_pixels_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with a half of the batch each, and its masks, add up to one with all of it."""
    stage, batch = stage_of({"semantic": 7}, "mean", 0.5), batch_of(2, ("semantic",), (48, 80))
    batch["targets"]["semantic"][1, 20:] = 255  # the halves have different numbers of valid pixels
    valid = (batch["targets"]["semantic"] != 255).sum()
    kept = torch.tensor([[[1, 0, 1], [0, 0, 1]], [[0, 1, 1], [1, 1, 0]]])
    keep(monkeypatch, kept)
    expected = gradient(stage, batch)
    monkeypatch.setattr(module_file, "total_over_processes", lambda value: value if value.is_floating_point() else valid[None])
    parts = []
    for rank in range(2):
        keep(monkeypatch, kept[rank : rank + 1])
        inputs, targets = ({key: value[rank : rank + 1] for key, value in batch[part].items()} for part in ("inputs", "targets"))
        parts.append(gradient(stage, {"inputs": inputs, "targets": targets, "names": ["a"]}))
    for whole, first, second in zip(expected, *parts, strict=True):
        torch.testing.assert_close(first + second, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_many_pixels_in_half_precision(precision: torch.dtype) -> None:
    """More pixels than a float16 can count: Lightning makes it the default while a step of ``16-true`` runs."""
    stage, batch = stage_of({"semantic": 7}, "mean", 0.5), batch_of(2, ("semantic",), (200, 200))
    stage.model.to(precision)
    for parameter in stage.model.score_parameters():
        torch.nn.init.zeros_(parameter)
    batch["inputs"]["rgb"] = batch["inputs"]["rgb"].to(precision)
    batch["targets"]["semantic"].zero_()
    torch.manual_seed(0)
    torch.set_default_dtype(precision)
    try:
        shown = stage.training_step(batch, 0)["shown"].item()
        torch.manual_seed(0)
        kept = (stage._sampled(batch["targets"])["semantic"] == 0).double().mean().item()
    finally:
        torch.set_default_dtype(torch.float32)
    assert shown == pytest.approx(kept / 0.5 * torch.tensor(7.0).double().log().item(), rel=1e-5)


def test_whole_images_train_as_without_the_key(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    """A recipe that says 1, and one from before there was the key: bit for bit the same run."""
    text = to_yaml(tiny())
    (tmp_path / "old.yaml").write_text(text.replace("  loss_sampling: 1.0\n", ""))
    assert "loss_sampling" not in (tmp_path / "old.yaml").read_text()
    old = train(load_recipe(tmp_path / "old.yaml"), tmp_path / "old", console=quiet)
    new = train(tiny(train={"loss_sampling": 1}), tmp_path / "new", console=quiet)
    a, b = load_file(old.model), load_file(new.model)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert "each patch" not in quiet.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_images_a_second_counts_the_enlarged_batch(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    result = train(tiny(train={"loss_sampling": 0.25, "batch_size": 1}), tmp_path / "out", console=quiet)
    for stage in result.stages:
        rows = [row for row in MetricsFile(result.out / "metrics.csv", ("semantic",)).rows() if row["stage"] == stage["stage"]]
        speed = [row["images_per_second"] for row in rows if "images_per_second" in row][-1]
        assert stage["images"] == 4 * stage["steps"]
        assert speed * stage["seconds"] == pytest.approx(stage["images"], rel=0.3)  # and not a fourth of it


@pytest.mark.parametrize(
    ("batch_size", "share", "message"),
    [
        (4, 0.3, r"is 13.333: change batch_size, or take 0\.3076923076923077 for loss_sampling$"),
        (1, 0.7, r"is 1.429: change batch_size, or take 1\.0 for loss_sampling$"),
        (4, 1.5, r"train.loss_sampling: input should be less than or equal to 1; got 1.5"),
        (4, -0.5, r"train.loss_sampling: input should be greater than 0; got -0.5"),
    ],
)
def test_what_does_not_fit_says_what_would(tiny: Tiny, batch_size: int, share: float, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        tiny(train={"batch_size": batch_size, "loss_sampling": share})


def test_what_the_message_advises_is_accepted(tiny: Tiny) -> None:
    assert tiny(train={"batch_size": 4, "loss_sampling": 0.3076923076923077}).train.images_per_step == 13
