"""One training step of an FCN, for Lightning: loss, learning rate, and randomness that depends on seed and step alone."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from fullconv.data.loading import Batch, train_loader
from fullconv.data.sample import IGNORE, Dataset
from fullconv.nn.fcn import FCN
from fullconv.nn.loss_sampling import draw_patches
from fullconv.nn.losses.reduction import count_valid, count_valid_of_each
from fullconv.nn.losses.step import StepLoss
from fullconv.nn.losses.total import total_with_gradient
from fullconv.nn.losses.upsampled import pixel_factors, upsampled_cross_entropy
from fullconv.spec import DataSpec, StageSpec, TrainSpec
from fullconv.training.accumulate import micro_batches, valid_of_step
from fullconv.training.clock import StageClock
from fullconv.training.losses import StepLosses, names_of_all
from fullconv.training.optimizer import build_optimizer, learning_rate_at, set_learning_rate
from fullconv.training.recompute import Recomputed

LONGEST_WARMUP = 0.1
"""Of a stage that is given in minutes: the share that its warm-up takes at most."""


class TrainingModule(pl.LightningModule):
    """One stage of training.

    Parameters
    ----------
    model
        Is trained in place.
    dataset
        Training samples.
    data, train
        How samples are drawn, and how weights follow.
    stage
        The stage, with steps and learning rate.
    first_step
        Steps of all stages before this one, so that draws go on where those ended.
    weights
        Of the classes, float32 (K,) for each head that has any.
    shares
        Probability of each sample, float64 (S,), where not all are drawn alike.
    clock
        The length of the stage; by default its steps.
    """

    def __init__(
        self,
        model: FCN,
        dataset: Dataset,
        data: DataSpec,
        train: TrainSpec,
        stage: StageSpec,
        first_step: int,
        weights: Mapping[str, Tensor] | None = None,
        shares: NDArray[np.float64] | None = None,
        clock: StageClock | None = None,
    ) -> None:
        super().__init__()
        # on CPUs a fourth to three fourths faster than the default layout, and never slower on GPUs
        self.model = model.to(memory_format=torch.channels_last)
        recomputed = {stream: Recomputed(trunk) for stream, trunk in self.model.trunks.items() if train.gradient_checkpointing}
        coarse = functools.partial(self.model.coarse, instead=recomputed or None)
        self._coarse = torch.compile(coarse) if train.compile else coarse
        self.dataset, self.data, self.train_spec = dataset, data, train
        self.clock, self.base_learning_rate = clock or StageClock(stage.steps), float(stage.learning_rate or 0)
        self.first_step = first_step
        self.class_weights = dict(weights or {})  # no buffers: those would lose their precision with bf16-true
        self.shares = shares
        self.learning_rate = 0.0
        self._now = ""
        self.losses = StepLosses(train.accumulate, names_of_all)
        self._norms = [part for part in model.modules() if isinstance(part, _BatchNorm)]
        _choose_trainable(model, train, self._norms)

    @property
    def still_norms(self) -> bool:
        """Whether batch norm keeps its statistics."""
        return self.train_spec.freeze_batch_norm or self.train_spec.trainable == "score" or self.train_spec.freeze == "trunk"

    def train_dataloader(self) -> Iterator[Batch]:
        """Return this process's batches from the current step on; an iterator, as Lightning would count a length from 0."""
        done = self.trainer.global_step
        loader = train_loader(
            self.dataset,
            self.data,
            self.train_spec.images_per_step,
            self.train_spec.seed,
            start_step=self.first_step + done,
            steps=self.clock.limit - done,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            replacement=self.train_spec.replacement,
            shares=self.shares,
            fill=self.model.padding_colors,
            pinned=self.trainer.strategy.root_device.type == "cuda",
        )
        return micro_batches(self.clock.waited(loader), self.train_spec.accumulate, self.ignored)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what is no tensor of the model, so that a run goes on without the weights that it started from."""
        checkpoint["preprocessing"] = self.model.preprocessing

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up :meth:`on_save_checkpoint`."""
        if "preprocessing" not in checkpoint:
            raise ValueError("it does not say how images are prepared, as an older version wrote it")
        self.model.set_preprocessing(checkpoint["preprocessing"])

    def configure_optimizers(self) -> Optimizer:
        """Return the optimiser."""
        # in mixed precision Lightning clips no gradients of fused optimisers, some of which undo a scaler's factor themselves
        fused = self.train_spec.gradient_clip is None or not self.train_spec.precision.endswith("mixed")
        return build_optimizer(self.model, self.train_spec.optimizer, self.base_learning_rate, fused)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set learning rate, mode and the random generator of the step, or of the part of it that ``accumulate`` makes."""
        step, part = self.trainer.global_step, batch_idx % self.train_spec.accumulate
        progress, self._now = self.clock.fraction(step), self.clock.told(step + 1)
        # how many steps fit into minutes nobody knows who states a warm-up
        longest_warmup = 1.0 if self.train_spec.minutes is None else LONGEST_WARMUP
        self.learning_rate = learning_rate_at(step, progress, self.base_learning_rate, self.train_spec.optimizer, longest_warmup)
        set_learning_rate(self.trainer.optimizers[0], self.learning_rate)
        if self.still_norms:
            for norm in self._norms:
                norm.eval()
        # dropout depends on seed, step and process only: a run that resumes here draws what an unbroken run draws
        key = (self.first_step + step, self.trainer.global_rank, *([part] if part else []))
        drawn = np.random.SeedSequence(self.train_spec.seed, spawn_key=key).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(drawn >> np.uint64(1)))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return ``loss``, to be minimised, and ``shown``, the loss of the step over all processes: the heads' weighted sum."""
        coarse = self._coarse(batch["inputs"])
        targets = {head: self._target(head, batch["targets"][head]) for head in self.model.heads}
        counts = self._valid_pixels(batch, targets)
        share = self.train_spec.loss_sampling
        if share < 1:  # after the count, which is of the pixels before any drops out
            targets = self._sampled(targets)
        of_step = StepLoss(
            self.train_spec.loss,
            self.train_spec.reduction,
            share,
            self.train_spec.images_per_step,
            self.trainer.world_size,
            total_with_gradient,
            self.train_spec.accumulate,
        )
        losses = [
            self.train_spec.head_weights.get(head, 1.0) * self._loss(of_step, head, coarse[head], target, count)
            for (head, target), count in zip(targets.items(), counts, strict=True)
        ]
        loss = torch.stack(losses).sum()
        shown = total_over_processes(loss.detach().clone())
        self.losses.add(shown, self._now, self.learning_rate, batch["names"])
        # processes average their gradients, and so does Lightning over the parts of a step; their sum is wanted, as the mean is
        # over the pixels of all of them
        return {"loss": loss * (self.trainer.world_size * self.train_spec.accumulate), "shown": shown}

    def _loss(self, of_step: StepLoss, head: str, coarse: Tensor, target: Tensor, count: Tensor) -> Tensor:
        """Return the loss of a head from its logits before the last upsampling; cross entropy never sees those of all pixels."""
        upsample, start, weights = self.model.last_upsampling(head), self.model.crop.start, self._weights(head, target)
        if upsample.bilinear and of_step.is_cross_entropy:
            factors = pixel_factors(of_step.reduction, target, count, of_step.share, of_step.images)
            weight = of_step.spec.terms["cross_entropy"].weight
            return weight * upsampled_cross_entropy(coarse, upsample, start, target, factors, weights)
        return of_step(self.model.crop(upsample(coarse), target), target, count, weights)

    def _valid_pixels(self, batch: Batch, targets: Mapping[str, Tensor]) -> Tensor:
        """Return what each head's loss is divided by: the pixels of the whole step, or each image's own, which its part has."""
        if self.train_spec.reduction == "image_mean":
            return torch.stack([count_valid_of_each(target) for target in targets.values()])
        of_step = valid_of_step(batch)
        counts = [of_step[head] if of_step else count_valid(target) for head, target in targets.items()]
        return total_over_processes(torch.stack(counts))

    @property
    def ignored(self) -> dict[str, int]:
        """The label of each head's pixels without ground truth."""
        return {head: self.dataset.labels[head].ignore_index for head in self.model.heads}

    def _target(self, head: str, labels: Tensor) -> Tensor:
        """Return the labels (N, H, W) of a head with 255, as padding has it, where the head's own ignore value stands."""
        own = self.ignored[head]
        return labels if own == IGNORE else labels.masked_fill(labels == own, IGNORE)

    def _sampled(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the targets with the patches ignored that drop out of this step's loss, the same ones for all heads."""
        first = next(iter(targets.values()))
        size = (first.shape[1], first.shape[2])
        kept = draw_patches(self.model.alignment.places[0], size, len(first), self.train_spec.loss_sampling).to(first.device)
        return {head: target.masked_fill(~kept, IGNORE) for head, target in targets.items()}

    def _weights(self, head: str, target: Tensor) -> Tensor | None:
        weights = self.class_weights.get(head)
        return None if weights is None else weights.to(target.device)


def total_over_processes(value: Tensor) -> Tensor:
    """Return the sum of ``value`` over the processes that train together; ``value`` itself when there is one."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
    return value


def _choose_trainable(model: FCN, train: TrainSpec, norms: Sequence[nn.Module]) -> None:
    if train.trainable == "score":
        model.requires_grad_(False)
        for parameter in model.score_parameters():
            parameter.requires_grad_(True)
        return
    if train.freeze == "trunk":
        for parameter in model.trunk_parameters():
            parameter.requires_grad_(False)
    elif train.freeze_batch_norm:
        for norm in norms:
            norm.requires_grad_(False)
