"""A run with balanced sampling, crops of classes, copy and paste, transforms by name and Dice resumes bit for bit."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.spec import Recipe
from fullconv.training.interrupt import Interrupted
from fullconv.training.module import TrainingModule
from fullconv.training.run import train

ALL = {
    "data": {
        "augment": {
            "crop": [40, 40],
            "crop_class": 0.5,
            "copy_paste": {"share": 0.5, "scale": [0.5, 1]},
            "transforms": [{"GaussianBlur": {"kernel_size": 3}}, {"RandomAffine": {"degrees": 10}}],
        }
    },
    "train": {
        "sampling": "balanced",
        "loss": {"cross_entropy": {"label_smoothing": 0.1}, "dice": 0.5, "lovasz": 0.1},
        "stages": [{"stride": 16, "steps": 4}],
        "save_every": 2,
    },
}


def test_a_run_with_all_of_it_resumes_bit_for_bit(tiny: Callable[..., Recipe], tmp_path: Path, quiet: Console) -> None:
    recipe = tiny(**ALL)
    whole = train(recipe, tmp_path / "whole", console=quiet)
    said = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "balanced sampling: images with the rarest classes are drawn " in said
    assert "; loss: cross_entropy + 0.5 × dice + 0.1 × lovasz" in said
    start = TrainingModule.on_train_batch_start

    def interrupted(self: TrainingModule, batch: object, index: int) -> None:
        if self.trainer.global_step == 3:
            signal.raise_signal(signal.SIGINT)
        start(self, batch, index)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_start", interrupted)
        with pytest.raises(Interrupted):
            train(recipe, tmp_path / "broken", console=quiet)
    broken = train(recipe, tmp_path / "broken", resume=True, console=quiet)
    a, b = (load_file(result.model) for result in (whole, broken))
    assert all(torch.equal(a[name], b[name]) for name in a)
