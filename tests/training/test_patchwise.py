"""Training with loss sampling: the enlarged batch, resumption bit for bit, what a step's gradient is made of."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.errors import SpecError
from fullconv.spec import Recipe
from fullconv.training.interrupt import Interrupted
from fullconv.training.log import MetricsFile
from fullconv.training.module import TrainingModule
from fullconv.training.run import train

Tiny = Callable[..., Recipe]
HALF = {"loss_sampling": 0.5, "batch_size": 2}


def test_a_step_draws_the_enlarged_batch(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    sizes = []
    start = TrainingModule.on_train_batch_start
    recipe = tiny(train=HALF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            TrainingModule,
            "on_train_batch_start",
            lambda self, batch, index: (sizes.append(len(batch["names"])), start(self, batch, index))[1],
        )
        result = train(recipe, tmp_path / "out", console=quiet)
    assert set(sizes) == {4}
    assert [stage["images"] for stage in result.stages] == [24, 16]
    assert "6 steps of 4 images, drawn from 8, each patch kept with probability 0.5" in quiet.file.getvalue()  # type: ignore[attr-defined]


def test_resumes_bit_for_bit(tiny: Tiny, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny(train=HALF | {"save_every": 2})
    train(recipe, tmp_path / "whole", console=quiet)
    step = TrainingModule.training_step

    def interrupted(self: TrainingModule, batch: object, index: int) -> object:
        if self.first_step + self.trainer.global_step == 5:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, index)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "broken", console=quiet)
    monkeypatch.setattr(TrainingModule, "training_step", step)
    train(recipe, tmp_path / "broken", resume=True, console=quiet)
    whole, broken = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    losses = [
        [row.get("loss") for row in MetricsFile(tmp_path / n / "metrics.csv", ("semantic",)).rows()] for n in ("whole", "broken")
    ]
    assert losses[0] == losses[1]


def test_sampling_changes_what_is_learned(tiny: Tiny, tmp_path: Path, quiet: Console) -> None:
    """Four images a step both times: the masks alone differ."""
    sampled = train(tiny(train=HALF), tmp_path / "half", console=quiet)
    whole = train(tiny(train={"batch_size": 4}), tmp_path / "whole", console=quiet)
    a, b = (load_file(result.model) for result in (sampled, whole))
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_a_batch_that_is_no_whole_number_is_refused(tiny: Tiny) -> None:
    with pytest.raises(SpecError, match=r"batch_size / loss_sampling must be a whole number of images; 2 / 0.3 is 6.66"):
        tiny(train={"loss_sampling": 0.3})
    with pytest.raises(SpecError, match=r"train.loss_sampling"):
        tiny(train={"loss_sampling": 0})
    assert tiny(train={"loss_sampling": 0.1, "batch_size": 3}).train.images_per_step == 30
