"""FCN-32s, then 16s, then 8s: each stage starts from the weights of the one before (paper, section 4.2)."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from fullconv.data.class_pixels import draw_shares
from fullconv.data.sample import Dataset
from fullconv.errors import TrainingError
from fullconv.evaluation import Report
from fullconv.nn.fcn import FCN
from fullconv.nn.losses.cross_entropy import equivalent_learning_rate
from fullconv.spec import Recipe, StageSpec
from fullconv.training.average import WeightAverage
from fullconv.training.callbacks import StageWatch, WholeFile
from fullconv.training.class_weights import class_weights, pixel_counts
from fullconv.training.clock import StageClock
from fullconv.training.fitting import fit
from fullconv.training.folder import RunFolder
from fullconv.training.interrupt import StopRequest
from fullconv.training.log import MetricsFile
from fullconv.training.loggers import log_predictions, stage_loggers
from fullconv.training.measuring import BestModel, ChosenMetric, interval
from fullconv.training.module import TrainingModule
from fullconv.training.precision import this_processor
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
    metric: ChosenMetric
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
        return class_weights(self.training, self._class_pixels, self.console)

    @functools.cached_property
    def draw_shares(self) -> NDArray[np.float64] | None:
        """The probability with which each image is drawn, float64 (S,), where not all are drawn alike; counted likewise."""
        if self.recipe.train.sampling == "uniform":
            return None
        shares = draw_shares(self._class_pixels)
        most, least = shares.max(), shares.min()
        often = f"{most / least:.1f} times as often as those with frequent classes alone"
        if most / least < 1.05:
            often = "as often as others: all images hold much the same classes"
        self.console.print(
            f"balanced sampling: images with the rarest classes are drawn {often}", highlight=False, soft_wrap=True
        )
        return shares

    @functools.cached_property
    def _class_pixels(self) -> Mapping[str, Tensor]:
        return pixel_counts(self.training, self.recipe.data, self.console, self.request)

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def seconds(self, index: int) -> float | None:
        """Return how long stage ``index`` trains: its share of ``train.minutes`` by its steps; ``None`` when steps end it."""
        train = self.recipe.train
        if train.minutes is None:
            return None
        shares = [int(stage.steps or 0) for stage in train.stages]
        return 60 * train.minutes * shares[index] / sum(shares)


class LastModel(NamedTuple):
    """The weights of a stage's last step, and the heads' reports as in ``result.json``."""

    weights: dict[str, Tensor]
    heads: dict[str, Any]


@dataclass(frozen=True)
class StageResult:
    """A trained stage: its model, its metrics, and its record for ``result.json``; where it is the best one also the last one."""

    model: FCN
    reports: dict[str, Report]
    record: dict[str, Any]
    last: LastModel | None = None


def train_stage(run: Run, index: int, model: FCN, first_step: int = 0) -> StageResult:
    """Train stage ``index`` of a run, from ``resume.ckpt`` where there is one, and measure it.

    Parameters
    ----------
    run, index, model
        Of the run; the model is trained in place.
    first_step
        Steps of all stages before this one.

    Raises
    ------
    Stopped
        When the end was asked for; everything is saved then.
    TrainingError
        When the loss is not finite, or ``resume.ckpt`` cannot be read.
    """
    recipe, stage = run.recipe, run.recipe.train.stages[index]
    train, name, seconds = recipe.train, stage_name(stage), run.seconds(index)
    clock = StageClock(None if seconds else stage.steps, seconds, run.request)
    module = TrainingModule(model, run.training, recipe.data, train, stage, first_step, run.class_weights, run.draw_shares, clock)
    every = _measured_every(run, clock)
    _announce(run, stage, model, clock)
    with (
        stage_loggers(recipe, run.folder.path, name) as loggers,
        StageProgress(run.console, name, clock.steps, seconds) as progress,
    ):
        resume = run.folder.resume_file(name)
        average = WeightAverage(train.average, train.accumulate) if train.average else None
        best = BestModel(run.metric, train.keep == "best", train.patience, run.say)
        keep_start = recipe.model.weights is not None and index == 0
        watch = StageWatch(
            train, name, run.validation, every, average, best, clock, resume, keep_start, run.log, progress, run.request
        )
        # the average before the watch, which saves: what is saved then holds the step's average
        trainer = _trainer(
            run, clock, module.still_norms, [average, best, watch] if average else [best, watch], [*loggers, *run.loggers]
        )
        run.request.alone = trainer.world_size == 1
        fit(trainer, module, resume if resume.exists() else None)
        if average:
            average.apply(model)
        steps = trainer.global_step
        reports = _measured_last(run, watch, model, trainer, steps)
    ended = "patience" if not clock.over(steps) else "minutes" if seconds else "steps"
    record = {
        "stage": name,
        "steps": steps,
        "learning_rate": module.base_learning_rate,
        "precision": train.precision,
        "images": steps * train.images_per_step,
        "seconds": round(clock.training, 3),
        "waiting": round(clock.waiting, 3),
        "ended": ended,
    }
    return _kept(model.cpu(), reports, record, best)


def _measured_every(run: Run, clock: StageClock) -> int | None:
    """Return after how many steps a stage is measured; ``None`` where the clock decides."""
    train = run.recipe.train
    if train.validate_every:
        return train.validate_every
    if train.keep == "last" and train.patience is None:
        return clock.limit
    if clock.steps is None:
        return None
    height, width = run.recipe.data.augment.crop or run.training[0].size
    return interval(clock.steps, train.images_per_step * height * width, run.validation.pixels)


def _measured_last(run: Run, watch: StageWatch, model: FCN, trainer: pl.Trainer, steps: int) -> dict[str, Report]:
    """Return the reports of a stage's last model, compared with the best one; measured now where its last step was not."""
    if watch.last_reports and watch.last_reports[0] == steps:
        return watch.last_reports[1]
    reports = run.validation.measure(model.to(trainer.strategy.root_device), trainer, watch.stop_when_asked, run.request)
    watch.best.take(steps, model, reports)
    log_predictions(trainer, run.validation, model, steps)
    watch.log_metrics(trainer, steps, reports)
    return reports


