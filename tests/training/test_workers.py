"""Processes that read images stay: over epochs, over validations, over stages; what is computed does not depend on them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from fullconv.data.sample import Sample
from fullconv.data.scenes.scenes import Scenes
from fullconv.spec import DataSpec, Recipe
from fullconv.training import run as run_module
from fullconv.training.run import train


class Watched(Scenes):
    """Scenes that write down which process reads them."""

    book: Path

    def __getitem__(self, index: int) -> Sample:
        with self.book.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return super().__getitem__(index)


def test_readers_stay_and_results_are_the_same(
    tiny: Callable[..., Recipe], tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(spec: DataSpec, split: str, *, own_size: bool = False) -> Watched:
        made = Watched(split, spec.count or 8 if split == "train" else 3, (48, 64))
        made.book = book / split
        return made

    monkeypatch.setattr(run_module, "open_dataset", opened)
    weights = []
    stages = [{"stride": 32, "steps": 5}, {"stride": 16, "steps": 3}]  # 20 and 12 images of 8: several epochs
    for workers in (0, 2):
        book = tmp_path / f"book-{workers}"
        book.mkdir()
        recipe = tiny(data={"workers": workers}, train={"stages": stages, "validate_every": 2})
        weights.append(load_file(train(recipe, tmp_path / str(workers), console=quiet).model))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    readers = {split: set((book / split).read_text().split()) for split in ("train", "val")}
    readers["val"].discard(str(os.getpid()))  # draws the predictions at the end
    readers["train"].discard(str(os.getpid()))  # looks at the size of the first
    assert len(readers["val"]) == 2  # for three validations of the first stage and two of the second
    assert len(readers["train"]) == 4  # two in each stage
