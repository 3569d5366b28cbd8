"""How weights follow their gradients."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from fullconv.spec.base import Spec


class BiasFactors(Spec):
    """Learning rate of biases as a multiple of their weights', for each part of the net; a bare number in YAML is for both.

    Parameters
    ----------
    trunk, score
        Of the backbone's layers and of the score layers; 2 in the reference.
    """

    trunk: PositiveFloat = 2.0
    score: PositiveFloat = 2.0

    @model_validator(mode="before")
    @classmethod
    def _one_for_both(cls, given: Any) -> Any:
        return _for_both(given)


class BiasDecay(Spec):
    """Weight decay of biases for each part of the net; a bare number in YAML is for both.

    Parameters
    ----------
    trunk, score
        Of the backbone's layers and of the score layers; 0 in the reference.
    """

    trunk: NonNegativeFloat = 0.0
    score: NonNegativeFloat = 0.0

    @model_validator(mode="before")
    @classmethod
    def _one_for_both(cls, given: Any) -> Any:
        return _for_both(given)


def _for_both(given: Any) -> Any:
    return {"trunk": given, "score": given} if isinstance(given, int | float) else given


class OptimizerSpec(Spec):
    """How weights follow gradients.

    Parameters
    ----------
    name
        ``sgd`` with momentum, or ``adamw``.
    learning_rate
        Learning rate of the trunk's weights in the first stage.
    momentum
        Momentum of SGD, in [0, 1).
    weight_decay
        Weight decay of convolutions; parameters of batch norm and learned upsampling have none.
    bias_learning_rate_factor
        Learning rate of biases as a multiple of their weights' (2 in the reference): a number, or one for each part, see
        :class:`BiasFactors`.
    bias_weight_decay
        Weight decay of biases (0 in the reference, except in its AlexNet): a number, or one for each part, see
        :class:`BiasDecay`.
    score_learning_rate_factor
        Learning rate of the score layers as a multiple of the trunk's.
    schedule
        How the learning rate changes over the steps of a stage: ``fixed`` (reference), ``poly`` ((1 - t)^0.9) or ``cosine`` (to
        0).
    warmup
        Steps at the start of each stage in which the learning rate rises linearly from 0; with ``minutes`` a tenth of
        the stage at most.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: PositiveFloat = 1e-3
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 5e-4
    bias_learning_rate_factor: BiasFactors = BiasFactors()
    bias_weight_decay: BiasDecay = BiasDecay()
    score_learning_rate_factor: PositiveFloat = 1.0
    schedule: Literal["fixed", "poly", "cosine"] = "fixed"
    warmup: NonNegativeInt = 0
