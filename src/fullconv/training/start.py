"""The model that a stage starts from: a classifier's weights, trained nets', the stage's before, or what was saved of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fullconv.labels import LabelSet
from fullconv.nn.assemble import assemble
from fullconv.nn.build import carry_over, load_weights
from fullconv.nn.checkpoint import load_checkpoint
from fullconv.nn.fcn import FCN
from fullconv.nn.normalise import reordered
from fullconv.spec import Recipe, StageSpec
from fullconv.training.folder import RunFolder


def stage_name(stage: StageSpec) -> str:
    """Return ``32s`` and so on."""
    return f"{stage.stride}s"


def starting_model(
    recipe: Recipe, index: int, labels: Mapping[str, LabelSet], folder: RunFolder, before: FCN | None
) -> tuple[FCN, str]:
    """Return the model of stage ``index`` with the weights it starts from, and a line that says what they are.

    Parameters
    ----------
    recipe, labels
        The run, and the classes of each output.
    folder
        Of the run. Where a stage was begun in it, no weights are looked for: they and the preprocessing come with its
        ``resume.ckpt``, see :class:`fullconv.training.module.TrainingModule`.
    before
        The model of the previous stage; ``None`` reads it from the folder.

    Raises
    ------
    WeightsError
        When there are no such weights, or they do not fit.
    """
    stage = recipe.train.stages[index]
    torch.manual_seed(recipe.train.seed)
    spec = recipe.model.model_copy(update={"name": f"fcn{stage_name(stage)}-{recipe.model.backbone}"})
    model = assemble(spec, {head: len(classes) for head, classes in labels.items()})
    begun = folder.resume_file(stage_name(stage))
    if begun.exists():
        return model, f"those of {begun}"
    if index > 0:
        previous = stage_name(recipe.train.stages[index - 1])
        coarser = before or load_checkpoint(folder.stage(previous) / "model.safetensors").model
        model.set_preprocessing(coarser.preprocessing)
        carry_over(coarser, model)
        return model, f"those of stage {previous}; the new skip's score layers start at zero"
    report = load_weights(model, {head: classes.names for head, classes in labels.items()})
    line = report.summary() if report else "random, as the recipe names none"
    if not report and recipe.train.freeze == "trunk":
        line += "; warning: train.freeze: trunk keeps random weights as they are; give model.weights, or leave freeze out"
    set_statistics(model, recipe.data.mean, recipe.data.std)
    return model, line


def set_statistics(model: FCN, mean: Mapping[str, Sequence[float]], std: Mapping[str, Sequence[float]]) -> None:
    """Let a model subtract ``mean`` and divide by ``std`` in place of those that its weights came with.

    Parameters
    ----------
    model
        Changed in place.
    mean, std
        One number a channel by input, in the channels' order of the input itself (RGB), in 0–255; of depth the mean logarithm
        of millimetres, and no std.
    """
    stated: dict[str, dict[str, Any]] = {name: dict(model.preprocessing[name]) for name in {**mean, **std}}
    for key, given in (("mean", mean), ("std", std)):
        for name, values in given.items():
            scale = stated[name]["range"][1] / 255 if "range" in stated[name] else 1  # depth states none
            stated[name][key] = reordered([value * scale for value in values], stated[name]["channels"])
    model.set_preprocessing(stated)
