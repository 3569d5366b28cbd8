"""Averaging of weights over the steps of a stage: the average is what is measured each time, saved and carried over.

Polyak averaging with an exponential window. The paper does not do it; where images are few, each of the last steps fits a
few of them, and the average does so less.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn


class WeightAverage(pl.Callback):
    """Follow a model's weights with an exponential moving average.

    Parameters
    ----------
    decay
        Share of the average that is kept at each step, in (0, 1); 0.99 averages over about 100 steps. Early steps keep less
        (``(1 + t) / (10 + t)``), so that the start is forgotten.
    accumulate
        Parts of a step: the average moves after the last of them, which is where the optimiser moves the weights.
    """

    def __init__(self, decay: float, accumulate: int = 1) -> None:
        self.decay, self.accumulate = decay, accumulate
        self.steps = 0
        self.average: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the average and its number of steps, for a resumed stage."""
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up :meth:`state_dict`."""
        self.steps, self.average = state_dict["steps"], state_dict["average"]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights of this step, when its last part is done."""
        if (batch_idx + 1) % self.accumulate:
            return
        state = _floating(pl_module.model)  # type: ignore[arg-type]  # a TrainingModule's model
        if not self.average:
            self.average = {name: value.detach().clone() for name, value in state.items()}
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in state.items():
            self.average[name] = self.average[name].to(value.device).lerp_(value.detach(), 1 - keep)

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Put the average into ``model``, in place; nothing changes when there has been no step."""
        state = _floating(model)
        for name, value in self.average.items():
            state[name].copy_(value)

    @contextlib.contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Let ``model`` hold the average meanwhile; afterwards it has its own weights again, bit for bit."""
        own = {name: value.clone() for name, value in _floating(model).items()}
        self.apply(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in _floating(model).items():
                    value.copy_(own[name])


def _floating(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
