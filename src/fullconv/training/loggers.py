"""Who is told of a run beside its own folder: TensorBoard, Weights & Biases, MLflow, each by Lightning's own logger.

All three get the same names: ``loss``, ``learning_rate``, ``images_per_second`` and the metrics of each head such as
``semantic_mean_iu``, over the steps of the stage; the recipe as hyperparameters; and, where a stage is validated, the picture
``predictions``, or ``predictions-HEAD`` where there are several heads. Every stage is a run of its own there, as its steps
begin at 0; a stage that goes on after a break goes on there too, by the identifiers in ``loggers.json``.

::

    RUN/tensorboard/32s/     tensorboard --logdir RUN/tensorboard
    RUN/wandb/               where wandb keeps its files; offline with WANDB_MODE=offline, sent later by `wandb sync`
    RUN/mlflow/mlflow.db     mlflow ui --backend-store-uri sqlite:///RUN/mlflow/mlflow.db

Where ``MLFLOW_TRACKING_URI`` is set, MLflow's runs go there; wandb follows its own variables, such as ``WANDB_PROJECT`` and
``WANDB_ENTITY``. Nothing is written outside the run folder, and no telemetry is sent.
"""

import contextlib
import importlib.util
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from fullconv.errors import SpecError, TrainingError
from fullconv.files import replacing
from fullconv.nn.fcn import FCN
from fullconv.spec import Recipe
from fullconv.training.validation import Validation

PACKAGES = {"wandb": "wandb", "mlflow": "mlflow"}
"""Loggers that need a package, and its extra, of the same name as the logger."""
PROJECT = "fullconv"
"""What runs lie under in wandb and MLflow; ``WANDB_PROJECT`` and ``MLFLOW_EXPERIMENT_NAME`` name another."""


def check_loggers(names: Sequence[str]) -> None:
    """Stop before anything is read or written when a logger's package is not installed.

    Raises
    ------
    SpecError
        When it is not; the extra is named.
    """
    for name in names:
        if name in PACKAGES and importlib.util.find_spec(PACKAGES[name]) is None:
            raise SpecError(f"train.loggers names {name}, which is not installed: pip install 'fullconv[{name}]'")


@contextlib.contextmanager
def stage_loggers(recipe: Recipe, folder: Path, stage: str) -> Iterator[list[Logger]]:
    """Yield the loggers of ``train.loggers`` for one stage, told of the recipe; they are ended when the block is left.

    Parameters
    ----------
    recipe
        The run's.
    folder
        The run's; what is logged lies in it, but for what goes to a server that the environment names.
    stage
        Such as ``32s``.

    Raises
    ------
    TrainingError
        When a logger cannot start, such as wandb without a key.
    """
    if rank_zero_only.rank:  # type: ignore[attr-defined]  # the first process alone logs
        yield []
        return
    with _environment(_surroundings(folder)), _in_peace(recipe.train.loggers):
        known = _read_ids(folder)
        before = set(known.values())
        loggers: list[Logger] = []
        try:
            for name in recipe.train.loggers:
                logger, told = _START[name](recipe, folder, stage, known.get(f"{stage} {name}"))
                loggers.append(logger)
                if told is not None:
                    known[f"{stage} {name}"] = told
                if name == "tensorboard" or told not in before:  # a run that goes on has been told
                    logger.log_hyperparams(recipe.model_dump(mode="json"))
            _write_ids(folder, known)
            yield loggers
        except BaseException:
            _end(loggers, finished=False)
            raise
        _end(loggers, finished=True)


def log_predictions(trainer: pl.Trainer, validation: Validation, model: FCN, step: int) -> None:
    """Show what a model predicts on a few validation samples to every logger of a trainer that can show images.

    Parameters
    ----------
    trainer
        Its first process draws.
    validation, model
        What is predicted on, and by which model, with the weights that are measured.
    step
        Of the stage.
    """
    able = [logger for logger in trainer.loggers if type(logger) in _SHOW]
    if not able or not trainer.is_global_zero:
        return
    for name, picture in validation.pictures(model, trainer).items():
        for logger in able:
            _SHOW[type(logger)](logger, name, picture, step)


def _show_tensorboard(logger: Any, name: str, picture: Image.Image, step: int) -> None:
    logger.experiment.add_image(name, np.asarray(picture), step, dataformats="HWC")


def _show_wandb(logger: Any, name: str, picture: Image.Image, step: int) -> None:
    logger.log_image(name, [picture], step)


def _show_mlflow(logger: Any, name: str, picture: Image.Image, step: int) -> None:
    logger.experiment.log_image(logger.run_id, picture, key=name, step=step)


_SHOW = {TensorBoardLogger: _show_tensorboard, WandbLogger: _show_wandb, MLFlowLogger: _show_mlflow}


