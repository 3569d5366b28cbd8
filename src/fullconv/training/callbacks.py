"""What happens around the steps of a stage: progress, log, validation, saving, stopping. A Lightning callback."""

import contextlib
import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fullconv.evaluation import Report
from fullconv.files import replacing
from fullconv.spec import TrainSpec
from fullconv.training.accumulate import WholeSteps
from fullconv.training.average import WeightAverage
from fullconv.training.clock import StageClock
from fullconv.training.interrupt import WAITING, Stopped, StopRequest
from fullconv.training.log import MetricsFile, metrics_of
from fullconv.training.loggers import log_predictions
from fullconv.training.measuring import MOST, BestModel
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
    spec, stage
        How is trained, and the name of the stage (``32s``).
    validation, every
        What is measured on, and after how many steps; ``None`` after a tenth of the stage's seconds, or later where measuring
        would take more than a third of them.
    average
        Of the weights, which then is what is measured.
    best
        What is told of every measurement.
    clock
        How long the stage is.
    resume_file, keep_start
        Where what a resumed stage needs is saved again and again, and whether already at its start: when weights came from
        outside the run's folder.
    log, progress, request
        Where rows go, what people see, and whether somebody asked for the end.
    """

    def __init__(
        self,
        spec: TrainSpec,
        stage: str,
        validation: Validation,
        every: int | None,
        average: WeightAverage | None,
        best: BestModel,
        clock: StageClock,
        resume_file: Path,
        keep_start: bool,
        log: MetricsFile,
        progress: StageProgress,
        request: StopRequest,
    ) -> None:
        self.spec, self.stage, self.validation, self.every, self.average = spec, stage, validation, every, average
        self.best, self.clock, self.resume_file, self._keep_start = best, clock, resume_file, keep_start
        self.metrics_file, self.progress, self.request = log, progress, request
        self.last_reports: tuple[int, dict[str, Report]] | None = None
        self._whole = WholeSteps(spec.accumulate)
        self._losses: list[float] = []  # since the last row
        self._loss = math.nan  # the last that is known
        self._first, self._before = 0, (0.0, 0.0)
        self._measured, self._measured_step = (0.0, 0.0), 0  # the time of the last measurement, how long it took, its step

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed stage needs: the time it took so far and the losses since the last row."""
        measured = [*self._measured, self._measured_step]
        return {**self.clock.state_dict(), "losses": list(self._losses), "measured": measured}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up :meth:`state_dict`."""
        self.clock.load_state_dict(state_dict)
        self._losses = list(state_dict["losses"])
        at, took, self._measured_step = state_dict.get("measured", (0.0, 0.0, 0))
        self._measured = (at, took)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks; drop rows that a stage wrote after its last save; measure what was interrupted by the end."""
        assert isinstance(pl_module, TrainingModule)  # for the type checker
        self.request.listen()  # Lightning has just taken SIGTERM, to end without saving
        self._first, self._before = trainer.global_step, (self.clock.training, self.clock.waiting)
        if trainer.is_global_zero:
            self.metrics_file.cut(self.stage, self._first)
        if self._keep_start and not self._first:
            trainer.save_checkpoint(self.resume_file)
        if self._ends(self._first):  # it was stopped while it was measured at its end
            trainer.should_stop = True
        self.progress.begin(self.clock.fraction(self._first))
        self.clock.start()
        if self._first and self._due(self._first) and self._measured_step != self._first and not trainer.should_stop:
            self._validate(trainer, pl_module, self._first)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Take note of where a step begins."""
        assert isinstance(pl_module, TrainingModule)  # for the type checker
        self._whole.begin(pl_module.model, batch_idx)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show, log, validate, save, and stop if that was asked for."""
        assert isinstance(pl_module, TrainingModule)  # for the type checker
        if (batch_idx + 1) % self.spec.accumulate:
            return
        step, before = trainer.global_step, self.clock.fraction(trainer.global_step - 1)
        if pl_module.losses.due or math.isnan(self._loss):
            self._look(pl_module)
        self._count_time(trainer, training=True)
        self._show(trainer, pl_module, step, before)
        if self._due(step) and not self.clock.over(step):
            self._look(pl_module)
            self._validate(trainer, pl_module, step)
        self._save_or_stop(trainer, pl_module, step)

    def _look(self, module: TrainingModule) -> None:
        """Look at the losses since the last look; what is measured, saved or written afterwards is of finite ones."""
        self._losses += module.losses.read()
        self._loss = self._losses[-1] if self._losses else self._loss

    def _show(self, trainer: pl.Trainer, module: TrainingModule, step: int, before: float) -> None:
        """Show a step, and write a row where the stage has come a two-hundredth further."""
        training, waiting = self.clock.training - self._before[0], self.clock.waiting - self._before[1]
        speed = self.spec.images_per_step * (step - self._first) / training
        waited = min(1.0, waiting / training)
        fraction = self.clock.fraction(step)
        self.progress.step(step, fraction, self._loss, module.learning_rate, speed, waited)
        steps = self.clock.steps
        row = step % max(1, steps // ROWS) == 0 if steps else int(fraction * ROWS) > int(before * ROWS)
        if row or self.clock.over(step):
            self._look(module)
            mean = sum(self._losses) / len(self._losses)
            self._losses.clear()
            values = {"loss": mean, "learning_rate": module.learning_rate, "images_per_second": speed, "waiting": waited}
            self._write(trainer, step, values)

    def _due(self, step: int) -> bool:
        if self.every is not None:
            return step % self.every == 0
        at, took = self._measured
        return self.clock.used - at >= max((self.clock.seconds or 0) / MOST, 2 * took)

    def _validate(self, trainer: pl.Trainer, module: TrainingModule, step: int) -> None:
        # a lone process need not finish when the end is asked for; several must all do the same
        stop = self.stop_when_asked if trainer.world_size == 1 else self.progress.validate
        measured = self.average.applied(module.model) if self.average else contextlib.nullcontext()
        with contextlib.suppress(Stopped), measured:
            reports = self.validation.measure(module.model, trainer, stop, self.request)
            self.best.take(step, module.model, reports)
            self.last_reports, self._measured_step = (step, reports), step
            log_predictions(trainer, self.validation, module.model, step)
            self.log_metrics(trainer, step, reports)
        began = self.clock.used
        self._count_time(trainer, training=False)
        self._measured = (self.clock.used, self.clock.used - began)

    def log_metrics(self, trainer: pl.Trainer, step: int, reports: dict[str, Report]) -> None:
        """Log the metrics of ``reports``; our own file also has the one that models are chosen by."""
        chosen = self.best.metric
        found = metrics_of(reports)
        self._write(trainer, step, found, {chosen.column: chosen.value(reports)})

    def stop_when_asked(self, done: int, of: int) -> None:
        """Show ``done`` of ``of`` validation images; raise :class:`Stopped` when the end was asked for."""
        if self.request.asked:
            raise Stopped(f"stopped while measuring stage {self.stage}")
        self.progress.validate(done, of)

    def _ends(self, step: int) -> bool:
        return self.clock.over(step) or self.best.exhausted

    def _save_or_stop(self, trainer: pl.Trainer, module: TrainingModule, step: int) -> None:
        stop, ends = self.request.asked, self._ends(step)
        if trainer.world_size > 1:  # all processes must decide alike, also when the signal reached one of them only
            stop = bool(total_over_processes(torch.tensor(int(stop), device=trainer.strategy.root_device)).item())
        if stop or ends or step % self.spec.save_every == 0:
            self._look(module)
            trainer.save_checkpoint(self.resume_file)
        if stop:
            raise Stopped(self._stopped_after(step))
        if ends:
            trainer.should_stop = True

    def _stopped_after(self, step: int) -> str:
        return f"stopped after {self.clock.told(step)} of stage {self.stage}"

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save when the end was asked for while a step waited for its images: all is as the last whole step left it."""
        assert isinstance(pl_module, TrainingModule)  # for the type checker
        if isinstance(exception, Stopped) and exception.args == (WAITING,):
            self._whole.restore(trainer, pl_module.model)
            self._look(pl_module)
            trainer.save_checkpoint(self.resume_file)
            exception.args = (f"{self._stopped_after(trainer.global_step)}, while waiting for images",)

    def _write(self, trainer: pl.Trainer, step: int, values: dict[str, float], chosen: dict[str, float] | None = None) -> None:
        if trainer.is_global_zero:
            self.metrics_file.append(self.stage, step, values | (chosen or {}))
        for logger in trainer.loggers:
            logger.log_metrics(values, step)

    def _count_time(self, trainer: pl.Trainer, training: bool) -> None:
        """Let the clock count; in a stage that ends by it all processes must read the same."""
        self.clock.count(training)
        if trainer.world_size > 1 and self.clock.steps is None:
            total = total_over_processes(torch.tensor(self.clock.used, device=trainer.strategy.root_device))
            self.clock.used = total.item() / trainer.world_size
