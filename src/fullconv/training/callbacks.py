"""What happens around the steps of a stage: progress, log, validation, saving, stopping. A Lightning callback."""

import contextlib
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fullconv.files import replacing
from fullconv.spec import Recipe
from fullconv.training.average import WeightAverage
from fullconv.training.interrupt import Stopped, StopRequest
from fullconv.training.log import MetricsFile, metrics_of
from fullconv.training.loggers import log_predictions
from fullconv.training.module import TrainingModule, total_over_processes
from fullconv.training.progress import StageProgress
from fullconv.training.validation import Validation

ROWS = 200
"""Rows of ``metrics.csv`` that a stage has at most."""


class WholeFile(TorchCheckpointIO):
    """Lightning's own format, written so that the file is the old or the new one, never half of either."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path``."""
        with replacing(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # what torch makes of a full disk
                raise OSError(str(error).splitlines()[0]) from error


class StageWatch(pl.Callback):
    """The callback of one stage.

    Parameters
    ----------
    recipe, stage
        The run, and the name of the stage (``32s``).
    validation
        What is measured on.
    average
        Of the weights, which then is what is measured.
    resume_file
        Where what a resumed stage needs is saved: at its start when weights came from outside the run's folder, and then again
        and again.
    log, progress, request
        Where rows go, what people see, and whether somebody asked for the end.
    """

    def __init__(
        self,
        recipe: Recipe,
        stage: str,
        validation: Validation,
        average: WeightAverage | None,
        resume_file: Path,
        log: MetricsFile,
        progress: StageProgress,
        request: StopRequest,
    ) -> None:
        self.spec, self.stage, self.validation, self.average = recipe.train, stage, validation, average
        self._keep_start = recipe.model.weights is not None and stage == f"{recipe.train.stages[0].stride}s"
        self.resume_file, self.metrics_file, self.progress, self.request = resume_file, log, progress, request
        self.seconds = 0.0
        self._losses: list[float] = []
        self._first, self._training_seconds = 0, 0.0
        self._tick = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed stage needs: the time it took so far and the losses since the last row."""
        return {"seconds": self.seconds, "losses": list(self._losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up :meth:`state_dict`."""
        self.seconds, self._losses = state_dict["seconds"], list(state_dict["losses"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks; drop rows that a stage wrote after its last save."""
        self.request.listen()  # Lightning has just taken SIGTERM, to end without saving
        self._first = trainer.global_step
        if trainer.is_global_zero:
            self.metrics_file.cut(self.stage, self._first)
        if self._keep_start and not self._first:
            trainer.save_checkpoint(self.resume_file)
        self.progress.begin(self._first)
        self._tick = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show, log, validate, save, and stop if that was asked for."""
        assert isinstance(pl_module, TrainingModule)  # for the type checker
        step, steps, learning_rate = trainer.global_step, pl_module.steps, pl_module.learning_rate
        self._losses.append(outputs["shown"].item())
        self._training_seconds += self._count_time()
        speed = self.spec.images_per_step * (step - self._first) / self._training_seconds
        self.progress.step(step, self._losses[-1], learning_rate, speed)
        if step % max(1, steps // ROWS) == 0 or step == steps:
            mean = sum(self._losses) / len(self._losses)
            self._losses.clear()
            self._write(trainer, step, {"loss": mean, "learning_rate": learning_rate, "images_per_second": speed})
        if self.spec.validate_every and step % self.spec.validate_every == 0 and step < steps:
            self._validate(trainer, pl_module, step)
        self._save_or_stop(trainer, step, steps)

    def _validate(self, trainer: pl.Trainer, module: TrainingModule, step: int) -> None:
        # a lone process need not finish when the end is asked for; several must all do the same
        stop = self.stop_when_asked if trainer.world_size == 1 else self.progress.validate
        measured = self.average.applied(module.model) if self.average else contextlib.nullcontext()
        with contextlib.suppress(Stopped):
            with measured:
                reports = self.validation.measure(module.model, trainer, stop)
                log_predictions(trainer, self.validation, module.model, step)
            self._write(trainer, step, metrics_of(reports))
        self._count_time()

    def stop_when_asked(self, done: int, of: int) -> None:
        """Show ``done`` of ``of`` validation images; raise :class:`Stopped` when the end was asked for."""
        if self.request.asked:
            raise Stopped(f"stopped while measuring stage {self.stage}")
        self.progress.validate(done, of)

    def _save_or_stop(self, trainer: pl.Trainer, step: int, steps: int) -> None:
        stop = self.request.asked
        if trainer.world_size > 1:  # all processes must decide alike, also when the signal reached one of them only
            stop = bool(total_over_processes(torch.tensor(int(stop), device=trainer.strategy.root_device)).item())
        if stop or step == steps or step % self.spec.save_every == 0:
            trainer.save_checkpoint(self.resume_file)
        if stop:
            raise Stopped(f"stopped after step {step} of {steps} of stage {self.stage}")

    def _write(self, trainer: pl.Trainer, step: int, values: dict[str, float]) -> None:
        if trainer.is_global_zero:
            self.metrics_file.append(self.stage, step, values)
        for logger in trainer.loggers:
            logger.log_metrics(values, step)

    def _count_time(self) -> float:
        """Add the time since the last call to that of the stage, and return it."""
        now = time.monotonic()
        passed, self._tick = max(now - self._tick, 1e-9), now
        self.seconds += passed
        return passed
