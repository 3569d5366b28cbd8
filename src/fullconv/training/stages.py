"""FCN-32s, then 16s, then 8s: each stage starts from the weights of the one before (paper, section 4.2)."""

import functools
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console
from torch import Tensor

from fullconv.data.sample import Dataset
from fullconv.errors import TrainingError
from fullconv.evaluation import Report
from fullconv.nn.fcn import FCN
from fullconv.nn.losses import equivalent_learning_rate
from fullconv.spec import Recipe, StageSpec
from fullconv.training.average import WeightAverage
from fullconv.training.callbacks import StageWatch, WholeFile
from fullconv.training.class_weights import class_weights
from fullconv.training.folder import RunFolder
from fullconv.training.interrupt import Stopped, StopRequest
from fullconv.training.log import MetricsFile, metrics_of
from fullconv.training.loggers import log_predictions, stage_loggers
from fullconv.training.module import TrainingModule
from fullconv.training.progress import StageProgress
from fullconv.training.start import stage_name
from fullconv.training.validation import Validation


@dataclass(frozen=True)
class Run:
    """What all stages of a run share."""

    recipe: Recipe
    folder: RunFolder
    training: Dataset
    validation: Validation
    log: MetricsFile
    console: Console
    request: StopRequest
    loggers: Sequence[Logger] = ()
    """More of Lightning's loggers beside those of the recipe."""

    @functools.cached_property
    def class_weights(self) -> dict[str, Tensor]:
        """The weights of the classes, float32 (K,) a head, counted when first asked for; none when all weigh the same."""
        if self.recipe.train.class_weights is None:
            return {}
        return class_weights(self.training, self.recipe.data, self.console, self.request)

    def first_step(self, index: int) -> int:
        """Return the steps of all stages before stage ``index``."""
        return sum(int(stage.steps or 0) for stage in self.recipe.train.stages[:index])


@dataclass(frozen=True)
class StageResult:
    """A trained stage: its model, its metrics, and its record for ``result.json``."""

    model: FCN
    reports: dict[str, Report]
    record: dict[str, Any]


def train_stage(run: Run, index: int, model: FCN) -> StageResult:
    """Train stage ``index`` of a run, from ``resume.ckpt`` where there is one, and measure it.

    Raises
    ------
    Stopped
        When the end was asked for; everything is saved then.
    TrainingError
        When the loss is not finite, or ``resume.ckpt`` cannot be read.
    """
    recipe, stage = run.recipe, run.recipe.train.stages[index]
    name = stage_name(stage)
    module = TrainingModule(model, run.training, recipe.data, recipe.train, stage, run.first_step(index), run.class_weights)
    _announce(run, stage, model)
    with stage_loggers(recipe, run.folder.path, name) as loggers, StageProgress(run.console, name, module.steps) as progress:
        resume = run.folder.resume_file(name)
        average = WeightAverage(recipe.train.average) if recipe.train.average else None
        watch = StageWatch(recipe, name, run.validation, average, resume, run.log, progress, run.request)
        # the average before the watch, which saves: what is saved then holds the step's average
        trainer = _trainer(run, stage, [average, watch] if average else [watch], [*loggers, *run.loggers])
        _fit(trainer, module, resume if resume.exists() else None)
        if average:
            average.apply(model)
        reports = run.validation.measure(model.to(trainer.strategy.root_device), trainer, watch.stop_when_asked)
        log_predictions(trainer, run.validation, model, module.steps)
        for logger in trainer.loggers:
            logger.log_metrics(metrics_of(reports), module.steps)
    if trainer.is_global_zero:
        run.log.append(name, module.steps, metrics_of(reports))
    record = {
        "stage": name,
        "steps": module.steps,
        "learning_rate": module.base_learning_rate,
        "precision": recipe.train.precision,
        "images": module.steps * recipe.train.images_per_step,
        "seconds": round(watch.seconds, 3),
        "heads": {head: report.to_dict() for head, report in reports.items()},
    }
    return StageResult(model.cpu(), reports, record)


def _trainer(run: Run, stage: StageSpec, callbacks: list[pl.Callback], loggers: list[Logger]) -> pl.Trainer:
    train = run.recipe.train
    assert train.precision != "auto"  # chosen when the run began
    try:
        return pl.Trainer(
            accelerator=train.accelerator,
            devices=train.devices,
            num_nodes=train.nodes,
            strategy=train.strategy,
            precision=train.precision,
            max_steps=int(stage.steps or 0),
            max_epochs=-1,
            gradient_clip_val=train.gradient_clip,
            logger=loggers,
            callbacks=callbacks,
            plugins=[WholeFile()],
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=run.folder.path,
        )
    except (MisconfigurationException, ImportError, ValueError) as error:
        asked = {key: getattr(train, key) for key in ("accelerator", "devices", "nodes", "strategy", "precision")}
        raise TrainingError(f"this machine cannot train with {asked}: {' '.join(str(error).split())}") from error


def _fit(trainer: pl.Trainer, module: TrainingModule, resume: Path | None) -> None:
    try:
        trainer.fit(module, ckpt_path=resume, weights_only=True)
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        # the second Ctrl-C, of which Lightning makes an exit without a word
        raise KeyboardInterrupt("stopped at once, without the steps since the last save") from None
    except (AttributeError, EOFError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        if "DataLoader worker" in str(error):
            # such as SIGTERM to the whole process group, or too little memory
            raise Stopped("a process that reads images was ended from outside; what was saved last is kept") from error
        if resume is None or trainer.global_step:
            raise
        damaged = isinstance(error, pickle.UnpicklingError | AttributeError | TypeError)  # torch would advise to unpickle it
        reason = "it is damaged" if damaged else next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(f"cannot go on from {resume}: {reason}; delete it to start the stage again") from error


def _announce(run: Run, stage: StageSpec, model: FCN) -> None:
    """Say what the stage does, and what its learning rate would be with the other reduction of the loss."""
    train = run.recipe.train
    height, width = run.recipe.data.augment.crop or run.training[0].size
    given = float(stage.learning_rate or 0)
    other = "mean" if train.reduction == "sum" else "sum"
    equal = equivalent_learning_rate(given, train.reduction, train.batch_size * height * width)
    reduction = "mean of the images' means" if train.reduction == "image_mean" else train.reduction
    patches = f", each patch kept with probability {train.loss_sampling:g}" if train.loss_sampling < 1 else ""
    losses = " + ".join(f"{weight:g} × {head}" for head, weight in train.head_weights.items())
    added = f"; losses added: {losses}" if len(train.head_weights) > 1 else ""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    run.console.print(
        f"stage {stage_name(stage)}: {model.spec.name}, {trained:,} trained parameters, {stage.steps} steps of "
        f"{train.images_per_step} images of {len(run.training)}{patches}\n"
        f"learning rate {given:.3g} for the {reduction} over valid pixels = {equal:.2g} for their {other} "
        f"(at {height}×{width}){added}",
        highlight=False,
        soft_wrap=True,
    )
