"""What a model, a data set, a training run is: typed, validated, frozen; read from YAML. Knows no torch.

A :class:`Recipe` is one experiment. How recipes are found, read and overridden, and how a wrong key is answered, stands
in :mod:`fullconv.recipe`.
"""

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

STRIDES = (32, 16, 8, 4)
STAGE_DIVISOR = 100
"""The rate of a stage that states none is the previous one's divided by this (paper, section 4.2)."""


class Spec(BaseModel):
    """Base of all specs: immutable, and no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSpec(Spec):
    """A network: ``fcn<stride>s-<backbone>`` and how it is put together.

    Parameters
    ----------
    name
        Such as ``fcn8s-squeezenet1_1`` or ``fcn32s-caffe-vgg16``.
    weights
        Backbone weights: a ``.safetensors`` path, or a name that is looked for in ``$FULLCONV_WEIGHTS`` and then at
        torchvision; ``imagenet`` stands for the backbone's own name; ``None`` starts from random weights.
    partial_weights
        Accept weights that cover the backbone only in part (without it a half match is an error).
    padding
        ``same`` keeps borders (default); ``paper`` pads the first convolution by 100 px as the reference does (the
        default of the ``caffe-`` backbones).
    deconvolution
        ``fixed``: all upsampling stays bilinear (reference); ``learned``: all but the last are trained (paper 3.3).
    skip_scales
        Factor on a skip's features before its score layer, by stride; ``{16: 0.01, 8: 0.0001}`` is the paper's "at
        once".
    hidden_layers
        Keep the classifier's hidden dense layers (fc6, fc7) as convolutions; ``False`` scores the features directly.
    dropout
        Probability in every dropout of the backbone, in [0, 1); ``None`` keeps the backbone's own.
    """

    name: str = Field(pattern=r"^fcn(32|16|8|4)s-[a-z0-9_\-]+$")
    weights: str | None = None
    partial_weights: bool = False
    padding: Literal["same", "paper"] | None = None
    deconvolution: Literal["fixed", "learned"] = "fixed"
    skip_scales: dict[int, float] = {}
    hidden_layers: bool = True
    dropout: float | None = Field(default=None, ge=0, lt=1)

    @property
    def stride(self) -> int:
        """Stride of the finest scores that are used: 32, 16, 8 or 4."""
        return int(re.match(r"fcn(\d+)s-", self.name).group(1))  # type: ignore[union-attr]  # the pattern above

    @property
    def backbone(self) -> str:
        """Name of the backbone, such as ``squeezenet1_1``."""
        return self.name.split("-", 1)[1]


class AugmentSpec(Spec):
    """Random changes of a training image and its masks together; by default there are none, as in the reference.

    Parameters
    ----------
    flip
        Mirror left-right with probability one half.
    scale
        Range of a uniformly drawn factor on height and width.
    crop
        (height, width) in pixels of a random window; smaller images are padded with the ignore value. ``None``: whole
        images.
    color
        Strength in [0, 1] of changes in brightness, contrast, saturation and hue.
    rotate
        Largest turn to either side, in degrees.
    """

    flip: bool = False
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    crop: tuple[PositiveInt, PositiveInt] | None = None
    color: float = Field(default=0.0, ge=0, le=1)
    rotate: float = Field(default=0.0, ge=0, le=180)


class DataSpec(Spec):
    """A data set and how training draws from it.

    Parameters
    ----------
    name
        One of ``fullconv.data.DATASETS``.
    root
        Its folder; ``scenes`` needs none.
    train, val
        The splits that are trained on and measured on.
    heads
        Which of the data set's truths are learned, one output of the net each.
    download
        Fetch the data set into ``root`` when it is not there.
    count, val_count
        Number of training and validation samples: of rendered ones how many there are, of stored ones the first so
        many; ``None`` takes all.
    size
        (height, width) in pixels at which scenes are rendered; ``None`` for the data set's own.
    augment
        Changes of the training samples; validation samples are never changed.
    workers
        Processes that read ahead, for each device; 0 reads in the training process.
    """

    name: str = "scenes"
    root: Path | None = None
    train: str = "train"
    val: str = "val"
    heads: tuple[str, ...] = Field(default=("semantic",), min_length=1)
    download: bool = False
    count: PositiveInt | None = None
    val_count: PositiveInt | None = None
    size: tuple[PositiveInt, PositiveInt] | None = None
    augment: AugmentSpec = AugmentSpec()
    workers: NonNegativeInt = 0


class OptimizerSpec(Spec):
    """How weights follow gradients.

    Parameters
    ----------
    name
        ``sgd`` with momentum, or ``adamw``.
    rate
        Learning rate of the first stage, for the trunk's weights.
    momentum
        Of SGD, in [0, 1).
    weight_decay
        On weights of convolutions; biases, batch-norm parameters and learned upsampling have none.
    bias_rate_factor
        Rate of biases as a multiple of their weights' (2 in the reference).
    score_rate_factor
        Rate of the score layers as a multiple of the trunk's.
    schedule
        Over the steps of a stage: ``fixed`` (reference), ``poly`` ((1 - t)^0.9) or ``cosine`` (to 0).
    warmup
        Steps at the start of each stage in which the rate rises linearly from 0.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    rate: PositiveFloat = 1e-3
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 5e-4
    bias_rate_factor: PositiveFloat = 2.0
    score_rate_factor: PositiveFloat = 1.0
    schedule: Literal["fixed", "poly", "cosine"] = "fixed"
    warmup: NonNegativeInt = 0


