"""Where an experiment runs: its data, its folder, how many seeds, and training that goes on where it stopped."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from fullconv.data import open_dataset
from fullconv.data.sample import Dataset
from fullconv.errors import FullconvError, SpecError
from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe, shipped_recipes
from fullconv.training import RunResult, train

LEAST_STEPS = 2
SMALL = "minivgg"
"""The backbone of the nets on scenes, which are trained from scratch."""


@dataclass(frozen=True)
class Bench:
    """What an experiment is given.

    Parameters
    ----------
    out
        The folder of all experiments; trained nets lie under ``runs`` and are shared between experiments.
    name
        The experiment, such as ``T2``; its own folder is ``out / name``.
    data
        ``scenes``, ``voc2011``, ``voc2012``, ``nyudv2`` or ``siftflow``; most experiments are not for all of them.
    root
        Folder of the data; scenes need none.
    backbone
        Of the nets that are trained; by default ``minivgg`` on scenes and ``squeezenet1_1`` on real data, see :attr:`trunk`.
    scale
        Factor on all training steps.
    seeds
        How many seeds, counted from 0; an experiment may use fewer.
    console
        For progress.
    """

    out: Path
    name: str
    data: str = "scenes"
    root: Path | None = None
    backbone: str | None = None
    scale: float = 1.0
    seeds: int = 1
    console: Console = field(default_factory=lambda: Console(stderr=True))

    @property
    def folder(self) -> Path:
        """The experiment's own folder; made when it is not there."""
        path = self.out / self.name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FullconvError(f"cannot write {path}: {error.strerror or error}; choose another --out") from error
        return path

    @property
    def on_scenes(self) -> bool:
        """Whether the data are rendered."""
        return self.data == "scenes"

    @property
    def trunk(self) -> str:
        """The backbone of the nets that are trained."""
        return self.backbone or (SMALL if self.on_scenes else "squeezenet1_1")

    def run_folder(self, run: str, seed: int = 0) -> Path:
        """Return the folder of a trained net."""
        return self.out / "runs" / f"{run}-seed{seed}"

    def recipe(self, name: str, seed: int = 0, overrides: Mapping[str, Any] | None = None) -> Recipe:
        """Return a shipped recipe for this bench's data, root and seed, its steps scaled.

        Parameters
        ----------
        name
            Of the recipe.
        seed
            For ``train.seed``.
        overrides
            Further values, nested as in YAML; they win, but for the scale of steps.
        """
        extra = overrides or {}
        data = {"name": self.data} | ({"root": str(self.root)} if self.root else {}) | dict(extra.get("data", {}))
        rest = {key: value for key, value in extra.items() if key not in ("data", "train")}
        recipe = load_recipe(name, {**rest, "data": data, "train": {"seed": seed} | dict(extra.get("train", {}))})
        stages = tuple(s.model_copy(update={"steps": self.steps(int(s.steps or 0))}) for s in recipe.train.stages)
        return recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})

    def steps(self, count: int) -> int:
        """Return a number of training steps, scaled."""
        return max(LEAST_STEPS, round(count * self.scale))

    def train(self, recipe: Recipe, run: str | None = None) -> RunResult:
        """Train ``recipe`` in :meth:`run_folder`, from where it stopped, or take what was trained there before.

        Parameters
        ----------
        recipe
            From :meth:`recipe`.
        run
            What the run is called; the recipe's name by default. Runs of different recipes need different names.
        """
        out = self.run_folder(run or recipe.name, recipe.train.seed)
        return train(recipe, out, resume=(out / "recipe.yaml").exists(), console=self.console)

    def validation(self, recipe: Recipe) -> Dataset:
        """Return the split that ``recipe`` is measured on."""
        return open_dataset(recipe.data, recipe.data.val)

    def say(self, message: str) -> None:
        """Print a line of progress."""
        self.console.print(message, highlight=False, soft_wrap=True)

    def settings(self) -> dict[str, Any]:
        """Return what decides the experiment's numbers, for ``result.json``."""
        keys = {"data": "data", "root": "root", "backbone": "trunk", "scale": "scale", "seeds": "seeds"}
        return {key: str(value) if isinstance(value := getattr(self, name), Path) else value for key, name in keys.items()}

    def named(self, name: str, scale: float) -> "Bench":
        """Return the bench of another experiment."""
        return replace(self, name=name, scale=scale)


def describe_data(dataset: Dataset) -> str:
    """Return the data column of a row, such as ``scenes val, 100 images``."""
    return f"{dataset.name}, {len(dataset)} images"


def machine() -> str:
    """Return the processor, its cores and the version of torch, for results."""
    return f"{_processor()}, {os.cpu_count()} cores, torch {torch.__version__}"


def _processor() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    named = names.get("model name", "")
    return named or f"{platform.system()} {platform.machine()}"


def recipe_for(bench: Bench, scenes: str, voc: str = "", nyudv2: str = "", siftflow: str = "") -> str:
    """Return the name of the recipe for the bench's data and backbone, which takes the place of ``{backbone}`` in it.

    Raises
    ------
    SpecError
        When the experiment does not run on these data, or not with this backbone.
    """
    if bench.on_scenes and "{backbone}" not in scenes and bench.trunk != SMALL:
        raise SpecError(f"this experiment trains {SMALL} on scenes, not {bench.trunk!r}; leave --backbone out, or name --data")
    offered = {"scenes": scenes, "voc2011": voc, "voc2012": voc, "nyudv2": nyudv2, "siftflow": siftflow}
    if recipe := offered.get(bench.data):
        if "{backbone}" in recipe and bench.trunk not in (backbones := _backbones(recipe)):
            raise SpecError(
                f"no recipe of this experiment on {bench.data} has the backbone {bench.trunk!r}; there are {', '.join(backbones)}"
            )
        return recipe.format(backbone=bench.trunk)
    accepted = [name for name, recipe in offered.items() if recipe]
    listed = " and ".join((", ".join(accepted[:-1]), accepted[-1]))
    raise SpecError(f"no recipe of this experiment is for {bench.data!r}; accepted are {listed}")


def _backbones(recipe: str) -> list[str]:
    """Return the backbones for which there is a recipe of the name ``recipe``, with ``{backbone}`` in it."""
    nets = {name: load_recipe(name).model.name.partition("-")[2] for name in shipped_recipes()}
    return [backbone for name, backbone in nets.items() if name == recipe.format(backbone=backbone)]
