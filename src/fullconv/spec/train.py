"""What a training run is."""

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from fullconv.spec.base import Spec
from fullconv.spec.loss import CROSS_ENTROPY, REGION_LOSSES, LossSpec
from fullconv.spec.optimizer import OptimizerSpec

STAGE_DIVISOR = 100
"""The learning rate of a stage that states none is the previous one's divided by this (paper, section 4.2)."""
AUTO_BATCH = 8
"""Images that ``batch_size: auto`` stands for where no GPU's memory is to be filled."""


class StageSpec(Spec):
    """One stage: training of the net with the skips down to ``stride``. A bare number in YAML is a stride.

    Parameters
    ----------
    stride
        Stride of the finest map that is read in this stage, in pixels.
    steps
        Number of steps of the optimiser; ``None`` takes ``train.steps``.
    learning_rate
        Learning rate of this stage; ``None`` takes ``optimizer.learning_rate`` in the first stage, and a hundredth of the
        previous stage's in later ones.
    """

    stride: Literal[32, 16, 8, 4]
    steps: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None

    @model_validator(mode="before")
    @classmethod
    def _stride_alone(cls, given: Any) -> Any:
        return {"stride": given} if isinstance(given, int) else given


class TrainSpec(Spec):
    """How a model is trained.

    Parameters
    ----------
    stages
        From coarse to fine; ``[32, 16, 8]`` is the paper's staged training, ``[8]`` is "at once".
    steps
        Number of steps of every stage that states none.
    epochs
        In place of steps: how often the whole run sees every training image, such as 50; it is written as steps into the run's
        own recipe. The stages share it as they share their steps.
    minutes
        In place of steps: how long the whole run trains, with the measurements between its steps; the learning rate's schedule
        fits it. The stages share it as they share their steps; each is measured once more when its time is up.
    optimizer
        The optimiser, see :class:`OptimizerSpec`.
    batch_size
        Images that a step computes at a time, over all devices together. ``auto``: on a GPU the most of 64, 32, 16 … that its
        memory holds, elsewhere 8; what was chosen stands in the run's own recipe.
    accumulate
        How many times ``batch_size`` images make one step: their gradients are those of one large batch, only batch norm sees
        each ``batch_size`` alone.
    replacement
        Draw images with replacement (reference); without it every image comes once before one comes again.
    loss
        The loss: a name such as ``dice``, or a weighted sum ``{cross_entropy: 1, dice: 0.5}``, see
        :class:`~fullconv.spec.LossSpec`.
    sampling
        ``uniform``: every image as often as any other. ``balanced``: images with rare classes are drawn more often, with
        replacement, see :func:`fullconv.data.class_pixels.draw_shares`.
    reduction
        A loss of pixels as the ``mean`` or the ``sum`` over the valid pixels of a step, or as ``image_mean``: the mean over the
        images of a step of each image's own mean, as of single images whose gradients are averaged.
    loss_sampling
        Keep each coarse output's loss with this probability (patchwise training, paper 3.4); a step then takes
        ``batch_size * accumulate / loss_sampling`` images, to see as many patches.
    head_weights
        Factor on the loss of each head, by its name, before the losses are added; above 0. Heads that are not named have 1, which
        a :class:`~fullconv.spec.Recipe` writes out.
    class_weights
        ``balanced``: a pixel weighs by the inverse of its class's share of the training split, 1 on average; ``None``: all 1.
    trainable
        ``all``, or ``score``: only the score layers (the paper's "fixed" nets; batch norm keeps its statistics then).
    freeze
        ``trunk``: keep the backbone as it came, its dense layers, batch norm and statistics with it, and train what reads it:
        score layers, and learned upsampling where there is any (``model.deconvolution: learned``), which ``trainable: score``
        keeps as it is.
    freeze_batch_norm
        Keep statistics, scales and shifts of batch norm as they are in the weights.
    average
        Measure and save an exponential moving average of the weights that keeps this share at each step, such as 0.99, at
        every validation; ``None`` takes the weights of the step.
    keep
        ``best``: the model of a stage is the one that was best by ``metric`` when it was measured, the next stage starts from it,
        and the last step's lies beside it as ``last.safetensors``; ``last``: the model after the last step.
    metric
        ``mean_iu``, ``pixel_accuracy``, ``mean_accuracy`` or ``frequency_weighted_iu`` on the validation split, or ``iu.CLASS``
        such as ``iu.road``; of the first head, or of another as ``HEAD.mean_iu``.
    patience
        A stage ends after so many measurements without a better ``metric``; ``None``: never before its time.
    gradient_clip
        Largest norm of the gradient of all parameters; ``None`` for no limit.
    seed
        Seed of the initial weights, the order of images, augmentation and dropout.
    precision
        ``auto``: bfloat16 where the processor computes it fast and float32 elsewhere, see :mod:`fullconv.training.precision`;
        what was chosen stands in the run's ``recipe.yaml``. The others are those of Lightning's ``Trainer``.
    compile
        Run the net through ``torch.compile``: some ten to sixty seconds at the start of each stage, and again for images of
        another size; on a CPU it needs a C++ compiler. For long runs of one crop.
    gradient_checkpointing
        Keep fewer of the trunk's maps in memory and compute the others a second time: larger batches or crops fit, and a step
        takes about a third longer.
    accelerator, devices, nodes
        Which kind of processor trains, how many of them in each machine, and how many machines; Lightning's ``Trainer`` takes
        them.
    strategy
        ``ddp``: a process a device, each with the whole model; ``auto`` takes it where there are several devices. Nothing that
        splits a model over devices is offered (``fsdp``): averaging, measuring and saving need it whole.
    validate_every, save_every
        Steps between validations, and between saves of what ``--resume`` needs. ``None`` measures at the end of each stage and,
        with ``keep: best`` or ``patience``, up to ten times in all: as often as the pixels that are measured stay below half of
        those that are trained on, see :func:`fullconv.training.measuring.interval`.
    loggers
        Where curves and images are sent, beside the files of the run folder: ``tensorboard``, ``wandb`` and ``mlflow``, or
        nobody, see :mod:`fullconv.training.loggers`; a bare name in YAML is a list of one.
    """

    stages: tuple[StageSpec, ...] = Field(min_length=1)
    steps: PositiveInt = 1000
    epochs: PositiveFloat | None = None
    minutes: PositiveFloat | None = None
    optimizer: OptimizerSpec = OptimizerSpec()
    batch_size: PositiveInt | Literal["auto"] = 1
    accumulate: PositiveInt = 1
    replacement: bool = False
    sampling: Literal["uniform", "balanced"] = "uniform"
    loss: LossSpec = CROSS_ENTROPY
    reduction: Literal["mean", "sum", "image_mean"] = "mean"
    loss_sampling: float = Field(default=1.0, gt=0, le=1)
    head_weights: dict[str, PositiveFloat] = Field(default_factory=dict)
    class_weights: Literal["balanced"] | None = None
    trainable: Literal["all", "score"] = "all"
    freeze: Literal["trunk"] | None = None
    freeze_batch_norm: bool = False
    average: float | None = Field(default=None, gt=0, lt=1)
    keep: Literal["best", "last"] = "best"
    metric: str = "mean_iu"
    patience: PositiveInt | None = None
    gradient_clip: PositiveFloat | None = None
    seed: NonNegativeInt = 0
    precision: Literal["auto", "64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true"] = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = "auto"
    devices: PositiveInt | Literal["auto"] = "auto"
    nodes: PositiveInt = 1
    strategy: Literal["auto", "ddp"] = "auto"
    validate_every: PositiveInt | None = None
    save_every: PositiveInt = 500
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)

    @field_validator("loggers", mode="before")
    @classmethod
    def _one_logger_or_several(cls, given: Any) -> Any:
        """Take a bare name for a list of one; each logger is told once."""
        return list(dict.fromkeys([given] if isinstance(given, str) else given)) if isinstance(given, str | list) else given

    @property
    def images_per_step(self) -> int:
        """Images that a step draws, over all devices together; ``batch_size: auto`` counts as 8 until it is chosen."""
        return round(self._images / self.loss_sampling)

    @property
    def _images(self) -> int:
        return (AUTO_BATCH if self.batch_size == "auto" else self.batch_size) * self.accumulate

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs and self.minutes:
            raise ValueError(
                f"epochs {self.epochs:g} and minutes {self.minutes:g} both say how long the run trains; give one of them"
            )
        return self

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.compile and self.gradient_checkpointing:
            raise ValueError("compile and gradient_checkpointing exclude each other; give one of them")
        return self

    @model_validator(mode="after")
    def _whole_images(self) -> Self:
        images = self._images
        if abs(self.images_per_step * self.loss_sampling - images) > 1e-9 * images:
            raise ValueError(
                f"batch_size / loss_sampling must be a whole number of images; {images} / {self.loss_sampling} is "
                f"{images / self.loss_sampling:.3f}: change batch_size, or take "
                f"{images / max(self.images_per_step, images)!r} for loss_sampling"
            )
        return self

    @model_validator(mode="after")
    def _loss_fits(self) -> Self:
        if regions := [name for name in REGION_LOSSES if name in self.loss.terms and self.reduction == "sum"]:
            raise ValueError(
                f"train.loss names {', '.join(regions)}, an overlap of regions and no sum over pixels, and train.reduction is "
                "sum: take reduction mean or image_mean (with a learning rate for it)"
            )
        if self.loss_sampling < 1 and not self.loss.plain:
            raise ValueError(
                f"train.loss_sampling {self.loss_sampling:g} drops patches of cross entropy alone; got the loss {self.loss}: "
                "leave loss_sampling out, or take loss: cross_entropy"
            )
        return self

    @model_validator(mode="after")
    def _resolve_stages(self) -> Self:
        """Write out the steps and the learning rate of every stage, so that a resolved recipe says all."""
        strides = [stage.stride for stage in self.stages]
        if strides != sorted(set(strides), reverse=True):
            raise ValueError(f"stages must go from coarse to fine, such as [32, 16, 8]; got {strides}")
        resolved: list[StageSpec] = []
        for stage in self.stages:
            before = resolved[-1].learning_rate if resolved else None
            inherited = before / STAGE_DIVISOR if before else self.optimizer.learning_rate
            resolved.append(
                StageSpec(stride=stage.stride, steps=stage.steps or self.steps, learning_rate=stage.learning_rate or inherited)
            )
        object.__setattr__(self, "stages", tuple(resolved))
        return self
