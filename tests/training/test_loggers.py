"""TensorBoard, wandb and mlflow told of one training: read back by their own readers, offline, within the run folder."""

import importlib.util
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fullconv.errors import SpecError, TrainingError
from fullconv.spec import Recipe
from fullconv.spec.recipe import load_recipe
from fullconv.training.log import MetricsFile
from fullconv.training.loggers import _in_peace, stage_loggers
from fullconv.training.process import process_kept
from fullconv.training.run import RunResult, train

Tiny = Callable[..., Recipe]
STAGE = {"stages": [32], "steps": 2, "batch_size": 2, "validate_every": 1}
SMALL = {"count": 2, "val_count": 2, "size": [32, 48], "augment": {}}


@pytest.fixture(scope="module")
def told(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run of two steps that all three were told of, with a home folder of its own."""
    home = tmp_path_factory.mktemp("home")
    recipe = tiny(model={"name": "fcn32s-minivgg"}, data=SMALL, train={**STAGE, "loggers": ["tensorboard", "wandb", "mlflow"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("WANDB_MODE", "offline")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        before = dict(os.environ)
        result = train(recipe, home.parent / f"{home.name}-run" / "mine", console=Console(quiet=True))
        assert dict(os.environ) == before
    assert list(home.iterdir()) == []  # nothing outside the run folder
    return result


def measured(result: RunResult) -> dict[str, list[tuple[int, float]]]:
    """What metrics.csv holds: by name, (step, value)."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in MetricsFile(result.out / "metrics.csv", ("semantic",)).rows():
        for name, value in row.items():
            if name not in ("stage", "step"):
                found.setdefault(name, []).append((row["step"], value))
    return found


def sizes(folder: Path) -> list[tuple[int, int]]:
    """Of the pictures of predictions in a folder, or in those below it where it has none itself."""
    found = []
    for path in [*folder.glob("predictions*.png")] or [*folder.rglob("predictions*.png")]:
        with Image.open(path) as picture:
            found.append(picture.size)
    return found


def test_tensorboard_has_the_metrics_and_the_pictures(told: RunResult) -> None:
    events = EventAccumulator(str(told.out / "tensorboard" / "32s"), {"images": 0, "scalars": 0}).Reload()
    for name, values in measured(told).items():
        assert [event.step for event in events.Scalars(name)] == [step for step, _ in values]
        assert [event.value for event in events.Scalars(name)] == pytest.approx([value for _, value in values])
    assert [event.step for event in events.Images("predictions")] == [1, 2]
    assert "learning_rate: 0.01" in (told.out / "tensorboard" / "32s" / "hparams.yaml").read_text()


def test_mlflow_has_the_same_and_the_recipe(told: RunResult) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{told.out / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("fullconv").experiment_id])
    assert (run.info.run_name, run.info.status) == ("mine/32s", "FINISHED")
    for name, values in measured(told).items():
        assert [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)] == values
    assert run.data.params["train/optimizer/learning_rate"] == "0.01"
    pictures = sizes(told.out / "mlflow" / "artifacts")
    assert pictures == [*sizes(told.out), *sizes(told.out)]


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file: a log as LevelDB's, blocks of 32 KiB of (crc, length, kind, piece of a record)."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, record = path.read_bytes(), 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
        _, length, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            found = Record()
            found.ParseFromString(record)
            yield found
            record = b""


def test_wandb_has_the_same_and_the_recipe(told: RunResult) -> None:
    (path,) = (told.out / "wandb").glob("offline-run-*/*.wandb")
    history: list[dict[str, Any]] = []
    recipe: dict[str, Any] = {}
    for record in wandb_records(path):
        if record.HasField("history"):
            history.append({".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item})
        recipe |= {
            item.key: json.loads(item.value_json) for item in (*record.run.config.update, *record.config.update) if item.key
        }
    for name, values in measured(told).items():
        assert [(row["trainer/global_step"], row[name]) for row in history if name in row] == values
    assert recipe["train"]["optimizer"]["learning_rate"] == 0.01
    assert [row["trainer/global_step"] for row in history if any(key.startswith("predictions") for key in row)] == [1, 2]
    assert set(sizes(path.parent)) == set(sizes(told.out))


def test_a_stage_that_goes_on_goes_on_where_it_was_logged(
    told: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out = shutil.copytree(told.out, tmp_path / "mine")
    recipe = load_recipe(out, {"train": {"loggers": "mlflow", "seed": 0}, "data": {"workers": 3}})
    with process_kept(cuda=False), stage_loggers(recipe, out, "32s") as loggers:
        (logger,) = loggers
        logger.log_metrics({"loss": 7.0}, 3)
    client = MlflowClient(f"sqlite:///{out / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("fullconv").experiment_id])
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]
    assert run.info.status == "FINISHED"


def test_a_program_that_uses_mlflow_itself_logs_where_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # put back at the end, whatever mlflow does with it
    mlflow.set_tracking_uri("http://mine.example")
    try:
        with _in_peace(["mlflow"]):
            mlflow.set_tracking_uri("sqlite:///other.db")
        assert mlflow.get_tracking_uri() == "http://mine.example"
    finally:
        mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed(name: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *rest: None if asked == name else found(asked, *rest))
    with pytest.raises(SpecError, match=rf"train.loggers names {name}, which is not installed: pip install 'fullconv\[{name}\]'"):
        train(tiny(train={"loggers": ["tensorboard", name]}), tmp_path / "run", console=Console(quiet=True))
    assert not (tmp_path / "run").exists()


def test_wandb_without_a_key_says_what_to_do(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    recipe = tiny(data=SMALL, train={"loggers": "wandb"})
    with pytest.raises(
        TrainingError, match=r"wandb cannot start: (No API key|api_key not) configured.* Or set WANDB_MODE=offline, and"
    ):
        train(recipe, tmp_path / "run", console=Console(quiet=True))
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize(("given", "taken"), [("wandb", ("wandb",)), (["mlflow", "mlflow"], ("mlflow",)), ([], ())])
def test_how_loggers_may_be_written(given: object, taken: tuple[str, ...], tiny: Tiny) -> None:
    assert tiny(train={"loggers": given}).train.loggers == taken


def test_a_logger_that_nobody_knows(tiny: Tiny) -> None:
    with pytest.raises(SpecError, match=r"train.loggers.0: input should be 'tensorboard', 'wandb' or 'mlflow'; got 'comet'"):
        tiny(train={"loggers": ["comet"]})


def test_nobody_need_be_told(tiny: Tiny, tmp_path: Path) -> None:
    recipe = tiny(model={"name": "fcn32s-minivgg"}, data=SMALL, train={**STAGE, "loggers": []})
    train(recipe, tmp_path / "run", console=Console(quiet=True))
    assert not {"tensorboard", "lightning_logs", "loggers.json"} & {path.name for path in (tmp_path / "run").iterdir()}
