"""Runs that are there: what a run folder tells, also of a run that goes on, was stopped, is old, or is damaged."""

import datetime
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from fullconv.errors import DataError, FullconvError
from fullconv.evaluation import METRICS
from fullconv.lock import is_held
from fullconv.spec.recipe import RUN_RECIPE, load_recipe
from fullconv.training.folder import RunFolder
from fullconv.training.log import MetricsFile

Status = Literal["finished", "running", "stopped", "damaged"]
MARKS = (RUN_RECIPE, "versions.json", "metrics.csv", "result.json")
"""Files of a run; a folder with two of them is one."""


@dataclass(frozen=True)
class RunRecord:
    """What a run folder tells.

    Parameters
    ----------
    path
        The folder.
    started
        When the run began, in local time; ``None`` where nothing says so.
    recipe
        Its recipe, every value written out; as the file has it where this version does not read it; empty where nobody can.
    stages
        Records of the stages that are done, as in ``result.json``.
    rows
        Of ``metrics.csv``, see :class:`fullconv.training.log.MetricsFile`.
    status
        ``damaged``: some file cannot be read, see ``problem``.
    problem
        In one line; empty where there is none.
    """

    path: Path
    started: datetime.datetime | None
    recipe: dict[str, Any]
    stages: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    status: Status = "stopped"
    problem: str = ""

    @property
    def net(self) -> str:
        """Such as ``fcn8s-vgg16``; empty where the recipe does not say so."""
        return str(_part(self.recipe, "model").get("name", ""))

    @property
    def data(self) -> str:
        """The data set's name, or the folder's where the data are a folder of images and masks."""
        data = _part(self.recipe, "data")
        name, root = str(data.get("name", "")), data.get("root")
        return Path(str(root)).name or name if name == "folder" and root else name

    @property
    def heads(self) -> tuple[str, ...]:
        """The outputs that are measured, in the order of the recipe."""
        heads = _part(self.recipe, "data").get("heads")
        return tuple(map(str, heads)) if isinstance(heads, list) and heads else ("semantic",)

    @property
    def steps(self) -> int:
        """Steps that are done, of all stages."""
        done = {stage["stage"]: int(stage["steps"]) for stage in self.stages}
        begun: dict[str, int] = {}
        for row in self.rows:
            begun[row["stage"]] = max(begun.get(row["stage"], 0), row["step"])
        return sum((begun | done).values())

    @property
    def planned(self) -> int | None:
        """Steps of all stages in the recipe; ``None`` where it does not count them."""
        stages = _part(self.recipe, "train").get("stages")
        steps = [stage.get("steps") for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
        counted = [number for number in steps if isinstance(number, int)]
        return sum(counted) if counted and len(counted) == len(steps) else None

    @property
    def ended_by_patience(self) -> bool:
        """Whether a stage ended before its steps, as nothing got better."""
        return any(stage.get("ended") == "patience" for stage in self.stages)

    @property
    def minutes(self) -> float | None:
        """Of training alone; of a stage that is not done as its speed in the log says; ``None`` where nothing does."""
        seconds = sum(float(stage["seconds"]) for stage in self.stages)
        done = {stage["stage"] for stage in self.stages}
        open_rows = [row for row in self.rows if row["stage"] not in done and row.get("images_per_second")]
        if open_rows:
            train = _part(self.recipe, "train")
            images = train.get("batch_size")
            if not isinstance(images, int):
                return None
            last = open_rows[-1]
            seconds += (
                last["step"]
                * images
                * int(train.get("accumulate") or 1)
                / float(train.get("loss_sampling") or 1)
                / last["images_per_second"]
            )
        return seconds / 60 if self.stages or open_rows else None

    def score(self, metric: str = "mean_iu", head: str | None = None) -> float | None:
        """Return a metric in 0..1 of the model that the run left, or last measured; ``None`` where none was measured."""
        head = head or self.heads[0]
        if self.stages and (report := self.stages[-1]["heads"].get(head)):
            value = report.get(metric)
            return None if value is None else float(value)
        values = self._measured(metric, head)
        return values[-1] if values else None

    def best(self, metric: str = "mean_iu", head: str | None = None) -> float | None:
        """Return the highest value of a metric in 0..1 that the run ever measured."""
        head = head or self.heads[0]
        last = self.score(metric, head)
        return max([*self._measured(metric, head), *([] if last is None else [last])], default=None)

    def _measured(self, metric: str, head: str) -> list[float]:
        return [row[f"{head}_{metric}"] for row in self.rows if f"{head}_{metric}" in row]

    def to_dict(self) -> dict[str, Any]:
        """Return the record without recipe and rows, JSON-able."""
        return {
            "path": str(self.path),
            "started": self.started.isoformat(timespec="seconds") if self.started else None,
            "net": self.net,
            "data": self.data,
            "steps": self.steps,
            "planned": self.planned,
            "status": self.status,
            "problem": self.problem,
            "minutes": self.minutes,
            **{metric: self.score(metric) for metric in METRICS},
            "best": {metric: self.best(metric) for metric in METRICS},
        }


def find_runs(folders: Sequence[Path]) -> list[RunRecord]:
    """Return the runs in and below folders, each once, in the order of their paths.

    Parameters
    ----------
    folders
        Runs, or folders that hold any; hidden folders and links are passed by.

    Raises
    ------
    DataError
        When one of them is no folder.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"no folder {folder}; give folders that hold runs, or runs themselves")
        for path in sorted(_run_folders(folder)):
            found.setdefault(path.resolve(), path)
    return [read_run(path) for path in found.values()]


def _run_folders(folder: Path) -> Iterator[Path]:
    for place, inner, files in os.walk(folder):
        if is_run(files):
            yield Path(place)
            inner.clear()  # nothing within a run is another one
        else:
            inner[:] = [name for name in inner if not name.startswith(".")]


def is_run(files: Sequence[str]) -> bool:
    """Return whether a folder with files of these names is a run's."""
    return len(set(MARKS).intersection(files)) >= 2


def read_run(path: Path) -> RunRecord:
    """Return what a run folder tells; what cannot be read is left out and said in ``problem``."""
    folder = RunFolder(path)
    problems: list[str] = []
    recipe = _read_recipe(folder, problems)
    stages, finished = _read_result(folder, problems)
    rows: list[dict[str, Any]] = []
    try:
        rows = MetricsFile(folder.metrics, ()).rows()
    except FullconvError as error:
        problems.append(str(error))
    status: Status = "damaged" if problems else "finished" if finished else "running" if is_held(path) else "stopped"
    return RunRecord(path, _started(folder), recipe, stages, rows, status, problems[0] if problems else "")


def _read_recipe(folder: RunFolder, problems: list[str]) -> dict[str, Any]:
    try:
        return load_recipe(folder.recipe, say=lambda line: None).model_dump(mode="json")
    except FullconvError as error:
        reason = " ".join(str(error).split())
    try:  # of another version, perhaps: what it says is still worth to be seen
        content = yaml.safe_load(folder.recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        content = None
    problems.append(reason)
    return content if isinstance(content, dict) else {}


def _read_result(folder: RunFolder, problems: list[str]) -> tuple[list[dict[str, Any]], bool]:
    try:
        stages = folder.finished()
        return stages, bool(stages) and bool(json.loads(folder.result.read_text(encoding="utf-8")).get("finished"))
    except FullconvError as error:
        problems.append(str(error))
    return [], False


def _started(folder: RunFolder) -> datetime.datetime | None:
    """Return when the recipe was written, which is when the run began; it is never written again."""
    for path in (folder.recipe, folder.metrics, folder.result):
        if path.exists():
            return datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return None


def _part(recipe: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = recipe.get(key)
    return found if isinstance(found, dict) else {}
