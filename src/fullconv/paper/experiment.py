"""Where an experiment runs, what it trains as data, and training that goes on where it stopped.

An experiment first states its plan: every training by name, its recipe, and what it starts from. Nothing is trained for that, so
a plan can be read and compared; the experiment then trains the plan and nothing else.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from fullconv.data import open_dataset
from fullconv.data.sample import Dataset, Sample
from fullconv.errors import FullconvError, SpecError
from fullconv.files import replacing
from fullconv.paper import pretrained
from fullconv.spec import DataSpec, Recipe
from fullconv.spec.recipe import RUN_RECIPE, load_recipe, shipped_recipes, to_yaml
from fullconv.training import RunResult, train

LEAST_STEPS = 2
MOST_READERS = 12
"""Processes that read images at a time, at most."""
SMALL = "minivgg"
"""The backbone of the nets on scenes, which are trained from scratch."""
CLASSIFIER = "classifier"
"""In the plan of an experiment: weights of the classifier of single objects, which is trained when a net first needs it."""


@dataclass(frozen=True)
class Training:
    """One training of a plan.

    Attributes
    ----------
    run
        Its name: that of its folder, without the seed. Trainings of different recipes have different names.
    recipe
        All of it: data and splits, steps, learning rates, batch size, seed. ``recipe.model.weights`` says what the net starts
        from: ``None`` for random weights, ``imagenet``, :data:`CLASSIFIER`, or by stream the run whose net it goes on from.
    """

    run: str
    recipe: Recipe


Plan = Mapping[str, Training]
"""The trainings of one seed of an experiment, by the names of the nets, in the order in which they are trained."""


@dataclass(frozen=True)
class Context:
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
    readers
        Processes that read images for a training at a time, at most.
    """

    out: Path
    name: str
    data: str = "scenes"
    root: Path | None = None
    backbone: str | None = None
    scale: float = 1.0
    seeds: int = 1
    console: Console = field(default_factory=lambda: Console(stderr=True))
    readers: int = MOST_READERS

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

    @property
    def start(self) -> dict[str, Any]:
        """What a recipe's ``model`` is given to start from a classifier: on Scenes ours; other recipes have one."""
        return {"weights": CLASSIFIER} if self.on_scenes and self.trunk == SMALL else {}

    def run_folder(self, run: str, seed: int = 0) -> Path:
        """Return the folder of a trained net."""
        return self.out / "runs" / f"{run}-seed{seed}"

    def recipe(self, name: str, seed: int = 0, overrides: Mapping[str, Any] | None = None) -> Recipe:
        """Return a shipped recipe for this context's data, root and seed, its steps scaled.

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

    def train(self, training: Training) -> RunResult:
        """Train in :meth:`run_folder`, from where it stopped, or take what was trained there before.

        Raises
        ------
        TrainingError, Interrupted, FullconvError
            As :func:`fullconv.training.train` does; a TrainingError for a damaged classifier, too.
        """
        recipe = self._with_files(training.recipe)
        recipe = recipe.model_copy(update={"data": read_by_many(recipe.data, self.readers)})
        out = self.run_folder(training.run, recipe.train.seed)
        resume = (out / RUN_RECIPE).exists()
        if resume:
            _follow(out / RUN_RECIPE, recipe)
        return train(recipe, out, resume=resume, console=self.console)

    def _with_files(self, recipe: Recipe) -> Recipe:
        """Return the recipe with files in place of the names that a plan has for what a net starts from."""
        weights, seed = recipe.model.weights, recipe.train.seed
        if weights == CLASSIFIER:
            weights = str(self.classifier(seed))
        elif isinstance(weights, dict):
            weights = {stream: str(self.run_folder(run, seed) / "model.safetensors") for stream, run in weights.items()}
        return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": weights})})

    def classifier(self, seed: int) -> Path:
        """Return the file of the classifier that nets on Scenes start from; it is trained when it is not there."""
        path = self.run_folder("classifier", seed) / "minivgg.safetensors"
        if not path.exists():
            self.say(f"seed {seed}: a classifier of single objects to start from")
        return pretrained.scenes_classifier(path, seed, self.steps(pretrained.STEPS)).path

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

    def named(self, name: str, scale: float) -> "Context":
        """Return the context of another experiment."""
        return replace(self, name=name, scale=scale)


def read_by_many(data: DataSpec, most: int = MOST_READERS) -> DataSpec:
    """Return ``data`` with as many processes for reading stored images as this machine can use; what is read is the same."""
    if not data.workers:  # rendered, and held in memory
        return data
    return data.model_copy(update={"workers": max(data.workers, min((os.cpu_count() or 1) - 1, most))})


def _follow(stored: Path, recipe: Recipe) -> None:
    """Let a run that began before the folder of all experiments was moved start from the nets in their new place."""
    before = load_recipe(stored, say=lambda line: None)
    old, new = before.model.weights, recipe.model.weights
    if old != new and _within_runs(old) == _within_runs(new):
        moved = before.model_copy(update={"model": before.model.model_copy(update={"weights": new})})
        with replacing(stored) as temporary:
            temporary.write_text(to_yaml(moved), encoding="utf-8")


def _within_runs(weights: str | dict[str, str] | None) -> Any:
    """Return what of the path of a net, or of one for each stream, stays the same when the folder is moved: run and file."""
    if isinstance(weights, dict):
        return {stream: _within_runs(path) for stream, path in weights.items()}
    return weights and Path(weights).parts[-2:]


class Part:
    """Some samples of a data set, by their places in it."""

    def __init__(self, dataset: Dataset, places: Sequence[int]) -> None:
        self.dataset, self.places = dataset, places
        self.name, self.labels = dataset.name, dataset.labels

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.places[index]]


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


def recipe_for(context: Context, scenes: str, voc: str = "", nyudv2: str = "", siftflow: str = "") -> str:
    """Return the name of the recipe for the context's data and backbone, which takes the place of ``{backbone}`` in it.

    Raises
    ------
    SpecError
        When the experiment does not run on these data, or not with this backbone.
    """
    if context.on_scenes and "{backbone}" not in scenes and context.trunk != SMALL:
        raise SpecError(f"this experiment trains {SMALL} on scenes, not {context.trunk!r}; leave --backbone out, or name --data")
    offered = {"scenes": scenes, "voc2011": voc, "voc2012": voc, "nyudv2": nyudv2, "siftflow": siftflow}
    if recipe := offered.get(context.data):
        name = recipe.format(backbone=context.trunk)
        if name != recipe and not _has_backbone(name, context.trunk):
            found = f"no recipe of this experiment on {context.data} has the backbone {context.trunk!r}"
            raise SpecError(f"{found}; there are {', '.join(_backbones(recipe))}")
        return name
    accepted = [name for name, recipe in offered.items() if recipe]
    listed = " and ".join((", ".join(accepted[:-1]), accepted[-1]))
    raise SpecError(f"no recipe of this experiment is for {context.data!r}; accepted are {listed}")


def _has_backbone(name: str, backbone: str) -> bool:
    return name in shipped_recipes() and load_recipe(name).model.backbone == backbone


def _backbones(recipe: str) -> list[str]:
    """Return the backbones for which there is a recipe of the name ``recipe``, with ``{backbone}`` in it."""
    start, _, end = recipe.partition("{backbone}")
    found = [name[len(start) : len(name) - len(end)] for name in shipped_recipes() if name.startswith(start)]
    return [backbone for backbone in found if _has_backbone(recipe.format(backbone=backbone), backbone)]