def _kept(model: FCN, reports: dict[str, Report], record: dict[str, Any], best: BestModel) -> StageResult:
    """Return the result of a stage with the model that is kept of it."""
    steps, metric = record["steps"], best.metric
    last, found = None, reports
    if best.keep and best.step != steps:
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        last = LastModel(weights, {head: report.to_dict() for head, report in reports.items()})
        found = best.reports(reports)
        model.load_state_dict(best.weights)
    numbers = {"value": metric.value(found), "last": metric.value(reports)}
    kept = {
        "keep": "best" if best.keep else "last",
        "metric": metric.text,
        "step": best.step if best.keep else steps,
        **{key: None if math.isnan(value) else value for key, value in numbers.items()},
    }
    heads = {head: report.to_dict() for head, report in found.items()}
    return StageResult(model, found, {**record, "kept": kept, "heads": heads}, last)


def _trainer(run: Run, clock: StageClock, still: bool, callbacks: list[pl.Callback], loggers: list[Logger]) -> pl.Trainer:
    """Return what trains; ``still`` says whether batch norm keeps its statistics, which are else those of all cards."""
    train = run.recipe.train
    assert train.precision != "auto"  # chosen when the run began
    try:
        return pl.Trainer(
            accelerator=train.accelerator,
            devices=train.devices,
            num_nodes=train.nodes,
            strategy=train.strategy,
            precision=train.precision,
            max_steps=clock.steps or -1,
            max_epochs=-1,
            accumulate_grad_batches=train.accumulate,
            gradient_clip_val=train.gradient_clip,
            logger=loggers,
            callbacks=callbacks,
            plugins=[WholeFile()],
            use_distributed_sampler=False,
            sync_batchnorm=not still and this_processor(train.accelerator).kind == "cuda",
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=run.folder.path,
        )
    except (MisconfigurationException, ImportError, ValueError) as error:
        asked = {key: getattr(train, key) for key in ("accelerator", "devices", "nodes", "strategy", "precision")}
        raise TrainingError(f"this machine cannot train with {asked}: {' '.join(str(error).split())}") from error


def _announce(run: Run, stage: StageSpec, model: FCN, clock: StageClock) -> None:
    """Say what the stage does, and what its learning rate would be with the other reduction of the loss."""
    train = run.recipe.train
    height, width = run.recipe.data.augment.crop or run.training[0].size
    given = float(stage.learning_rate or 0)
    other = "mean" if train.reduction == "sum" else "sum"
    equal = equivalent_learning_rate(given, train.reduction, int(train.images_per_step * train.loss_sampling) * height * width)
    reduction = "mean of the images' means" if train.reduction == "image_mean" else train.reduction
    patches = f", each patch kept with probability {train.loss_sampling:g}" if train.loss_sampling < 1 else ""
    losses = " + ".join(f"{weight:g} × {head}" for head, weight in train.head_weights.items())
    added = f"; losses added: {losses}" if len(train.head_weights) > 1 else ""
    loss = "" if train.loss.plain else f"; loss: {train.loss}"
    length = f"{clock.steps} steps" if clock.steps else f"{(clock.seconds or 0) / 60:.3g} minutes with steps"
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    run.console.print(
        f"stage {stage_name(stage)}: {model.spec.name}, {trained:,} trained parameters, {length} of "
        f"{train.images_per_step} images, drawn from {len(run.training)}{patches}\n"
        f"learning rate {given:.3g} for a loss that is the {reduction} over valid pixels, which equals "
        f"{equal:.2g} for their {other} (at {height}×{width}){loss}{added}",
        highlight=False,
        soft_wrap=True,
    )
