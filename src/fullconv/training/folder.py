"""The folder of a run: what lies where, and whether a run may start or go on in it.

::

    recipe.yaml  versions.json  metrics.csv  tensorboard/   from the start; what other loggers need beside it
    splits.csv                                               of a folder of one's own: which image fell where
    stage-32s/   model.safetensors  per-class.csv            when the stage is done; resume.ckpt until then
    result.json  model.safetensors  per-class.csv  per-class.md  curves.png  predictions.png   at the end

``last.safetensors`` lies beside ``model.safetensors`` where this is the best model of a stage and not that of its last step.
"""

import json
import platform
import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, PositiveInt, TypeAdapter

from fullconv.errors import SpecError, TrainingError
from fullconv.files import replacing
from fullconv.spec import Recipe
from fullconv.spec.recipe import RUN_RECIPE, load_recipe, to_yaml
from fullconv.training.length import as_begun
from fullconv.training.splits_file import SPLITS_FILE

LIBRARIES = ("fullconv", "torch", "torchvision", "lightning", "numpy", "safetensors")
MACHINE = (
    *("data.root", "data.hha", "data.workers", "data.download", "train.save_every", "train.validate_every"),
    *(f"train.{key}" for key in ("accelerator", "devices", "nodes", "strategy", "loggers")),
)
"""What may differ between a run and its continuation: where it runs and who is told, not what it computes."""


class Record(BaseModel):
    """What is kept of a stage that is done; the heads' metrics are those of :meth:`fullconv.evaluation.Report.to_dict`."""

    stage: str
    steps: PositiveInt
    learning_rate: float = Field(validation_alias=AliasChoices("learning_rate", "rate"))  # ``rate``: of an older version
    precision: str = "32-true"
    images: PositiveInt
    seconds: float
    waiting: float = 0.0
    ended: str = "steps"
    kept: dict[str, Any] = Field(default_factory=dict)
    heads: dict[str, dict[str, Any]]


class RunFolder:
    """Paths and records of one run.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe, self.result = path / RUN_RECIPE, path / "result.json"
        self.metrics, self.model = path / "metrics.csv", path / "model.safetensors"
        self.splits = path / SPLITS_FILE

    def stage(self, name: str) -> Path:
        """Return the folder of a stage such as ``32s``."""
        return self.path / f"stage-{name}"

    def resume_file(self, name: str) -> Path:
        """Return where what a stage needs to go on is saved until it is done."""
        return self.stage(name) / "resume.ckpt"

    def start(self, recipe: Recipe) -> None:
        """Begin a run here.

        Raises
        ------
        TrainingError
            When another run is here already.
        FullconvError
            When the folder cannot be written.
        """
        self.refuse_used()
        self._write(self.recipe, to_yaml(recipe))
        versions = {name: version(name) for name in LIBRARIES}
        self._write_json(self.path / "versions.json", {"python": platform.python_version(), **versions})

    def refuse_used(self) -> None:
        """Stop when a run is here already, with a TrainingError."""
        if self.recipe.exists():
            raise TrainingError(
                f"{self.path} holds a run already ({self.recipe.name}); go on with it by `fullconv train "
                f"{shlex.quote(str(self.path))} --resume`, or choose another --out"
            )

    def withdraw(self) -> None:
        """Take back :meth:`start` when nothing was trained, so that the corrected command can start here."""
        if not self.metrics.exists() and not self.result.exists():
            self.recipe.unlink(missing_ok=True)
            for begun in self.path.glob("stage-*/resume.ckpt"):
                begun.unlink()
                begun.parent.rmdir()
            for name in ("versions.json", "loggers.json", SPLITS_FILE):
                (self.path / name).unlink(missing_ok=True)

    def check(self, recipe: Recipe) -> Recipe:
        """Make sure that ``recipe`` may go on here; return it with what was chosen when the run began.

        Raises
        ------
        TrainingError
            When no run is here, or one of another recipe; the first difference is named.
        """
        if not self.recipe.exists():
            raise TrainingError(f"{self.path} holds no run to go on with; leave out --resume to start one")
        try:
            before = load_recipe(self.recipe, say=lambda line: None)  # who runs an old recipe has been told
        except SpecError as error:
            raise TrainingError(f"{self.path} cannot go on: {error}") from error
        recipe = as_begun(recipe, before)
        for key, old, new in _differences(before.model_dump(mode="json"), recipe.model_dump(mode="json")):
            if key not in MACHINE:
                raise TrainingError(
                    f"{self.path} holds a run with {key} {old!r}, not {new!r}; go on with `fullconv train "
                    f"{shlex.quote(str(self.path))} --resume`, or choose another --out"
                )
        return recipe

    def is_finished(self) -> bool:
        """Return whether all stages are done."""
        return bool(self.finished()) and bool(json.loads(self.result.read_text(encoding="utf-8")).get("finished"))

    def finished(self) -> list[dict[str, Any]]:
        """Return the records of the stages that are done, in order."""
        if not self.result.exists():
            return []
        try:
            stages = json.loads(self.result.read_text(encoding="utf-8"))["stages"]
            TypeAdapter(list[Record]).validate_python(stages)
            return [{"learning_rate" if key == "rate" else key: value for key, value in stage.items()} for stage in stages]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise TrainingError(f"{self.result} is damaged ({reason}); delete it, and its stages are trained again") from error

    def write_result(self, content: Mapping[str, Any]) -> None:
        """Write ``result.json``."""
        self._write_json(self.result, content)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        self._write(path, json.dumps(content, indent=1) + "\n")


def with_precision(recipe: Recipe, precision: str) -> Recipe:
    """Return ``recipe`` with another ``train.precision``."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"precision": precision})})


def _differences(before: Any, after: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, old, new) of what differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from _differences(before.get(name), after.get(name), f"{key}.{name}" if key else name)
    elif before != after:
        yield key, before, after
