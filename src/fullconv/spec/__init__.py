"""What a model, a data set, a training run is: typed, validated, frozen; read from YAML. Knows no torch.

A :class:`Recipe` is one experiment. How recipes are found, read and overridden, and how a wrong key is answered, stands
in :mod:`fullconv.recipe`.
"""

from typing import Self

from pydantic import model_validator

from fullconv.spec.base import Spec
from fullconv.spec.data import AugmentSpec, DataSpec, FolderSpec
from fullconv.spec.model import STRIDES, ModelSpec
from fullconv.spec.train import OptimizerSpec, StageSpec, TrainSpec

__all__ = [
    "STRIDES",
    "AugmentSpec",
    "DataSpec",
    "FolderSpec",
    "ModelSpec",
    "OptimizerSpec",
    "Recipe",
    "Spec",
    "StageSpec",
    "TrainSpec",
]


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