class StageSpec(Spec):
    """One stage: training of the net with the skips down to ``stride``. A bare number in YAML is a stride.

    Parameters
    ----------
    stride
        32, 16, 8 or 4.
    steps
        Steps of the optimiser; ``None`` takes ``train.steps``.
    rate
        Its learning rate; ``None`` takes ``optimizer.rate`` in the first stage and a hundredth of the previous stage's
        later.
    """

    stride: Literal[32, 16, 8, 4]
    steps: PositiveInt | None = None
    rate: PositiveFloat | None = None

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
        Steps of every stage that states none.
    optimizer
        See :class:`OptimizerSpec`.
    batch_size
        Images a step, over all devices together.
    replacement
        Draw images with replacement (reference); without it every image comes once before one comes again.
    loss
        Cross entropy as the ``mean`` or the ``sum`` over the valid pixels of a step.
    trainable
        ``all``, or ``score``: only the score layers (the paper's "fixed" nets; batch norm keeps its statistics then).
    freeze_batch_norm
        Keep statistics, scales and shifts of batch norm as they are in the weights.
    average
        Measure and save an exponential moving average of the weights that keeps this share at each step, such as 0.99;
        ``None`` saves the weights of the last step.
    gradient_clip
        Largest norm of the gradient of all parameters; ``None`` for no limit.
    seed
        Of initial weights, draws, augmentation and dropout.
    precision, accelerator, devices, nodes, strategy
        Handed to Lightning's ``Trainer``; ``devices`` is a number for each node.
    validate_every, save_every
        Steps between validations (``None``: at the end of each stage), and between saves of what ``--resume`` needs.
    """

    stages: tuple[StageSpec, ...] = Field(min_length=1)
    steps: PositiveInt = 1000
    optimizer: OptimizerSpec = OptimizerSpec()
    batch_size: PositiveInt = 1
    replacement: bool = False
    loss: Literal["mean", "sum"] = "mean"
    trainable: Literal["all", "score"] = "all"
    freeze_batch_norm: bool = False
    average: float | None = Field(default=None, gt=0, lt=1)
    gradient_clip: PositiveFloat | None = None
    seed: NonNegativeInt = 0
    precision: Literal["64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true"] = "32-true"
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = "auto"
    devices: PositiveInt | Literal["auto"] = "auto"
    nodes: PositiveInt = 1
    strategy: str = "auto"
    validate_every: PositiveInt | None = None
    save_every: PositiveInt = 500

    @model_validator(mode="after")
    def _resolve_stages(self) -> Self:
        """Write out the steps and the rate of every stage, so that a resolved recipe says all."""
        strides = [stage.stride for stage in self.stages]
        if strides != sorted(set(strides), reverse=True):
            raise ValueError(f"stages must go from coarse to fine, such as [32, 16, 8]; got {strides}")
        resolved: list[StageSpec] = []
        for stage in self.stages:
            rate = resolved[-1].rate / STAGE_DIVISOR if resolved and resolved[-1].rate else self.optimizer.rate
            resolved.append(StageSpec(stride=stage.stride, steps=stage.steps or self.steps, rate=stage.rate or rate))
        object.__setattr__(self, "stages", tuple(resolved))
        return self


class Recipe(Spec):
    """One experiment: a model, its data and its training.

    Parameters
    ----------
    name
        What run folders and reports call it.
    model, data, train
        See the specs.
    """

    name: str
    model: ModelSpec
    data: DataSpec = DataSpec()
    train: TrainSpec

    @model_validator(mode="after")
    def _stages_reach_the_model(self) -> Self:
        last = self.train.stages[-1].stride
        if last != self.model.stride:
            raise ValueError(
                f"the last of train.stages has stride {last}, but model.name {self.model.name} has {self.model.stride}"
            )
        return self
