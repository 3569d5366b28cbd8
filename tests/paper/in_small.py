"""Experiments in small: the same plans on a few scenes, so that a test that trains takes seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fullconv.paper.experiment import Context
from fullconv.paper.suite import EXPERIMENTS
from fullconv.spec import Recipe

SIZE = (48, 64)
"""Of a scene, in place of 96x128 pixels."""
BUDGET = 0.012
"""Minutes: two or three steps a stage."""


class Small(Context):
    """A context whose recipes have twelve training and four validation scenes, a quarter as large, or what they ask for."""

    def recipe(self, name: str, seed: int = 0, overrides: Mapping[str, Any] | None = None) -> Recipe:
        recipe = super().recipe(name, seed, overrides)
        size = SIZE if recipe.data.size == (96, 128) else recipe.data.size
        data = recipe.data.model_copy(update={"count": 12, "val_count": 4, "size": size})
        return recipe.model_copy(update={"data": data, "train": recipe.train.model_copy(update={"loggers": ()})})


def assert_trained_as_planned(context: Context, name: str, budget: float = BUDGET) -> None:
    """Compare what an experiment trained within a budget, by the recipes in the run folders, with its plan."""
    context = context.named(name, budget / max(experiment.minutes for experiment in EXPERIMENTS.values()))
    for seed in range(context.seeds):
        for training in EXPERIMENTS[name].plan(context, seed).values():
            weights: Any = training.recipe.model.weights
            if weights == "classifier":
                weights = f"{context.out}/runs/classifier-seed{seed}/minivgg.safetensors"
            elif isinstance(weights, dict):
                weights = {key: f"{context.out}/runs/{run}-seed{seed}/model.safetensors" for key, run in weights.items()}
            model = training.recipe.model.model_copy(update={"weights": weights})
            stored = _stored(context.run_folder(training.run, seed))
            # what ``auto`` came to on this machine is written into the run's recipe
            train = training.recipe.train.model_copy(update={"precision": stored.train.precision})
            assert stored == training.recipe.model_copy(update={"model": model, "train": train}), training.run


def _stored(run: Path) -> Recipe:
    return Recipe.model_validate(yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")))