def _tensorboard(recipe: Recipe, folder: Path, stage: str, known: str | None) -> tuple[Logger, None]:
    # a metric of no meaning would stand beside the hyperparameters
    return TensorBoardLogger(folder, name="tensorboard", version=stage, default_hp_metric=False), None


def _wandb(recipe: Recipe, folder: Path, stage: str, known: str | None) -> tuple[Logger, str]:
    import wandb

    settings = wandb.Settings(
        # what is printed is no part of a run, and neither is the machine or the code that happens to lie around
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    name = folder.resolve().name
    (folder / "wandb").mkdir(parents=True, exist_ok=True)  # wandb would take a folder for temporary files instead
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=f"{name}/{stage}",
            group=name,
            tags=[recipe.name],
            dir=folder,
            id=known,
            resume="allow" if known else None,
            reinit="create_new",  # a run of the program that called training is none of ours
            settings=settings,
        )
    except wandb.errors.UsageError as error:
        raise TrainingError(
            f"wandb cannot start: {' '.join(str(error).split())} Or set WANDB_MODE=offline, and `wandb sync` sends the run later"
        ) from error
    except wandb.errors.Error as error:
        raise TrainingError(f"wandb cannot start: {' '.join(str(error).split())}; WANDB_MODE=offline needs no server") from error
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return WandbLogger(experiment=run, save_dir=folder), run.id


def _mlflow(recipe: Recipe, folder: Path, stage: str, known: str | None) -> tuple[Logger, str]:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    local = folder.resolve() / "mlflow"
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    artifacts = None if uri else local.joinpath("artifacts").as_uri()
    if not uri:
        local.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{local / 'mlflow.db'}"
    try:
        client = MlflowClient(uri)
        if known is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            experiment = client.get_experiment_by_name(name)
            place = experiment.experiment_id if experiment else client.create_experiment(name, artifacts)
            tags = {"recipe": recipe.name, "folder": folder.resolve().name, "stage": stage}
            known = client.create_run(place, tags=tags, run_name=f"{folder.resolve().name}/{stage}").info.run_id
        else:
            client.update_run(known, status="RUNNING")
    except (MlflowException, ImportError, OSError) as error:
        raise TrainingError(f"mlflow cannot start at {uri}: {' '.join(str(error).split())}") from error
    return MLFlowLogger(tracking_uri=uri, run_id=known), known


_START = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def _end(loggers: Sequence[Logger], finished: bool) -> None:
    for logger in loggers:
        logger.finalize("success" if finished else "failed")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if finished else 1)


def _surroundings(folder: Path) -> dict[str, str | None]:
    """Return the variables that keep the loggers' files within the run folder and their makers uninformed."""
    return {
        "WANDB_DATA_DIR": str(folder.resolve() / "wandb"),
        "WANDB_CACHE_DIR": str(folder.resolve() / "wandb"),
        "MLFLOW_DISABLE_TELEMETRY": "true",  # read when mlflow is imported
        # mlflow sets it to where a logger logs; the next training would log there too
        "MLFLOW_TRACKING_URI": os.environ.get("MLFLOW_TRACKING_URI"),
    }


@contextlib.contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables of the process, which loggers read nowhere else, and put them back; ``None`` leaves one as it is."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _in_peace(names: Sequence[str]) -> Iterator[None]:
    """Let wandb and mlflow, where they are used, say nothing but faults, and leave the process as it was afterwards."""
    with contextlib.ExitStack() as stack:
        if "mlflow" in names:
            stack.enter_context(_mlflow_kept())
        if "wandb" in names and "WANDB_SERVICE" not in os.environ:
            stack.callback(_end_wandb)
        yield


@contextlib.contextmanager
def _mlflow_kept() -> Iterator[None]:
    """Put back where mlflow logs, as Lightning's logger turns the whole process to its own place, and what it says of it."""
    from mlflow import tracking

    before = tracking.get_tracking_uri() if tracking.is_tracking_uri_set() else None
    spoken = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in spoken]
    for logger in spoken:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        tracking.set_tracking_uri(before)  # type: ignore[arg-type]  # nothing is what it has at first
        for logger, level in zip(spoken, levels, strict=True):
            logger.setLevel(level)


def _end_wandb() -> None:
    """End the process that wandb starts, which would go on as long as ours, and its variable."""
    import wandb

    wandb.teardown()
    os.environ.pop("WANDB_SERVICE", None)


def _read_ids(folder: Path) -> dict[str, str]:
    """Return the identifiers of the stages' runs elsewhere; without the file, or with a damaged one, they begin anew."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / "loggers.json").read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    return {}


def _write_ids(folder: Path, known: Mapping[str, str]) -> None:
    if known:
        with replacing(folder / "loggers.json") as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
