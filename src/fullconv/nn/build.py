"""A model ready to be trained: built from its spec, with the weights that the spec names."""

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import nn

from fullconv.errors import SpecError
from fullconv.nn.assemble import assemble
from fullconv.nn.backbones import Classifier
from fullconv.nn.backbones.own_models import as_classifier
from fullconv.nn.fcn import FCN
from fullconv.nn.fusion import is_trained_model, join_streams
from fullconv.nn.normalise import preprocessing_of
from fullconv.nn.trunk import first_convolution, with_channels
from fullconv.nn.weights import TransplantReport, Weights, find_weights, transplant
from fullconv.spec import COLORS, ModelSpec

SEMANTIC = "semantic"
"""The name of the only head when a number of classes is all that is said."""


def build_model(
    model: ModelSpec | str,
    classes: int | Mapping[str, int],
    *,
    weights: str | None = None,
    backbone: Classifier | nn.Module | Callable[[], Classifier | nn.Module] | None = None,
) -> FCN:
    """Return an FCN in training mode: backbone weights as asked for, zero score layers, bilinear upsampling.

    Parameters
    ----------
    model
        A name such as ``fcn8s-resnet50``, or a whole spec.
    classes
        How many there are, or how many each head has, such as ``{"semantic": 33, "geometric": 3}``.
    weights
        Of the backbone, in place of the spec's: ``imagenet``, or a path or name, see :mod:`fullconv.nn.weights`; random ones
        where neither says anything.
    backbone
        One's own, in place of the one that the name says: a :class:`~fullconv.nn.backbones.Classifier`, a module, or a function
        that returns either. What stands behind ``fcn8s-`` is then only what it is called.

    Raises
    ------
    SpecError
        When no backbone is called so (the nearest are named), it has no map at a stride that is needed, or a number of classes is
        not positive.
    WeightsError
        When there are no such weights, or they do not fit.

    Examples
    --------
    >>> import torch
    >>> model = build_model("fcn8s-minivgg", classes=21)
    >>> model(torch.zeros(1, 3, 37, 50, dtype=torch.uint8))["semantic"].shape
    torch.Size([1, 21, 37, 50])
    """
    if not isinstance(model, ModelSpec | str) or not isinstance(weights, str | None):
        raise SpecError(
            f"the model is {model!r:.60} and its weights {weights!r:.60}; give names, such as 'fcn8s-vgg16' and 'imagenet'"
        )
    spec = ModelSpec.named(model) if isinstance(model, str) else model
    if weights is not None:
        spec = spec.model_copy(update={"weights": weights})
    built = assemble(spec, _heads(classes), None if backbone is None else as_classifier(backbone, spec.backbone))
    load_weights(built)
    return built


def _heads(classes: int | Mapping[str, int]) -> dict[str, int]:
    heads = dict(classes) if isinstance(classes, Mapping) else {SEMANTIC: classes}
    for name, count in heads.items():
        if not isinstance(name, str) or not name or "." in name or hasattr(nn.ModuleDict(), name):
            raise SpecError(f"no head can be called {name!r}; give it a word of its own without a point, such as {SEMANTIC!r}")
        if not isinstance(count, numbers.Integral) or isinstance(count, bool) or count < 1:
            raise SpecError(f"classes are {classes!r}; give a number from 1 on, or one for each head, such as {{'semantic': 21}}")
    if not heads:
        raise SpecError("classes are {}; give a number from 1 on, or one for each head, such as {'semantic': 21}")
    return {name: int(count) for name, count in heads.items()}


def load_weights(model: FCN, names: Mapping[str, Sequence[str]] | None = None) -> TransplantReport | None:
    """Put the weights that a model's spec names into it, in place; return what became of them, ``None`` where it names none.

    Parameters
    ----------
    model
        From :func:`build_model`.
    names
        Of its classes by head, for weights that are trained models: see :func:`fullconv.nn.fusion.join_streams`.

    Raises
    ------
    WeightsError
        When there are none, or they fit only in part and the spec does not allow that.
    """
    wanted = model.spec.weights
    if wanted is None:
        return None
    if isinstance(wanted, str) and is_trained_model(wanted):
        wanted = dict.fromkeys(model.trunks, wanted)
    return load_backbone_weights(model, wanted) if isinstance(wanted, str) else join_streams(model, wanted, names)


def load_backbone_weights(model: FCN, name: str = "imagenet") -> TransplantReport:
    """Put backbone weights into every stream of a model, in place, with their preprocessing; return what became of the tensors.

    Of a stream that reads more than three channels, the first layer gets the mean of its weights for the further ones; mean and
    standard deviation of further bands are the mean of those of the colours, unless a recipe says them.

    Parameters
    ----------
    model
        From :func:`build_model`.
    name
        A path or a name, see :mod:`fullconv.nn.weights`; ``imagenet`` stands for the backbone's own name.

    Raises
    ------
    WeightsError
        When there are none, or they fit only in part and the spec does not allow that.
    """
    weights = find_weights(model.spec.backbone if name == "imagenet" else name)
    for trunk in model.trunks.values():
        report = transplant(_widened(weights, trunk.graph), trunk.graph, partial=model.spec.partial_weights)
    if weights.preprocessing is not None:
        model.set_preprocessing(
            {name: preprocessing_of(name, weights.preprocessing, model.channels_of(name)) for name in model.inputs}
        )
    return report


def _widened(weights: Weights, graph: nn.Module) -> Weights:
    """Return weights whose first layer takes as many channels as the net's."""
    first = first_convolution(graph)
    name = next(name for name, part in graph.named_modules() if part is first) + ".weight"
    given = weights.tensors.get(name)
    if given is None or given.dim() != first.weight.dim() or given.shape[1] != COLORS or first.in_channels == COLORS:
        return weights
    return replace(weights, tensors={**weights.tensors, name: with_channels(given, first.in_channels)})


def carry_over(source: FCN, target: FCN) -> TransplantReport:
    """Put the weights of a coarser FCN into a finer one, in place: FCN-32s into FCN-16s, FCN-16s into FCN-8s (section 4.2).

    The new score layers stay zero and the new upsampling bilinear, so the finer net starts from the coarser one's logits.

    Raises
    ------
    WeightsError
        When more than the score and upsampling layers of the new skips gets nothing.
    """
    old, new = len(source.strides), len(target.strides)
    fresh: list[str] = []
    for head in target.heads:
        fresh += [f"core.heads.{head}.score.{stream}.{level}." for stream in target.trunks for level in range(old, new)]
        # the source's last upsampling leads to the image, and here to the first new skip
        fresh += [f"core.heads.{head}.upsample.{step}." for step in range(old - 1, new)]
    last = tuple(f"core.heads.{head}.upsample.{old - 1}." for head in source.heads)
    state = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith(last)}
    return transplant(Weights(state, source.spec.name, None), target, expected_missing=tuple(fresh))
