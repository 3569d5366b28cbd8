"""What a model, a data set, a training run is: typed, validated, frozen; read from YAML. Knows no torch.

A :class:`Recipe` is one experiment. How recipes are found, read and overridden, and how a wrong key is answered, stands
in :mod:`fullconv.spec.recipe`.
"""

from typing import Self

from pydantic import model_validator

from fullconv.spec.augment import AugmentSpec, CopyPasteSpec
from fullconv.spec.base import Spec
from fullconv.spec.data import DataSpec
from fullconv.spec.folder import FolderSpec
from fullconv.spec.image import ImageSpec
from fullconv.spec.loss import LossSpec
from fullconv.spec.model import COLORS, INPUT_CHANNELS, STRIDES, ModelSpec, inputs_of
from fullconv.spec.optimizer import BiasDecay, BiasFactors, OptimizerSpec
from fullconv.spec.train import StageSpec, TrainSpec

__all__ = [
    "COLORS",
    "INPUT_CHANNELS",
    "STRIDES",
    "AugmentSpec",
    "BiasDecay",
    "BiasFactors",
    "CopyPasteSpec",
    "DataSpec",
    "FolderSpec",
    "ImageSpec",
    "LossSpec",
    "ModelSpec",
    "OptimizerSpec",
    "Recipe",
    "Spec",
    "StageSpec",
    "TrainSpec",
    "inputs_of",
]


class Recipe(Spec):
    """One experiment: a model, its data and its training.

    Parameters
    ----------
    name
        Name of the experiment, for run folders and reports; the file's name by default.
    model
        The network.
    data
        The data set, and how training draws from it.
    train
        How long, with which loss and which optimiser it is trained.
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

    @model_validator(mode="after")
    def _data_feed_the_model(self) -> Self:
        """Ask the data for what the model reads, so that it is said once; refuse what contradicts it."""
        wanted = self.model.inputs
        if "streams" in self.data.model_fields_set and set(self.data.streams) != set(wanted):
            raise ValueError(
                f"model.streams {list(self.model.streams)} read {', '.join(wanted)}, but data.streams is "
                f"{list(self.data.streams)}: leave data.streams out"
            )
        object.__setattr__(self, "data", self.data.model_copy(update={"streams": wanted}))
        return self

    @model_validator(mode="after")
    def _model_reads_the_bands(self) -> Self:
        """Give the model as many channels as the data have bands, so that it is said once; refuse what contradicts it."""
        channels = self.data.image.channels
        if "channels" in self.model.model_fields_set and self.model.channels != channels:
            raise ValueError(f"model.channels is {self.model.channels}, but data.image.bands gives {channels}: leave it out")
        object.__setattr__(self, "model", self.model.model_copy(update={"channels": channels}))
        return self

    @model_validator(mode="after")
    def _means_are_of_inputs(self) -> Self:
        stated = [("mean", name, mean) for name, mean in self.data.mean.items()]
        for key, name, values in [*stated, *(("std", name, std) for name, std in self.data.std.items())]:
            if name not in self.model.inputs:
                raise ValueError(f"data.{key} names {name}, but the model reads {', '.join(self.model.inputs)}; give those only")
            if (key, name) == ("std", "depth"):
                raise ValueError("data.std names depth, of which the logarithm is read as it is; leave it out")
            channels, least = self.model.channels_of(name), 0 if key == "mean" else 1e-6
            if len(values) != channels or not all(least <= number <= 255 for number in values):
                raise ValueError(
                    f"data.{key}.{name} has {channels} values in {least:g} to 255, one a channel; got {list(values)}"
                )
        return self

    @model_validator(mode="after")
    def _weigh_every_head(self) -> Self:
        """Write out the weight of every head's loss, so that a resolved recipe says all."""
        heads, given = self.data.heads, self.train.head_weights
        if unknown := ", ".join(head for head in given if head not in heads):
            raise ValueError(
                f"train.head_weights names {unknown}, but data.heads has {', '.join(heads)}; give weights of those only"
            )
        weights = {head: given.get(head, 1.0) for head in heads}
        object.__setattr__(self, "train", self.train.model_copy(update={"head_weights": weights}))
        return self
